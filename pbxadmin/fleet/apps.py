from django.apps import AppConfig
from django.core.checks import register


class FleetConfig(AppConfig):
    name = "pbxadmin.fleet"
    label = "fleet"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .checks import check_record_fields

        register(check_record_fields)
