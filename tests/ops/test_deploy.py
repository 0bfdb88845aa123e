"""The files of `deploy/` that no test can run: what was found out by running them stays in them."""

from configparser import ConfigParser

from django.conf import settings

DEPLOY = settings.BASE_DIR / "deploy"
LOCKS = ("Protect", "Private", "Restrict", "SystemCall", "NoNew", "Lock", "Capability", "UMask")


def test_the_backup_is_locked_in_as_the_service_is() -> None:
    service, backup = (_locks(name) for name in ("pbxadmin.service", "pbxadmin-backup.service"))
    assert len(service) > 15
    assert backup == service


def test_the_database_is_healthy_only_once_it_answers_by_tcp() -> None:
    """While the image of PostgreSQL makes the database, its server answers on the socket alone, and goes away again."""
    assert "[CMD, pg_isready, -h, 127.0.0.1, " in (DEPLOY / "compose.yaml").read_text()


def _locks(unit: str) -> dict[str, str]:
    """Return the lines of a unit that take something from its service, by their names."""
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / unit)
    return {name: value for name, value in parser["Service"].items() if name.startswith(LOCKS)}
