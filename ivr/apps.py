from django.apps import AppConfig
from django.core.checks import register


class IvrConfig(AppConfig):
    name = "ivr"
    label = "ivr"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import selectors  # noqa: F401  (makes its list known to saved filters)
        from .checks import check_ivr_fields

        register(check_ivr_fields)
