from django.urls import path, register_converter

from .views import changes, edit, lists, outside, restore, ring


class IvrNumber:
    """Only such numbers stand in a URL; any other is shown without a link."""

    regex = "[0-9*#]{1,32}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(IvrNumber, "number")
app_name = "ivr"
urlpatterns = [
    path("ivrs/", lists.ivr_list_all, name="ivr-list-all"),
    path("ivrs/spread/", lists.ivr_spread, name="spread"),
    path("ivrs/refresh/", lists.refresh_all, name="refresh-all"),
    path("refreshes/<int:pk>/", lists.refresh_page, name="refresh-page"),
    path("pbxs/<int:pbx_id>/refresh/", lists.pbx_refresh_view, name="pbx-refresh"),
    path("pbxs/<int:pbx_id>/ivrs/", lists.ivr_list, name="ivr-list"),
    path("pbxs/<int:pbx_id>/ivrs/<number:number>/", lists.ivr_page, name="ivr-page"),
    path("pbxs/<int:pbx_id>/ivrs/<number:number>/edit/", edit.ivr_edit, name="ivr-edit"),
    path("pbxs/<int:pbx_id>/ivrs/<number:number>/ring/", ring.ivr_ring_view, name="ivr-ring"),
    path("changes/", changes.change_list, name="change-list"),
    path("changes/<int:pk>/", changes.change_page, name="change-page"),
    path("changes/restore/<int:event_id>/", restore.restore, name="restore"),
    path("outside/", outside.outside_list, name="outside-list"),
    path("outside/accept/", outside.outside_accept_many, name="outside-accept-many"),
    path("outside/<int:event_id>/accept/", restore.outside_accept_view, name="outside-accept"),
    path("changes/<int:pk>/apply/", changes.change_apply_view, name="change-apply"),
    path("changes/<int:pk>/check/", changes.change_check_view, name="change-check"),
    path("changes/<int:pk>/resolve/", changes.change_resolve_view, name="change-resolve"),
    path("changes/<int:pk>/receipt.txt", changes.change_receipt, name="change-receipt"),
]
