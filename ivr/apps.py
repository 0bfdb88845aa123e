from django.apps import AppConfig


class IvrConfig(AppConfig):
    name = "ivr"
    label = "ivr"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import selectors  # noqa: F401  (makes its list known to saved filters)
