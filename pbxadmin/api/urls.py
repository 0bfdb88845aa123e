from django.urls import include, path

from . import docs, views
from .api import api

pages = [
    path("api/v1/docs/<str:name>", docs.docs_file, name="docs-file"),
    path("api-keys/", views.own_keys, name="own-keys"),
    path("api-keys/<int:pk>/revoke/", views.key_revoke, name="key-revoke"),
    path("people/<int:pk>/api-keys/", views.holder_keys, name="holder-keys"),
    path("people/service-accounts/add/", views.service_account_add, name="service-account-add"),
]
urlpatterns = [
    path("api/v1/", api.urls),
    path("", include((pages, "keys"))),
]
