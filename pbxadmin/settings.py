"""Settings, read from the environment. A wrong value stops start-up with one sentence that names it.

Every name can also come from a file: NAME_FILE holds the path. SECRET_KEY and PBX_KEYS are looked for in
DATA_DIR as a last resort, which is where `manage.py demo` puts them.
"""

import base64
import binascii
import ipaddress
import os
import re
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog

from pbxadmin.access.roles import SITE_ADMIN, Role
from pbxadmin.web.logs import hide_links

BASE_DIR = Path(__file__).resolve().parent.parent
ROLES = (*Role.values, SITE_ADMIN)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
EMAIL_BACKENDS = {
    "console": "django.core.mail.backends.console.EmailBackend",
    "memory": "django.core.mail.backends.locmem.EmailBackend",
    "file": "django.core.mail.backends.filebased.EmailBackend",
    "smtp": "django.core.mail.backends.smtp.EmailBackend",
}


class BadSetting(SystemExit):
    """Stops start-up: one sentence on standard error, exit code 1."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")


def text(name: str, default: str = "") -> str:
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
    value = text(name, "true" if default else "false")
    if value not in ("true", "false"):
        raise BadSetting(name, f"must be true or false, not {value!r}.")
    return value == "true"


def number(name: str, default: int, low: int, high: int) -> int:
    value = text(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
        raise BadSetting(name, f"must be a whole number from {low} to {high}, not {value!r}.")
    return int(value)


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def networks(name: str) -> list[str]:
    for value in words(name):
        try:
            ipaddress.ip_network(value)
        except ValueError:
            raise BadSetting(name, f"must be networks such as 10.0.0.0/8, not {value!r}.") from None
    return words(name)


def ports(name: str) -> list[range]:
    found = [re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", value) for value in words(name)]
    ends = [(int(part[1]), int(part[2] or part[1])) if part else (0, 0) for part in found]
    if not all(1 <= first <= last <= 65535 for first, last in ends):
        raise BadSetting(name, f"must be ports and ranges such as 443,8000-8999, not {text(name)!r}.")
    return [range(first, last + 1) for first, last in ends]


def given_or_kept(name: str) -> str:
    """A secret from the environment, its file, or DATA_DIR/<name in lower case>; "" when it is nowhere."""
    kept = DATA_DIR / name.lower()
    return text(name) or (kept.read_text(encoding="utf-8").strip() if kept.is_file() else "")


def roles(name: str) -> list[str]:
    for value in words(name):
        if value not in ROLES:
            raise BadSetting(name, f"must be roles out of {', '.join(ROLES)}; not {value!r}.")
    return words(name)


def single_sign_on(name: str) -> str:
    """Where an OpenID provider is. http is for this machine only: its answers say who signs in."""
    url = text(name).rstrip("/")
    is_good = re.fullmatch(r"https://[^\s@?#]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/[^\s@?#]*)?", url)
    if url and not is_good:
        raise BadSetting(name, f"must look like https://login.example.com/realm, not {url!r}.")
    return url


def private_folder(name: str, path: Path) -> Path:
    """A folder for its owner alone, made when it is not there."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(name, f"names a folder that cannot be made: {error.strerror}.") from None
    return path


def secret(name: str, what_it_is: str) -> str:
    value = given_or_kept(name)
    if not value:
        raise BadSetting(name, f"is not set. It is {what_it_is}; `manage.py demo` makes one for you.")
    return value


