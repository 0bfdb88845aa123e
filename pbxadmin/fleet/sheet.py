"""PBX records as a table: the columns that an export writes and an import reads."""

from .models import Pbx

EXPORTED = (
    *("customer", "name", "scheme", "host", "port", "api_version", "username", "trust", "fingerprint"),
    *("ca_certificate", "tls_profile", "site", "main_numbers", "tags", "notes"),
)
COLUMNS = (*EXPORTED, "password")


def exported(pbx: Pbx) -> list[str]:
    """One row, in the order of EXPORTED. Never a secret."""
    return [str(getattr(pbx, column)) for column in EXPORTED]
