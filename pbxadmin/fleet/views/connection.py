"""Pages around the connection of a PBX: test it, use the version and the certificate that it found, accept a device."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render

from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.fleet import services
from pbxadmin.fleet.connection_test import connection_test
from pbxadmin.fleet.decorators import waits_for_pbx
from pbxadmin.fleet.engineer import engineer_text
from pbxadmin.fleet.forms import PinForm, ReplacementForm
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.testing_rate import TooManyTests, count_connection_test
from pbxadmin.web.posting import post_only
from pbxadmin.web.site import site_address

from .common import managed_pbx, to_pbx_page


@login_required
@post_only("fleet:pbx-page", "pk")
@waits_for_pbx
def pbx_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Test the connection now and show what each step found; the page is the answer to the POST."""
    return test_and_show(request, managed_pbx(request, pk), detects="detect" in request.POST)


def test_and_show(request: HttpRequest, pbx: Pbx, *, detects: bool) -> HttpResponse:
    """Test a connection and show it, unless this person tests too often. A PBX that passes is read if it never was."""
    try:
        count_connection_test(request)
    except TooManyTests as error:
        messages.error(request, str(error))
        return to_pbx_page(request, pbx)
    test = connection_test(pbx, f"{request.user} is testing the connection", detects=detects)
    link = f"{site_address(request)}{pbx.get_absolute_url()}"
    engineer = "" if test.passed else engineer_text(pbx, link, test=test)
    context = {"pbx": pbx, "test": test, "reads": test.passed and pbx.read_at is None, "engineer": engineer}
    return render(request, "fleet/pbx_test.html", context)


@login_required
@post_only("fleet:pbx-page", "pk")
@requires_reauthentication
def pbx_use_version(request: HttpRequest, pk: int) -> HttpResponse:
    """Use the API version that the connection test found."""
    pbx = managed_pbx(request, pk)
    if not pbx.capability or request.POST.get("version") != pbx.capability:
        messages.error(request, "Nothing was changed. Test the connection again to see which version answers.")
        return to_pbx_page(request, pbx)
    services.pbx_edit(pbx=pbx, values={"api_version": pbx.capability})
    messages.success(request, f"{pbx.name} uses API {pbx.capability} from now on. Test the connection.")
    return to_pbx_page(request, pbx)


@login_required
@post_only("fleet:pbx-page", "pk")
@requires_reauthentication
@waits_for_pbx
def pbx_pin_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Pin the certificate that the test showed: no other is trusted from now on. Then the test goes on."""
    pbx = managed_pbx(request, pk)
    form = PinForm(request.POST, pbx=pbx)
    if "fingerprint" in form.errors:
        return HttpResponseBadRequest("This is not a fingerprint.")
    if form.errors:
        messages.error(request, "Nothing was pinned. Replacing the pinned certificate needs a reason.")
        return to_pbx_page(request, pbx)
    services.pbx_pin(pbx=pbx, fingerprint=form.cleaned_data["fingerprint"], reason=form.cleaned_data["reason"])
    messages.success(request, f"The certificate is pinned. {pbx.name} is trusted only with this certificate.")
    return test_and_show(request, managed_pbx(request, pk), detects=False)


@login_required
@post_only("fleet:pbx-page", "pk")
@requires_reauthentication
def pbx_accept(request: HttpRequest, pk: int) -> HttpResponse:
    """Accept the device that answers now in place of the one that was known."""
    pbx = managed_pbx(request, pk)
    form = ReplacementForm(request.POST)
    if not form.is_valid() or form.cleaned_data["serial"] != pbx.other_serial:
        messages.error(request, "Nothing was accepted. Check the serial number again and give a reason.")
        return to_pbx_page(request, pbx)
    services.pbx_accept_replacement(pbx=pbx, reason=form.cleaned_data["reason"])
    messages.success(request, f"{pbx.name} is now the device with serial {pbx.other_serial}.")
    return to_pbx_page(request, pbx)
