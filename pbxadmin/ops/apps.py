from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "pbxadmin.ops"
    label = "ops"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import rotation  # noqa: F401  registers its check
