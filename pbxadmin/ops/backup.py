"""Backup and restore: one file with the database, the checkpoints of the log and the outcomes that wait. Never a key.

The file is a compressed tar: `manifest.json` first, then what it lists with its SHA-256. Checkpoints and outcomes are
read before the database: a checkpoint that the log of the backup does not hold yet would look like a log that was cut.
"""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Max, Q
from django.utils.crypto import get_random_string

from ivr.changes.spool import folder as spool_folder
from pbxadmin import __version__
from pbxadmin.access.models import User
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import CheckpointFile, checkpoints_file, checkpoints_path, read_checkpoints, sync_folder
from pbxadmin.audit.models import INSTALLATION_CHAIN, Event
from pbxadmin.audit.role import grants_apply
from pbxadmin.sealed import SealBroken, key_id_of, stored_secrets

from .checkpointing import log_faults
from .owner import as_owner
from .unmigrated import why_not_allowed, why_not_there
from .unrecorded import record_or_keep

FORMAT = "pbxadmin backup 1"
MANIFEST, DATABASE, CHECKPOINTS = "manifest.json", "database", "seals/heads.jsonl"
MEMBER = re.compile(rf"{DATABASE}|{re.escape(CHECKPOINTS)}|spool/[0-9a-f-]+\.json")
LIBPQ_NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
NOT_WHOLE = (tarfile.TarError, EOFError, zlib.error, KeyError, ValueError, TypeError)


class BackupFailed(Exception):
    """A backup that was not made, is not whole or does not fit here; the text is the sentence for the operator."""


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. engine: of Django. keys: ids of PBX_KEYS. files: SHA-256 by name."""

    version: str
    at: str
    engine: str
    keys: list[str]
    files: dict[str, str]


@dataclass(frozen=True)
class Checked:
    """What `backup_check` saw in the copy. opened: how many sealed values, one for each key."""

    manifest: Manifest
    events: int
    faults: list[str]
    opened: int


@contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Say what the disk or the database refused in one sentence. Raises BackupFailed."""
    try:
        yield
    except OSError as error:
        raise BackupFailed(f"{error.filename or path}: {error.strerror or error}.") from None
    except (sqlite3.Error, DatabaseError) as error:
        why = why_not_there(error) or why_not_allowed(error) if isinstance(error, DatabaseError) else ""
        raise BackupFailed(why or f"The database says: {str(error).partition(chr(10))[0]}.") from None


# --- make ---


def backup_make(path: Path) -> Manifest:
    """Write a backup to this file, whole or not at all, while others work. Raises BackupFailed."""
    with one_sentence(path), tempfile.TemporaryDirectory(prefix=".backup-", dir=path.absolute().parent) as made_in:
        folder = Path(made_in)
        copy_files(folder)
        keys = keys_in_use()
        dump(folder / DATABASE)
        keys |= keys_in_use()  # a rotation may have gone on meanwhile
        files = {str(each.relative_to(folder)): digest_of(each) for each in folder.rglob("*") if each.is_file()}
        at = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(__version__, at, connection.vendor, sorted(keys), files)
        pack(folder, manifest, folder / "whole")
        # Before it is in its place: no copy of the data is there without its event.
        record_or_keep(EventAction.BACKUP_MADE, file=path.name, backup_of=at, sha256=digest_of(folder / "whole"))
        os.replace(folder / "whole", path)
        sync_folder(path.absolute().parent)
    return manifest


def copy_files(folder: Path) -> None:
    """Copy checkpoints, whole lines only, and outcomes that wait."""
    for name in (CHECKPOINTS, "spool/x"):
        (folder / name).parent.mkdir()
    if checkpoints_path().exists():
        with checkpoints_file() as file:  # nobody writes a line meanwhile
            (folder / CHECKPOINTS).write_bytes(file.read())
    for path in spool_folder().glob("*.json"):
        try:
            shutil.copyfile(path, folder / "spool" / path.name)
        except FileNotFoundError:  # recorded meanwhile
            continue


def keys_in_use() -> set[str]:
    return {stored.key_id for stored in stored_secrets()}


def dump(path: Path) -> None:
    """Copy the database as it is at one moment."""
    if connection.vendor == "postgresql":
        with as_owner():
            run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}")
        return
    connection.ensure_connection()
    with closing(sqlite3.connect(path)) as copy:
        connection.connection.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a -wal beside it


