from django.apps import AppConfig
from django.core.checks import register


class ReviewConfig(AppConfig):
    name = "pbxadmin.review"
    label = "review"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .checks import check_desk_groups

        register(check_desk_groups)
