from django.urls import path

from . import filter_views, views

app_name = "fleet"
urlpatterns = [
    path("filters/", filter_views.filter_add, name="filter-add"),
    path("filters/<int:pk>/delete/", filter_views.filter_remove, name="filter-remove"),
    path("pbxs/", views.pbx_list, name="pbx-list"),
    path("pbxs/add/", views.pbx_add, name="pbx-add"),
    path("pbxs/import/", views.pbx_import, name="pbx-import"),
    path("pbxs/import/<int:pk>/", views.pbx_import_preview, name="pbx-import-preview"),
    path("pbxs/<int:pk>/", views.pbx_page, name="pbx-page"),
    path("pbxs/<int:pk>/edit/", views.pbx_edit, name="pbx-edit"),
    path("pbxs/<int:pk>/test/", views.pbx_test, name="pbx-test"),
    path("pbxs/<int:pk>/use-version/", views.pbx_use_version, name="pbx-use-version"),
    path("pbxs/<int:pk>/pin/", views.pbx_pin, name="pbx-pin"),
    path("pbxs/<int:pk>/accept/", views.pbx_accept, name="pbx-accept"),
    path("pbxs/<int:pk>/disable/", views.pbx_switch, {"enabled": False}, name="pbx-disable"),
    path("pbxs/<int:pk>/enable/", views.pbx_switch, {"enabled": True}, name="pbx-enable"),
    path("pbxs/<int:pk>/delete/", views.pbx_delete, name="pbx-delete"),
]
