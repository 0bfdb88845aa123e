from django.apps import AppConfig
from django.core.checks import register
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "pbxadmin.audit"
    label = "audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .checks import check_actions
        from .stored import tolerate
        from .triggers import install_after_migrate

        register(check_actions)
        connection_created.connect(tolerate, dispatch_uid="audit-stored")
        post_migrate.connect(install_after_migrate, sender=self, dispatch_uid="audit-triggers")
