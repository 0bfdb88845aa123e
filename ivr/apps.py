from django.apps import AppConfig


class IvrConfig(AppConfig):
    name = "ivr"
    label = "ivr"
    default_auto_field = "django.db.models.BigAutoField"
