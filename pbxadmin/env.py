"""Readers of the environment, which settings.py is made of. A wrong value stops start-up with one sentence.

Every name can also come from a file: NAME_FILE holds the path. Secrets are looked for in DATA_DIR as a last resort,
which is where `manage.py demo` puts them.
"""

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Collection
from difflib import get_close_matches
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}  # which a browser leaves out
EMAIL_BACKENDS = {
    "console": "django.core.mail.backends.console.EmailBackend",
    "memory": "django.core.mail.backends.locmem.EmailBackend",
    "file": "django.core.mail.backends.filebased.EmailBackend",
    "smtp": "django.core.mail.backends.smtp.EmailBackend",
}
# Without these nothing is served and no secret is opened. What each of them is, for the sentence that asks for it.
REQUIRED_SECRETS = {
    "SECRET_KEY": "a long random text that signs sessions and forms",
    "PBX_KEYS": "the key ring that seals PBX passwords",
}


# What DATABASE_URL may say after the ?, for libpq; `pooler` is ours. Where libpq would go on without a file that is not
# there, or with less than was asked for, we do not.
OPTION_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "channel_binding": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "keepalives": ("0", "1"),
    "pooler": ("transaction",),
}
OPTION_NUMBERS = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
OPTION_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
OPTION_TEXTS = ("sslpassword", "application_name", "options")
ENCRYPTING = ("verify-full", "verify-ca", "require")
# What libpq ignores without another option, or on a socket.
OPTION_NEEDS = {"sslkey": "sslcert", "sslpassword": "sslkey", "sslcrl": "sslrootcert"}
OF_THE_NETWORK = ("ssl", "keepalives", "tcp_user_timeout")
SINK_PORTS = {"syslog+tcp": 601, "syslog+tls": 6514}  # those that RFC 3195 and RFC 5425 registered


NAMES_READ: set[str] = set()
# Names that begin so are ours, unless a cluster made them of a service called pbx-something.
OUR_PREFIXES = ("PBX_", "OIDC_", "SEAL_")
OF_A_SERVICE = re.compile(r"_SERVICE_(HOST|PORT)|_PORT_[0-9]+_(TCP|UDP)")


class BadSetting(SystemExit):
    """A wrong or missing value. Stops start-up with one sentence on standard error and exit code 1."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")


# --- plain values ---


def text(name: str, default: str = "") -> str:
    """Read a text, without blanks around it. Raises BadSetting when it is given twice or its file cannot be read."""
    NAMES_READ.update((name, f"{name}_FILE"))
    path = os.environ.get(f"{name}_FILE")
    if path is None:
        return os.environ.get(name, default).strip()
    if name in os.environ:
        raise BadSetting(name, f"is given twice: as {name} and as {name}_FILE. Keep one.")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{name}_FILE", f"names a file that cannot be read: {error}.") from None


def flag(name: str, default: bool) -> bool:
    """Read true or false. Raises BadSetting for anything else."""
    value = text(name, "true" if default else "false")
    if value not in ("true", "false"):
        raise BadSetting(name, f"must be true or false, not {value!r}.")
    return value == "true"


def number(name: str, default: int, low: int, high: int) -> int:
    """Read a whole number from low to high. Raises BadSetting for anything else."""
    value = text(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
        raise BadSetting(name, f"must be a whole number from {low} to {high}, not {value!r}.")
    return int(value)


def words(name: str, default: str = "") -> list[str]:
    """Read texts that commas separate; empty ones are left out."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def choices(name: str, what: str, allowed: Collection[str]) -> list[str]:
    """Read words out of those that are allowed. Raises BadSetting for any other. what: what they are, in the plural."""
    for value in words(name):
        if value not in allowed:
            raise BadSetting(name, f"must be {what} out of {', '.join(allowed)}; not {value!r}.")
    return words(name)


