"""Registry of drivers. The API version of a PBX record names its driver."""

from .driver import Driver
from .fields import ApiVersion, IvrField
from .s_series.codes import meaning
from .s_series.driver import SSeriesDriver

DRIVERS: dict[str, Driver] = {version.value: SSeriesDriver(version) for version in ApiVersion}


def driver_of(api_version: str) -> Driver:
    """Return the driver for an API version. Raises KeyError for a version without a driver."""
    return DRIVERS[api_version]


def api_versions() -> tuple[tuple[str, str], ...]:
    """Return the value and label of each API version that has a driver, as choices of a form."""
    return tuple((version, version) for version in DRIVERS)


def writable_fields(api_version: str) -> tuple[IvrField, ...]:
    """Return the fields that this version of the API can change, in the order of the page."""
    return tuple(field for field in driver_of(api_version).fields if api_version in field.writable)


def is_writable(name: str, api_version: str) -> bool:
    return any(field.name == name for field in writable_fields(api_version))


def recorded_meaning(code: str, words: str) -> str:
    """Return the meaning of a code that was recorded. Vendors give the same code different meanings.

    words: the error as it was recorded with the code, "" when only the code was. Only the S-Series had such records.
    """
    return words.removesuffix(".").removesuffix(f" ({code})") if words else meaning(code).text
