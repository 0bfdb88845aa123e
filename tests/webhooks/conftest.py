from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pbxadmin.yeastar.transport import tls_context
from tests.yeastar.servers import Signer

from .receiver import Receiver


@pytest.fixture(scope="session")
def authority() -> Signer:
    return Signer("Webhooks CA")


@pytest.fixture(autouse=True)
def trusts_the_authority(authority: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system trusts this authority and no other."""
    bundle = tmp_path / "cas.pem"
    bundle.write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    tls_context.cache_clear()
    yield bundle
    tls_context.cache_clear()


@pytest.fixture
def make_receiver(authority: Signer) -> Iterator[Callable[[], Receiver]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Receiver(authority.context()))


@pytest.fixture
def receiver(make_receiver: Callable[[], Receiver]) -> Receiver:
    return make_receiver()