def pack(folder: Path, manifest: Manifest, path: Path) -> None:
    (folder / MANIFEST).write_text(json.dumps({"format": FORMAT} | asdict(manifest)), encoding="utf-8")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
            for name in (MANIFEST, *manifest.files):
                tar.add(folder / name, name)
        file.flush()
        os.fsync(file.fileno())


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- open ---


@contextmanager
def unpacked(path: Path, beside: Path) -> Iterator[tuple[Path, Manifest]]:
    """Open a backup in a folder that is gone afterwards, when it is whole and fits here. Raises BackupFailed."""
    with one_sentence(path), tempfile.TemporaryDirectory(prefix=".restore-", dir=beside) as opened_in:
        folder = Path(opened_in)
        try:
            manifest = unpack(path, folder)
        except NOT_WHOLE as error:
            raise BackupFailed(
                f"{path} is not a complete backup of PBX Admin: {error or type(error).__name__}."
            ) from None
        require_fit(manifest)
        yield folder, manifest


def unpack(path: Path, folder: Path) -> Manifest:
    """Write what the manifest lists into a folder. Raises one of NOT_WHOLE for anything that is not as listed."""
    with tarfile.open(path, "r:gz") as tar:
        manifest = manifest_in(contents(tar, MANIFEST).read())
        for name, digest in manifest.files.items():
            if not MEMBER.fullmatch(name):
                raise ValueError(f"it lists {name!r}")
            (folder / name).parent.mkdir(exist_ok=True)
            with (folder / name).open("wb") as file:
                shutil.copyfileobj(contents(tar, name), file)
            if digest_of(folder / name) != digest:
                raise ValueError(f"{name} was altered")
    return manifest


def contents(tar: tarfile.TarFile, name: str) -> Any:
    found = tar.extractfile(name)
    if found is None:
        raise ValueError(f"{name} is not a file")
    return found


def manifest_in(text: bytes) -> Manifest:
    said = json.loads(text)
    if said.pop("format") != FORMAT or DATABASE not in said["files"]:
        raise ValueError("its manifest is of another format")
    return Manifest(**said)


def require_fit(manifest: Manifest) -> None:
    """Raise BackupFailed when it is of another engine, or needs a key that PBX_KEYS does not have."""
    if manifest.engine != connection.vendor:
        raise BackupFailed(f"The backup is of {manifest.engine}, and DATABASE_URL names a {connection.vendor}.")
    lacking = set(manifest.keys) - {key_id_of(key) for key in settings.PBX_KEYS}
    if lacking:
        named = ", ".join(sorted(lacking))
        raise BackupFailed(f"The backup needs the key {named}, which is not in PBX_KEYS. Add it after the newest one.")


# --- check ---


def backup_check(path: Path) -> Checked:
    """Restore into a copy that is gone afterwards, verify its log and open a sealed value of each key.

    On PostgreSQL the copy is a database of its own, which the role has to be allowed to make. Raises BackupFailed.
    """
    with unpacked(path, path.absolute().parent) as (folder, manifest), copy_of(folder / DATABASE):
        place = folder / CHECKPOINTS
        report, faults = log_faults(read_checkpoints(place) if place.exists() else CheckpointFile())
        return Checked(manifest, report.events, faults, len(opened_keys()))


def opened_keys() -> set[str]:
    """Open one value of each key that sealed any. Raises BackupFailed."""
    opened: set[str] = set()
    for stored in stored_secrets():
        if stored.key_id not in opened:
            try:
                stored.open()
            except SealBroken as error:
                raise BackupFailed(f"{stored.place} does not open. {error}") from None
            opened.add(stored.key_id)
    return opened


@contextmanager
def copy_of(database: Path) -> Iterator[None]:
    """Connect to a copy of the database of a backup during this block."""
    if connection.vendor == "sqlite":
        with using(str(database)):
            yield
        return
    name = f"pbxadmin_check_{get_random_string(8).lower()}"
    with as_owner():
        execute(f"CREATE DATABASE {name}")
        try:
            with using(name):
                load(database, [])
                yield
        finally:
            execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def using(name: str) -> Iterator[None]:
    """Connect to another database of the same server, or another file, during this block."""
    used = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = used


# --- restore ---


