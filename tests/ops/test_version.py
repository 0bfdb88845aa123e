"""The version: one, wherever it stands."""

import re
import subprocess
import sys
import tomllib

import django
import pytest
from django.conf import settings

from pbxadmin import __version__
from tests.factories import make_user


def test_the_package_and_its_description_have_one_version():
    described = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))

    assert described["project"]["version"] == __version__


@pytest.mark.parametrize("word", ["version", "--version"])
def test_it_is_told_without_any_setting(word, tmp_path):
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), word]

    said = subprocess.run(command, env={"DATA_DIR": str(tmp_path / "none")}, capture_output=True, text=True, check=True)

    assert said.stdout == f"PBX Admin {__version__} (Django {django.get_version()})\n"
    assert not (tmp_path / "none").exists()


@pytest.mark.django_db
def test_it_stands_at_the_foot_of_pages_for_who_is_signed_in(client):
    assert f"PBX Admin {__version__}" not in client.get("/accounts/login/").text
    client.force_login(make_user())

    assert re.search(rf'<p class="foot">PBX Admin {re.escape(__version__)} ', client.get("/").text)
