"""The settings of the tests, with Django's admin beside the product to compare with."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as OURS

INSTALLED_APPS = [*OURS, "django.contrib.admin"]
ROOT_URLCONF = "tests.bench.urls"
REFRESH_THREADS = 64
