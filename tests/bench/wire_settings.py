"""The settings of the product as it is served, with Django's admin beside it to compare with."""

from pbxadmin.settings import *  # noqa: F403
from pbxadmin.settings import INSTALLED_APPS as OURS

INSTALLED_APPS = [*OURS, "django.contrib.admin"]
ROOT_URLCONF = "tests.bench.urls"
