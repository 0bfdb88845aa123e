from django.apps import AppConfig


class PoliciesConfig(AppConfig):
    name = "pbxadmin.policies"
    label = "policies"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ivr.snapshots import snapshots_written
        from pbxadmin.fleet.services import pbx_edited

        from .watching import pbx_watch, snapshots_watch

        snapshots_written.connect(snapshots_watch, dispatch_uid="policies")
        pbx_edited.connect(pbx_watch, dispatch_uid="policies")
