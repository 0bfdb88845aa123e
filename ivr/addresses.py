"""Addresses of IVRs."""

from django.urls import reverse

from pbxadmin.yeastar.readings import ADDRESSABLE


def ivr_address(pbx_id: int, number: str) -> str:
    """Return the page of an IVR, or the list of its PBX for a number that no address can hold."""
    if not ADDRESSABLE.fullmatch(number):
        return reverse("ivr:ivr-list", args=[pbx_id])
    return reverse("ivr:ivr-page", args=[pbx_id, number])
