from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "pbxadmin.webhooks"
    label = "webhooks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from pbxadmin.notices.addressing import notices_addressed

        from .outgoing import hook_deliveries_write

        notices_addressed.connect(hook_deliveries_write, dispatch_uid="webhooks")
