"""Sends what is due in a process of its own, for a test to kill: `python -m tests.webhooks.sending`."""

import os

import django


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "pbxadmin.settings"
    django.setup()
    from pbxadmin.webhooks.deliver import webhooks_slice

    webhooks_slice()


if __name__ == "__main__":
    main()
