from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "pbxadmin.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import second_factor, signals  # noqa: F401  connects them
