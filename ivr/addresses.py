"""Addresses of IVRs, in one place: a number may hold what means something else in an address."""

from functools import lru_cache
from urllib.parse import quote

from django.urls import reverse

from pbxadmin.yeastar.readings import ADDRESSABLE


@lru_cache(maxsize=1024)  # a list of IVRs asks for it in each of its rows
def ivr_list_address(pbx_id: int) -> str:
    """Return the address of the list of a PBX's IVRs."""
    return reverse("ivr:ivr-list", args=[pbx_id])


def ivr_page_address(pbx_id: int, number: str) -> str:
    """Return the address of the page of an IVR, or "" if its number cannot stand in one."""
    return f"{ivr_list_address(pbx_id)}{quote(number, safe='*')}/" if ADDRESSABLE.fullmatch(number) else ""


def ivr_address(pbx_id: int, number: str) -> str:
    """Return the address where an IVR is found: its page, else the list of its PBX."""
    return ivr_page_address(pbx_id, number) or ivr_list_address(pbx_id)
