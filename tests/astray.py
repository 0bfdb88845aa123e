"""An environment that would lead an HTTP client astray: to proxies, to other certificates, to a stranger's password."""

from collections.abc import Iterator
from pathlib import Path

import pytest

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True, scope="package")
def environment_leads_astray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run every test of a package that imports this in such an environment."""
    netrc: Path = tmp_path_factory.mktemp("astray") / "netrc"
    netrc.write_text("default login stranger password canary\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETRC", str(netrc))
        for name in CERTIFICATES:
            patch.setenv(name, "/no/such/file")
        for name in PROXIES:
            patch.setenv(name, "http://127.0.0.1:9")
            patch.setenv(name.lower(), "http://127.0.0.1:9")
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "")
        yield