def key_ring(name: str, ring: str) -> list[bytes]:
    """Keys of 32 bytes each in URL-safe base64, comma-separated, newest first."""
    keys = []
    for position, value in enumerate(ring.split(","), 1):
        try:
            key = base64.b64decode(value.strip().encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise BadSetting(name, f"key {position} is not 32 bytes in URL-safe base64.")
        keys.append(key)
    return keys


def database(name: str, url: str) -> dict[str, object]:
    """sqlite:///path or postgres://user:password@host:port/name"""
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(parts.path[1:]),
            "OPTIONS": {
                # IMMEDIATE ends "database is locked"; FULL because an intent must survive a power cut.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA mmap_size=134217728;"
                "PRAGMA journal_size_limit=27103364;PRAGMA cache_size=2000;",
            },
        }
    if parts.scheme in ("postgres", "postgresql") and len(parts.path) > 1:
        try:
            port = parts.port or 5432
        except ValueError:
            raise BadSetting(name, "has a port that is not a number.") from None
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": str(port),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    raise BadSetting(name, "must look like sqlite:///path/file.sqlite3 or postgres://user:password@host/name.")


def owner(name: str, used: dict[str, object]) -> dict[str, object] | None:
    """The same database for its owner, as whom `migrate` runs; None when DATABASE_URL is the owner's own."""
    if not text(name):
        return None
    its = database(name, text(name))
    if any(its.get(part) != used.get(part) for part in ("ENGINE", "HOST", "PORT", "NAME")) or "HOST" not in its:
        raise BadSetting(name, "must name the same PostgreSQL database as DATABASE_URL, and its owner.")
    if its["USER"] == used["USER"]:
        raise BadSetting(name, "must name another user than DATABASE_URL: the owner of the tables.")
    return its


def email(url: str) -> dict[str, object]:
    """Where e-mail goes, as Django's settings. Raises BadSetting for a password that would travel in the clear.

    console: (printed), file:///folder (a file each), memory: (tests), smtp://user:password@host:port (?tls=true for
    STARTTLS) or smtps://user:password@host:port
    """
    parts = urlsplit(url)
    if parts.scheme in ("console", "memory") and url == f"{parts.scheme}:":
        return {"EMAIL_BACKEND": EMAIL_BACKENDS[parts.scheme]}
    if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1 and not parts.query:
        return {"EMAIL_BACKEND": EMAIL_BACKENDS["file"], "EMAIL_FILE_PATH": unquote(parts.path)}
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


def sender(name: str, default: str) -> str:
    """An address that e-mail comes from, such as PBX Admin <pbx@example.com>."""
    value = text(name, default)
    _, address = parseaddr(value)
    if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) or not value.isprintable():
        raise BadSetting(name, f"must look like PBX Admin <pbx@example.com>, not {value!r}.")
    return value


def addresses(name: str) -> list[str]:
    for value in words(name):
        if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", value) or not value.isprintable():
            raise BadSetting(name, f"must be addresses such as audit@example.com, not {value!r}.")
    return words(name)


def site_url() -> tuple[str, bool]:
    """SITE_URL and whether it is https. http is for loopback only, unless INSECURE_HTTP=true says otherwise."""
    url = text("SITE_URL").rstrip("/")
    if url and not re.fullmatch(r"https?://[^/\s@?#]+", url):
        raise BadSetting("SITE_URL", f"must look like https://pbx.example.com, not {url!r}.")
    if url.startswith("https://"):
        return url, True
    only_loopback = all(host in LOOPBACK_NAMES for host in ALLOWED_HOSTS)
    if not only_loopback and not flag("INSECURE_HTTP", False):
        raise BadSetting("SITE_URL", "must start with https:// when ALLOWED_HOSTS reaches beyond this machine.")
    return url, False


DATA_DIR = private_folder("DATA_DIR", Path(text("DATA_DIR", str(BASE_DIR / "data"))).absolute())
SECRET_KEY = secret("SECRET_KEY", "a long random text that signs sessions and forms")
if len(SECRET_KEY) < 32:
    raise BadSetting("SECRET_KEY", "must be at least 32 characters long.")
SECRET_KEY_FALLBACKS = words("SECRET_KEY_FALLBACKS")
PBX_KEYS = key_ring("PBX_KEYS", secret("PBX_KEYS", "the key ring that seals PBX passwords"))
# Sign the heads of the audit log. None: checkpoints.py makes one in DATA_DIR when it is first needed.
SEAL_KEYS = key_ring("SEAL_KEY", given_or_kept("SEAL_KEY")) if given_or_kept("SEAL_KEY") else []

