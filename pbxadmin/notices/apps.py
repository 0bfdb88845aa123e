from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "pbxadmin.notices"
    label = "notices"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from pbxadmin.audit.log import event_appended
        from pbxadmin.policies.watching import violations_changed

        from .outbox import event_note
        from .violations import violations_note

        event_appended.connect(event_note, dispatch_uid="notices")
        violations_changed.connect(violations_note, dispatch_uid="notices")
