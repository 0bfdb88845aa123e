from django.apps import AppConfig


class HelpConfig(AppConfig):
    name = "pbxadmin.help"