DEBUG = flag("DEBUG", False)
ALLOWED_HOSTS = words("ALLOWED_HOSTS", ",".join(LOOPBACK_NAMES))
if "*" in ALLOWED_HOSTS:
    raise BadSetting("ALLOWED_HOSTS", "must name each host; * would let anybody choose ours.")
SITE_URL, IS_HTTPS = site_url()
TRUSTED_PROXIES = networks("TRUSTED_PROXIES")
PBX_NETWORKS = networks("PBX_NETWORKS")  # none: the default of yeastar/guard.py
PBX_PORTS = ports("PBX_PORTS")  # none: every port
WEB_THREADS = number("WEB_THREADS", 16, 2, 256)
WORK_THREADS = number("WORK_THREADS", 2, 1, 64)
REFRESH_THREADS = number("REFRESH_THREADS", 64, 1, 256)

INSTALLED_APPS = [
    "pbxadmin.ops",
    "pbxadmin.home",
    "pbxadmin.review",
    "ivr",
    "pbxadmin.fleet",
    "pbxadmin.accounts",
    "pbxadmin.access",
    "pbxadmin.audit",
    "pbxadmin.web",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_htmx",
    "django_structlog",
    "django_tasks",
    "django_tasks_db",
    "heroicons",
]

MIDDLEWARE = [
    # First what sets headers, so that redirects, errors and static files have them too.
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "pbxadmin.web.middleware.private_pages",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "pbxadmin.web.middleware.fragment_answers",
    "pbxadmin.accounts.middleware.audit_context",
    "pbxadmin.accounts.middleware.session_in_use",
    "pbxadmin.accounts.middleware.second_factor_first",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "pbxadmin.urls"
WSGI_APPLICATION = "pbxadmin.wsgi.application"
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["pbxadmin.web.templatetags.pbxadmin"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    }
]

DATABASES = {"default": database("DATABASE_URL", text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'pbxadmin.sqlite3'}"))}
MIGRATE_DATABASE = owner("MIGRATE_DATABASE_URL", DATABASES["default"])
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Shared by all processes: sign-in limits counted in one process alone would not hold.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "access_cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},  # at the default of 300, a flood of user names would push counts out
    }
}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default"]}}

globals().update(email(text("EMAIL_URL", "console:")))
EMAIL_TIMEOUT = 10  # seconds: a person waits for it
DEFAULT_FROM_EMAIL = SERVER_EMAIL = sender(
    "DEFAULT_FROM_EMAIL", f"PBX Admin <pbxadmin@{urlsplit(SITE_URL).hostname or 'localhost'}>"
)

SEAL_MAIL_TO = addresses("SEAL_MAIL_TO")

AUTH_USER_MODEL = "access.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "pbxadmin.accounts.hashers.Argon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",  # opens what was set before; rewritten at the next sign-in
]
PASSWORD_RESET_TIMEOUT = 3600  # seconds that the link in an e-mail works
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "pbxadmin.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
# allauth's own would note every address as one still to be verified.
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"  # noqa: S105
FRESH_SIGN_IN_MINUTES = number("FRESH_SIGN_IN_MINUTES", 15, 2, 720)
ACCOUNT_REAUTHENTICATION_TIMEOUT = FRESH_SIGN_IN_MINUTES * 60
# "key" is source and user name together (see the adapter), for a reset source and e-mail address, for a connection
# test the session; "ip" is the source alone.
ACCOUNT_RATE_LIMITS = {
    "login": "120/m/ip",
    "login_failed": "30/m/ip,10/5m/key",
    "reset_password": "10/m/ip,10/h/key",
    "connection_test": "60/m/key",
}

