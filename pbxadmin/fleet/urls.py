from django.urls import path

from .views import connection, health, imports, pbxs, saved_filters

app_name = "fleet"
urlpatterns = [
    path("filters/", saved_filters.filter_add, name="filter-add"),
    path("filters/<int:pk>/delete/", saved_filters.filter_remove, name="filter-remove"),
    path("pbxs/", pbxs.pbx_list, name="pbx-list"),
    path("pbxs/add/", pbxs.pbx_add, name="pbx-add"),
    path("pbxs/health/", health.fleet_health, name="health"),
    path("pbxs/import/", imports.pbx_import, name="pbx-import"),
    path("pbxs/import/<int:pk>/", imports.pbx_import_preview, name="pbx-import-preview"),
    path("pbxs/<int:pk>/", pbxs.pbx_page, name="pbx-page"),
    path("pbxs/<int:pk>/edit/", pbxs.pbx_edit_view, name="pbx-edit"),
    path("pbxs/<int:pk>/test/", connection.pbx_test, name="pbx-test"),
    path("pbxs/<int:pk>/use-version/", connection.pbx_use_version, name="pbx-use-version"),
    path("pbxs/<int:pk>/pin/", connection.pbx_pin_view, name="pbx-pin"),
    path("pbxs/<int:pk>/accept/", connection.pbx_accept, name="pbx-accept"),
    path("pbxs/<int:pk>/disable/", pbxs.pbx_switch_view, {"enabled": False}, name="pbx-disable"),
    path("pbxs/<int:pk>/enable/", pbxs.pbx_switch_view, {"enabled": True}, name="pbx-enable"),
    path("pbxs/<int:pk>/delete/", pbxs.pbx_delete_view, name="pbx-delete"),
]
