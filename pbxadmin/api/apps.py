from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "pbxadmin.api"
    label = "api"
