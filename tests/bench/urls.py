"""The product's addresses, and a Django admin of the same models at /admin/."""

from django.contrib.admin import AdminSite, ModelAdmin, display
from django.urls import path

from ivr.models import Change, Ivr
from pbxadmin.access.models import Customer
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.urls import handler403, handler404, handler500
from pbxadmin.urls import urlpatterns as ours

__all__ = ["handler403", "handler404", "handler500", "urlpatterns"]


class IvrAdmin(ModelAdmin[Ivr]):
    """The columns, the order and the search of our own list, by the means of the admin."""

    list_display = (
        *("number", "name", "pbx", "customer", "response_timeout", "prompt_repeat", "digit_timeout"),
        *("dial_extension", "check_voicemail", "dial_outbound", "read_at"),
    )
    list_select_related = ("pbx__customer",)
    list_per_page = 50
    ordering = ("pbx__name", "number", "id")
    search_fields = (
        *("number", "name", "pbx__name", "pbx__site", "pbx__main_numbers", "pbx__notes"),
        "pbx__customer__name",
    )

    @display(ordering="pbx__customer__name")
    def customer(self, ivr: Ivr) -> str:
        return ivr.pbx.customer.name


class LeanIvrAdmin(IvrAdmin):
    """The same with what the admin's own documentation offers to make it faster."""

    show_full_result_count = False


class PbxAdmin(ModelAdmin[Pbx]):
    list_display = ("name", "customer", "site", "host", "api_version", "state", "read_at")
    list_select_related = ("customer",)
    list_per_page = 50


class CustomerAdmin(ModelAdmin[Customer]):
    list_display = ("name",)
    list_per_page = 50


class ChangeAdmin(ModelAdmin[Change]):
    list_display = ("planned_at", "customer_name", "pbx_name", "number", "status", "planned_by_name", "ticket")
    list_per_page = 50


class EventAdmin(ModelAdmin[Event]):
    list_display = ("at", "action", "outcome", "customer_name", "pbx_name", "ivr_number", "actor_name", "ticket")
    list_per_page = 50


admin = AdminSite("admin")
admin.register(Ivr, IvrAdmin)
admin.register(Pbx, PbxAdmin)
admin.register(Customer, CustomerAdmin)
admin.register(Change, ChangeAdmin)
admin.register(Event, EventAdmin)
lean_admin = AdminSite("lean")
lean_admin.register(Ivr, LeanIvrAdmin)
urlpatterns = [*ours, path("admin/", admin.urls), path("lean/", lean_admin.urls)]
