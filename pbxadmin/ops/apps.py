from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class OpsConfig(AppConfig):
    name = "pbxadmin.ops"
    label = "ops"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from pbxadmin.search import indexes_after_migrate, indexes_before_migrate

        from . import rotation  # noqa: F401  registers its check

        pre_migrate.connect(indexes_before_migrate, sender=self, dispatch_uid="search-indexes")
        post_migrate.connect(indexes_after_migrate, sender=self, dispatch_uid="search-indexes")