def folder_path(name: str, default: Path) -> Path:
    """Read the path of a folder. Raises BadSetting for an empty one, which would be wherever we were started."""
    path = text(name, str(default))
    if not path:
        raise BadSetting(name, "is empty. It names a folder.")
    return Path(path).absolute()


def refuse_unread() -> None:
    """Raise BadSetting for a variable that looks like a setting and that nothing read, such as a misspelled one."""
    for name, value in sorted(os.environ.items()):
        is_ours = name.startswith(OUR_PREFIXES) and not OF_A_SERVICE.search(name) and not value.startswith("tcp://")
        if is_ours and name not in NAMES_READ:
            nearest = get_close_matches(name, sorted(NAMES_READ), 1, 0.8)
            raise BadSetting(
                name, f"is not a setting. Did you mean {nearest[0]}?" if nearest else "is not a setting of PBX Admin."
            )


# --- addresses ---


def hosts(name: str, default: str) -> list[str]:
    """Read names of hosts; one with a leading dot stands for all below it. Raises BadSetting for what matches none."""
    found = words(name, default)
    for value in found or [""]:
        if not re.fullmatch(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", value.lower()):
            raise BadSetting(
                name,
                f"must name each host, such as pbx.example.com or [::1], without scheme, port and *, not {value!r}.",
            )
    return found


def networks(name: str) -> list[str]:
    """Read networks such as 10.0.0.0/8. Raises BadSetting for anything else."""
    for value in words(name):
        try:
            ipaddress.ip_network(value)
        except ValueError:
            raise BadSetting(name, f"must be networks such as 10.0.0.0/8, not {value!r}.") from None
    return words(name)


def ports(name: str) -> list[range]:
    """Read ports and ranges of ports such as 443,8000-8999. Raises BadSetting for anything else."""
    found = [re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", value) for value in words(name)]
    ends = [(int(part[1]), int(part[2] or part[1])) if part else (0, 0) for part in found]
    if not all(1 <= first <= last <= 65535 for first, last in ends):
        raise BadSetting(name, f"must be ports and ranges such as 443,8000-8999, not {text(name)!r}.")
    return [range(first, last + 1) for first, last in ends]


def site_url(name: str, allowed_hosts: Collection[str]) -> tuple[str, bool]:
    """Read the address of this site, as browsers write an origin, and tell whether it is https.

    Raises BadSetting for http, unless only loopback is allowed or INSECURE_HTTP=true accepts it.
    """
    url, accepts_http = text(name), flag("INSECURE_HTTP", False)
    parts = re.fullmatch(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?", url.lower())
    if url and (parts is None or not 1 <= int(parts[3] or 1) <= 65535):
        raise BadSetting(name, f"must look like https://pbx.example.com, not {url!r}.")
    url = parts[0].rstrip("/").removesuffix(DEFAULT_PORTS[parts[1]]) if parts else ""
    if url.startswith("https://"):
        if accepts_http:
            raise BadSetting("INSECURE_HTTP", "has no effect, since SITE_URL is https. Remove one of them.")
        return url, True
    only_loopback = all(host in LOOPBACK_NAMES for host in allowed_hosts)
    if not only_loopback and not accepts_http:
        raise BadSetting(name, "must start with https:// when ALLOWED_HOSTS reaches beyond this machine.")
    return url, False


def single_sign_on(name: str) -> str:
    """Read the address of an OpenID provider. http is for this machine only: its answers say who signs in."""
    url = text(name).rstrip("/")
    is_good = re.fullmatch(r"https://[^\s@?#]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/[^\s@?#]*)?", url)
    if url and not is_good:
        raise BadSetting(name, f"must look like https://login.example.com/realm, not {url!r}.")
    return url


def sender(name: str, default: str) -> str:
    """Read the address that e-mail comes from, such as PBX Admin <pbx@example.com>."""
    value = text(name, default)
    _, address = parseaddr(value)
    if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) or not value.isprintable():
        raise BadSetting(name, f"must look like PBX Admin <pbx@example.com>, not {value!r}.")
    return value


def addresses(name: str) -> list[str]:
    """Read e-mail addresses without names. Raises BadSetting for anything else."""
    for value in words(name):
        if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", value) or not value.isprintable():
            raise BadSetting(name, f"must be addresses such as audit@example.com, not {value!r}.")
    return words(name)


# --- secrets and the private folder ---


def private_folder(name: str, path: Path) -> Path:
    """Make a folder for its owner alone, unless it is there. Raises BadSetting when it cannot be made."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(name, f"names a folder that cannot be made: {error.strerror}.") from None
    return path


def secret(name: str, folder: Path) -> str:
    """Read a secret from the environment, its file, or <folder>/<name in lower case>; "" when it is nowhere."""
    stored = folder / name.lower()
    return text(name) or (stored.read_text(encoding="utf-8").strip() if stored.is_file() else "")


def key_ring(name: str, folder: Path) -> list[bytes]:
    """Read a secret of keys, 32 bytes each in URL-safe base64, comma-separated, newest first; [] when it is nowhere."""
    ring = secret(name, folder)
    keys = []
    for position, value in enumerate(ring.split(",") if ring else (), 1):
        try:
            key = base64.b64decode(value.strip().encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise BadSetting(name, f"key {position} is not 32 bytes in URL-safe base64.")
        keys.append(key)
    return keys


def token(name: str) -> str:
    """Read a token of at least 32 printable ASCII characters without blanks; "" for none. Raises BadSetting."""
    value = text(name)
    if value and not re.fullmatch(r"[!-~]{32,}", value):
        raise BadSetting(name, "must be at least 32 characters of ASCII, without blanks.")
    return value


def missing_secret(name: str) -> BadSetting:
    """Return the sentence that asks for a secret."""
    return BadSetting(name, f"is not set. It is {REQUIRED_SECRETS[name]}; `manage.py demo` makes one for you.")


# --- database and e-mail ---


def database(name: str, url: str) -> dict[str, object]:
    """Return Django's settings for sqlite:///path or postgres://user:password@host:port/name?options.

    Raises BadSetting for anything that would be dropped. Its sentence never repeats a value: it may be a secret.
    """
    parts = urlsplit(url)
    if parts.fragment:
        raise BadSetting(name, "has a #, which must be written as %23.")
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        return sqlite_file(name, parts)
    if parts.scheme in ("postgres", "postgresql") and len(parts.path) > 1:
        return postgresql(name, parts)
    raise BadSetting(name, "must look like sqlite:///path/file.sqlite3 or postgres://user:password@host/name.")


def sqlite_file(name: str, parts: SplitResult) -> dict[str, object]:
    if parts.query:
        raise BadSetting(name, "has options, which SQLite does not take.")
    return {
        "ENGINE": "pbxadmin.sqlite",
        "NAME": unquote(parts.path[1:]),
        "OPTIONS": {
            # IMMEDIATE ends "database is locked"; FULL because an intent must survive a power cut.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA mmap_size=134217728;"
            "PRAGMA journal_size_limit=27103364;PRAGMA cache_size=2000;",
        },
    }


def postgresql(name: str, parts: SplitResult) -> dict[str, object]:
    host, options = unquote(parts.hostname or ""), libpq_options(name, parts.query)
    is_socket = not host or host.startswith(("/", "@"))
    for option in options:
        if reason := why_ignored(option, options, is_socket):
            raise BadSetting(name, f"has the option {option}, which {reason}.")
    pooled = {"DISABLE_SERVER_SIDE_CURSORS": True} if options.pop("pooler", "") else {}
    # A transaction of a pooler may come to a connection that another one has prepared its statements on.
    prepared: dict[str, object] = {"prepare_threshold": None} if pooled else {}
    return pooled | {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port_of(name, parts, 5432)),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": prepared | options,
    }


def port_of(name: str, parts: SplitResult, default: int) -> int:
    try:
        port = default if parts.port is None else parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise BadSetting(name, "has a port that is not a number from 1 to 65535.")
    return port


def libpq_options(name: str, query: str) -> dict[str, str]:
    """Read the options of a PostgreSQL address, as libpq does: a + stays a +."""
    pairs = [part.partition("=") for part in query.split("&")] if query else []
    options: dict[str, str] = {}
    for option, _, value in pairs:
        if problem := option_problem(option, unquote(value)):
            raise BadSetting(name, f"has the option {option}{problem}.")
        if option in options:
            raise BadSetting(name, f"has the option {option} twice.")
        options[option] = unquote(value)
    return options


def why_ignored(option: str, options: dict[str, str], is_socket: bool) -> str:
    """Return why libpq would ignore an option beside these others, as the end of a sentence; "" if it would not."""
    if is_socket and option.startswith(OF_THE_NETWORK):
        return "PostgreSQL ignores on a socket. Name a host"
    mode = options.get("sslmode", "verify-full" if options.get("sslrootcert") == "system" else "prefer")
    if option.startswith("ssl") and option != "sslmode" and mode not in ENCRYPTING:
        return f"PostgreSQL ignores unless sslmode is {' or '.join(ENCRYPTING)}"
    if (needed := OPTION_NEEDS.get(option, option)) not in options:
        return f"goes with {needed}"
    if option.startswith("keepalives_") and options.get("keepalives") == "0":
        return "PostgreSQL ignores with keepalives=0"
    return ""


def option_problem(option: str, value: str) -> str:
    """Return what is wrong with one option of libpq, as the end of a sentence that begins with it; "" if nothing is."""
    known = [*OPTION_CHOICES, *OPTION_NUMBERS, *OPTION_FILES, *OPTION_TEXTS]
    if option not in known:
        return f", which is none of {', '.join(known)}"
    if not value:
        return " without a value"
    choices = OPTION_CHOICES.get(option, (value,))
    if value not in choices:
        return f", which must be {' or '.join(choices)}"
    if option in OPTION_NUMBERS and not re.fullmatch("[0-9]{1,9}", value):
        return ", which must be a whole number"
    if option in OPTION_FILES and not is_readable_file(value) and (option, value) != ("sslrootcert", "system"):
        return ", whose file cannot be read"
    return ""


def is_readable_file(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.R_OK)


def owner(name: str, used: dict[str, object]) -> dict[str, object] | None:
    """Return the same database for its owner, as whom `migrate` runs; None when DATABASE_URL is the owner's own."""
    if not text(name):
        return None
    its = database(name, text(name))
    if any(its.get(part) != used.get(part) for part in ("ENGINE", "HOST", "PORT", "NAME")) or "HOST" not in its:
        raise BadSetting(name, "must name the same PostgreSQL database as DATABASE_URL, and its owner.")
    if its["USER"] == used["USER"]:
        raise BadSetting(name, "must name another user than DATABASE_URL: the owner of the tables.")
    return its


def email(url: str) -> dict[str, object]:
    """Return Django's settings for where e-mail goes. Raises BadSetting for a password that would travel in the clear.

    console: (printed), file:///folder (a file each), memory: (tests), smtp://user:password@host:port (?tls=true for
    STARTTLS) or smtps://user:password@host:port
    """
    parts = urlsplit(url)
    if parts.scheme in ("console", "memory") and url == f"{parts.scheme}:":
        return {"EMAIL_BACKEND": EMAIL_BACKENDS[parts.scheme]}
    if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1 and not parts.query + parts.fragment:
        return {"EMAIL_BACKEND": EMAIL_BACKENDS["file"], "EMAIL_FILE_PATH": unquote(parts.path)}
    return smtp_server(parts)


def smtp_server(parts: SplitResult) -> dict[str, object]:
    """Return Django's settings for a mail server. Raises BadSetting for one that is not whole, or not safe."""
    is_tls = parts.scheme == "smtps" or parts.query == "tls=true"
    is_smtp = parts.scheme in ("smtp", "smtps") and parts.path in ("", "/") and not parts.fragment
    if not is_smtp or not parts.hostname or parts.query not in ("", "tls=true", "tls=false"):
        raise BadSetting("EMAIL_URL", "must look like smtps://user:password@host:port, smtp://host:port or console:.")
    if parts.scheme == "smtps" and parts.query:
        raise BadSetting("EMAIL_URL", "says smtps and ?tls= at once. Keep one: smtps, or smtp with ?tls=true.")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise BadSetting("EMAIL_URL", "has a port that is not a number from 1 to 65535.")
    if bool(parts.username) != bool(parts.password):
        raise BadSetting("EMAIL_URL", "needs a user and a password, or neither.")
    if parts.password and not is_tls and parts.hostname not in (*LOOPBACK_NAMES, "::1"):
        raise BadSetting("EMAIL_URL", "would send its password in the clear. Use smtps://, or smtp:// with ?tls=true.")
    return {
        "EMAIL_BACKEND": EMAIL_BACKENDS["smtp"],
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or (465 if parts.scheme == "smtps" else 587 if is_tls else 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_USE_TLS": is_tls and parts.scheme == "smtp",
    }


# --- a SIEM ---


def event_sink(name: str) -> dict[str, Any]:
    """Read where events go beside the log, as file:///path, syslog+tls://host:port or syslog+tcp://host:port.

    After a ?: format=json or cef, and for TLS ca=path. Returns name (the address without options), scheme, form, and
    path, or host, port and ca; {} for none. Raises BadSetting for anything else.
    """
    url = text(name)
    if not url:
        return {}
    parts, options = urlsplit(url), sink_options(name, url)
    if parts.scheme == "syslog+udp":
        raise BadSetting(name, "says syslog+udp, which loses events without a word. Use syslog+tls or syslog+tcp.")
    if options.get("ca") and parts.scheme != "syslog+tls":
        raise BadSetting(name, "has the option ca, which goes with syslog+tls.")
    if parts.scheme == "file":
        return sink_file(name, parts) | {"scheme": "file", **options}
    is_server = parts.scheme in SINK_PORTS and parts.hostname and parts.path in ("", "/")
    if not is_server or parts.fragment or "@" in parts.netloc:
        raise BadSetting(
            name,
            "must look like file:///var/log/pbxadmin/events.jsonl, syslog+tls://siem.example.com or"
            " syslog+tcp://siem.example.com:601, with ?format=cef or ?format=json.",
        )
    port = port_of(name, parts, SINK_PORTS[parts.scheme])
    host = parts.hostname or ""
    address = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    return {"name": address, "scheme": parts.scheme, "host": host, "port": port, **options}


def sink_options(name: str, url: str) -> dict[str, str]:
    found = {"form": "json"}
    for option in filter(None, urlsplit(url).query.split("&")):
        word, _, value = option.partition("=")
        if word == "format" and value in ("json", "cef"):
            found["form"] = value
        elif word == "ca" and is_readable_file(unquote(value)):
            found["ca"] = unquote(value)
        else:
            raise BadSetting(
                name, f"has the option {option!r}: it takes format=json or cef, and ca= with a file that can be read."
            )
    return found


def sink_file(name: str, parts: SplitResult) -> dict[str, Any]:
    path = Path(unquote(parts.path))
    if parts.netloc or parts.fragment or not path.name or len(str(path)) > 390:
        raise BadSetting(name, "must name a file by its whole path, such as file:///var/log/pbxadmin/events.jsonl.")
    if not path.parent.is_dir():
        raise BadSetting(name, f"names a file in {path.parent}, which is no folder.")
    if path.exists() and not path.is_file():
        raise BadSetting(name, f"names {path}, which is no file.")
    return {"name": f"file://{path}", "path": str(path)}
