from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "pbxadmin.notices"
    label = "notices"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from pbxadmin.audit.log import event_appended

        from .outbox import event_note

        event_appended.connect(event_note, dispatch_uid="notices")