def backup_restore(path: Path, *, overwrite: bool = False) -> tuple[Manifest, str]:
    """Put a backup in the place of the database; return what it says, and a sentence on the checkpoints, "" for none.

    Nothing may run meanwhile. overwrite: accepts that a database with people or events is replaced. Raises
    BackupFailed.
    """
    with unpacked(path, Path(settings.DATA_DIR)) as (folder, manifest):
        if not overwrite and has_rows():
            raise BackupFailed("The database has people or events. --overwrite replaces them with the backup.")
        replace_database(folder / DATABASE)
        said = put_checkpoints(folder / CHECKPOINTS)
        for one in (folder / "spool").glob("*.json"):
            put_file(one, spool_folder() / one.name)
        restore_record(path, manifest)
    return manifest, said


def restore_record(path: Path, manifest: Manifest) -> None:
    """Record which backup this database comes from, and where its log ended: what follows is another log."""
    ends = Event.objects.aggregate(
        last_event=Max("id"), last_number=Max("sequence", filter=Q(chain=INSTALLATION_CHAIN))
    )
    facts = {"file": path.name, "sha256": digest_of(path), "backup_of": manifest.at, "version": manifest.version}
    record_or_keep(EventAction.BACKUP_RESTORED, **facts, **ends)


def has_rows() -> bool:
    there = set(connection.introspection.table_names())
    return any(model._meta.db_table in there and model._base_manager.exists() for model in (User, Event))


def replace_database(database: Path) -> None:
    """Replace all tables in one transaction: a failure leaves what was there."""
    if connection.vendor == "postgresql":
        role = str(connection.settings_dict["USER"])
        with as_owner():
            tables = [connection.ops.quote_name(table) for table in connection.introspection.table_names()]
            load(database, [f"DROP TABLE {', '.join(tables)} CASCADE"] if tables else [])
            if settings.MIGRATE_DATABASE is not None:
                grants_apply(role)
        return
    connection.ensure_connection()
    with closing(sqlite3.connect(database)) as source:
        source.backup(connection.connection)
    connection.close()


def load(database: Path, first: list[str]) -> None:
    """Execute these statements and then the dump, in one transaction."""
    script = database.with_suffix(".sql")
    run("pg_restore", "--no-owner", "--no-privileges", "--clean", "--if-exists", f"--file={script}", database, to="")
    words = [f"--command={statement}" for statement in first]
    connection.close()
    run("psql", "-X", "-q", "--single-transaction", "--set=ON_ERROR_STOP=1", *words, f"--file={script}")


def put_checkpoints(place: Path) -> str:
    """Keep the checkpoints of this machine where they go on from those of the backup; else put the backup's in place.

    Return a sentence when others were set aside.
    """
    if not place.exists():
        return ""
    kept, here = place.read_bytes(), checkpoints_path()
    there = here.read_bytes() if here.exists() else b""
    if there.startswith(kept):
        return ""
    aside = ""
    if not kept.startswith(there):
        before = here.with_name(f"{here.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        os.replace(here, before)
        aside = f"Other checkpoints were here. They are kept as {before}."
    put_file(place, here)
    return aside


def put_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all, readable by its owner alone."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(source.read_bytes())
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, target)


# --- PostgreSQL's own programs ---


def run(program: str, *words: str | Path, to: str | None = None) -> None:
    """Run a program of PostgreSQL on the database of this connection. Raises BackupFailed with its last line.

    The address goes by a file, since the words of a process are for everybody to read. to: "" for no database.
    """
    with tempfile.NamedTemporaryFile("w", prefix="pbxadmin-service-", encoding="utf-8") as service:
        service.write("[pbxadmin]\n" + "".join(f"{name}={value}\n" for name, value in address().items()))
        service.flush()
        where = ["--dbname=service=pbxadmin"] if to is None else []
        environment = os.environ | {"PGSERVICEFILE": service.name}
        try:
            done = subprocess.run(  # noqa: S603 - a program that we name
                [program, *where, *words], env=environment, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            raise BackupFailed(f"{program} is not there. Install the client programs of PostgreSQL.") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "rror" in line] or done.stderr.splitlines() or [""]
        raise BackupFailed(f"{program} failed: {lines[0]}")


def address() -> Mapping[str, str]:
    """Return where this connection leads, in the words of libpq."""
    at = connection.settings_dict
    named = {name: at[its] for name, its in LIBPQ_NAMES.items()}
    options = {name: value for name, value in at["OPTIONS"].items() if isinstance(value, str)}
    return {name: str(value) for name, value in (named | options).items() if value}


def execute(statement: str) -> None:
    """Execute a statement that takes no transaction."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
