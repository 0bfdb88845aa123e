from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "pbxadmin.access"
    label = "access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import second_factor, signals  # noqa: F401  connects them