SECOND_FACTOR_FOR = roles("SECOND_FACTOR_FOR")
MFA_ADAPTER = "pbxadmin.accounts.second_factor.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "pbxadmin.accounts.forms.CodeForm",
    "reauthenticate": "pbxadmin.accounts.forms.CodeReauthenticateForm",
    "activate_totp": "pbxadmin.accounts.forms.AppForm",
    "add_webauthn": "pbxadmin.accounts.forms.KeyForm",
    "authenticate_webauthn": "pbxadmin.accounts.forms.KeyAuthenticateForm",
    "reauthenticate_webauthn": "pbxadmin.accounts.forms.KeyReauthenticateForm",
}
MFA_TOTP_TOLERANCE = 1  # steps of 30 s that a telephone's clock may be off
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_ALLOW_UNVERIFIED_EMAIL = True  # addresses are given by those who add people, not by the people
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not IS_HTTPS  # browsers themselves allow that on this machine only

OIDC_SERVER_URL = single_sign_on("OIDC_SERVER_URL")
OIDC_CLIENT_ID = text("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = text("OIDC_CLIENT_SECRET")
OIDC_NAME = text("OIDC_NAME", "single sign-on")
OIDC_TRUST_EMAIL = flag("OIDC_TRUST_EMAIL", False)
if len({bool(value) for value in (OIDC_SERVER_URL, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET)}) > 1:
    raise BadSetting("OIDC_SERVER_URL", "goes with OIDC_CLIENT_ID and OIDC_CLIENT_SECRET: set all three or none.")
SOCIALACCOUNT_ADAPTER = "pbxadmin.accounts.sso.SsoAdapter"
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "APPS": [
            {
                "provider_id": "sso",
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_SERVER_URL, "oauth_pkce_enabled": True},
            }
        ]
    }
}

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en"

STATIC_URL = "static/"
STATIC_ROOT = Path(text("STATIC_ROOT", str(DATA_DIR / "static"))).absolute()
WHITENOISE_ALLOW_ALL_ORIGINS = False  # no other site needs our files
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
FILE_UPLOAD_HANDLERS = ["pbxadmin.web.uploads.InMemory"]
CSRF_FAILURE_VIEW = "pbxadmin.web.views.csrf_failed"
DEFAULT_EXCEPTION_REPORTER_FILTER = "pbxadmin.web.reports.ReportFilter"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_NAME = "__Host-session" if IS_HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if IS_HTTPS else "csrf"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_ENGINE = "pbxadmin.accounts.session_store"
SESSION_IDLE_MINUTES = number("SESSION_IDLE_MINUTES", 120, 5, 10_080)
SESSION_HOURS = number("SESSION_HOURS", 12, 1, 168)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
if IS_HTTPS and TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SILENCED_SYSTEM_CHECKS = [
    # HSTS for subdomains and preload bind hosts that are not ours to decide for.
    "security.W005",
    "security.W021",
]

DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # it would believe any X-Forwarded-For; the audit log does not
LOG_LEVEL = text("LOG_LEVEL", "WARNING")
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR"):
    raise BadSetting("LOG_LEVEL", f"must be DEBUG, INFO, WARNING or ERROR, not {LOG_LEVEL!r}.")
SHARED_LOG_STEPS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    hide_links,
]
structlog.configure(
    processors=[*SHARED_LOG_STEPS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        # One JSON object a line: JSON escapes whatever a PBX or a browser put into a text.
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": SHARED_LOG_STEPS,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        }
    },
    "filters": {"quieten": {"()": "pbxadmin.web.logs.Quieten"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["quieten"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Their lines hold URLs with the query, and a PBX token is in it.
        "urllib3": {"level": "ERROR"},
        "requests": {"level": "ERROR"},
        # A page that is not there or not allowed is no fault of the service.
        "django.request": {"level": "ERROR"},
        # One line a day, which has to leave this machine whatever else is logged.
        "pbxadmin.audit.checkpoints": {"level": "INFO"},
        "django_structlog": {"level": "INFO" if LOG_LEVEL in ("DEBUG", "INFO") else "ERROR"},
    },
}
