"""Requests as the S-Series driver makes them, for tests of what carries them."""

from collections.abc import Mapping

from pbxadmin.yeastar.driver import CallKind, PbxRequest, Text
from pbxadmin.yeastar.secret import Secret


def s_series_request(name: str, body: Mapping[str, Text] | None = None, token: Secret | None = None) -> PbxRequest:
    return PbxRequest(CallKind.LOGIN, name, f"/api/v1.0.0/{name}", body, query={"token": token} if token else {})
