"""Sends what is due in a process of its own, for a test to kill: `python -m tests.notices.sending`."""

import os

import django


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "pbxadmin.settings"
    django.setup()
    from pbxadmin.notices.deliver import mails_slice

    mails_slice()


if __name__ == "__main__":
    main()
