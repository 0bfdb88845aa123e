"""Settings, read from the environment by env.py. A wrong value stops start-up with one sentence that names it."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from django.contrib.messages import constants as messages

from pbxadmin import env
from pbxadmin.access.roles import SITE_ADMIN, Role
from pbxadmin.web.logs import hide_links

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.folder_path("DATA_DIR", BASE_DIR / "data")
CORES = len(os.sched_getaffinity(0))  # that this process may use

# Neither a missing secret nor a missing folder stops us here: `makemigrations` needs none. See ops/start_up.py.
MISSING_SECRETS = [name for name in env.REQUIRED_SECRETS if not env.secret(name, DATA_DIR)]
SECRET_KEY = env.secret("SECRET_KEY", DATA_DIR)
if SECRET_KEY and len(SECRET_KEY) < 32:
    raise env.BadSetting("SECRET_KEY", "must be at least 32 characters long.")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
PBX_KEYS = env.key_ring("PBX_KEYS", DATA_DIR)
# Sign the heads of the audit log. None: checkpoints.py makes one in DATA_DIR when it is first needed.
SEAL_KEYS = env.key_ring("SEAL_KEY", DATA_DIR)

DEBUG = env.flag("DEBUG", False)
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", ",".join(env.LOOPBACK_NAMES))
SITE_URL, IS_HTTPS = env.site_url("SITE_URL", ALLOWED_HOSTS)
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
DEMO_CONTROLS: Path | None = None  # `manage.py demo` puts in where its fleet takes orders; no variable does
PBX_NETWORKS = env.networks("PBX_NETWORKS")  # none: the default of yeastar/guard.py
WEBHOOK_NETWORKS = env.networks("WEBHOOK_NETWORKS")  # as PBX_NETWORKS
PBX_PORTS = env.ports("PBX_PORTS")  # none: every port
PBX_REPORT_PORT = env.number("PBX_REPORT_PORT", 9, 1, 65535)  # 9: the discard port, where nothing listens
METRICS_TOKEN = env.token("METRICS_TOKEN")
EVENT_SINK = env.event_sink("EVENT_SINK")  # where audit/sink sends the log; {} for nowhere
WEB_THREADS = env.number("WEB_THREADS", 16, 2, 256)
WORK_THREADS = env.number("WORK_THREADS", min(CORES + 1, 64), 1, 64)
REFRESH_THREADS = env.number("REFRESH_THREADS", min(32 * CORES, 256), 1, 256)
WAYS_IN_HOURS = env.number("WAYS_IN_HOURS", 6, 1, 168)  # between readings of what leads to the IVRs of a PBX
API_RATE = env.number("API_RATE", 10, 1, 1000)  # requests of an API key a second
API_BURST = env.number("API_BURST", 50, 1, 10_000)  # that it may send at once
HEALTH_DAYS = env.number("HEALTH_DAYS", 90, 14, 3650)  # how long the counts of contacts with PBXs are kept

INSTALLED_APPS = [
    "pbxadmin.ops",
    "pbxadmin.help",
    "pbxadmin.api",
    "pbxadmin.home",
    "pbxadmin.webhooks",
    "pbxadmin.notices",
    "pbxadmin.review",
    "pbxadmin.policies",
    "pbxadmin.batches",
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
    "pbxadmin.web.middleware.head_as_get",
    # First what sets headers, so that redirects, errors and static files have them too.
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "pbxadmin.accounts.middleware.proxies_believed",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Below what serves static files, which are compressed when they are collected.
    "pbxadmin.web.middleware.Compression",
    "pbxadmin.web.middleware.private_pages",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "pbxadmin.web.middleware.fragment_answers",
    "pbxadmin.api.middleware.api_caller",
    "pbxadmin.web.middleware.forms_of_this_site",
    "pbxadmin.accounts.middleware.audit_context",
    "pbxadmin.accounts.middleware.own_time_zone",
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

# A message wears its tone, as every other sentence does.
MESSAGE_TAGS = {
    messages.DEBUG: "accent",
    messages.INFO: "accent",
    messages.SUCCESS: "ok",
    messages.WARNING: "accent",
    messages.ERROR: "bad",
}

own_database = f"sqlite:///{quote(str(DATA_DIR / 'pbxadmin.sqlite3'))}"
DATABASES = {"default": env.database("DATABASE_URL", env.text("DATABASE_URL", own_database))}
# SQLite has one writer at a time, so more processes gain little there.
WEB_PROCESSES = env.number("WEB_PROCESSES", min(CORES, 32) if "HOST" in DATABASES["default"] else 1, 1, 32)
MIGRATE_DATABASE = env.owner("MIGRATE_DATABASE_URL", DATABASES["default"])
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Shared by all processes: sign-in limits counted in one process alone would not hold.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "access_cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},  # at the default of 300, a flood of user names would push counts out
    }
}
# What a person waits for first; `queues_of` in ops/workers.py says which threads serve which.
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "batches", "readings"]}}

mail = env.email(env.text("EMAIL_URL", "console:"))
EMAIL_BACKEND = mail["EMAIL_BACKEND"]
EMAIL_FILE_PATH = mail.get("EMAIL_FILE_PATH")
EMAIL_HOST = mail.get("EMAIL_HOST", "")
EMAIL_PORT = mail.get("EMAIL_PORT", 0)
EMAIL_HOST_USER = mail.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = mail.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_SSL = mail.get("EMAIL_USE_SSL", False)
EMAIL_USE_TLS = mail.get("EMAIL_USE_TLS", False)
EMAIL_TIMEOUT = 10  # seconds: a person waits for it
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.sender(
    "DEFAULT_FROM_EMAIL", f"PBX Admin <pbxadmin@{urlsplit(SITE_URL).hostname or 'localhost'}>"
)

SEAL_MAIL_TO = env.addresses("SEAL_MAIL_TO")

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
LOGIN_REDIRECT_URL = "home:home"
ACCOUNT_ADAPTER = "pbxadmin.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
# allauth's own would note every address as one still to be verified.
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"  # noqa: S105
FRESH_SIGN_IN_MINUTES = env.number("FRESH_SIGN_IN_MINUTES", 15, 2, 720)
ACCOUNT_REAUTHENTICATION_TIMEOUT = FRESH_SIGN_IN_MINUTES * 60
# "key" is source and user name together (see the adapter), for a reset source and e-mail address, for a connection
# test the session; "ip" is the source alone.
ACCOUNT_RATE_LIMITS = {
    "login": "120/m/ip",
    "login_failed": "30/m/ip,10/5m/key",
    "reset_password": "10/m/ip,10/h/key",
    "connection_test": "60/m/key",
}

ROLE_NAMES = (*Role.values, SITE_ADMIN)
SECOND_FACTOR_FOR = env.choices("SECOND_FACTOR_FOR", "roles", ROLE_NAMES)
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

OIDC_SERVER_URL = env.single_sign_on("OIDC_SERVER_URL")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET")
OIDC_NAME = env.text("OIDC_NAME")
OIDC_TRUST_EMAIL = env.flag("OIDC_TRUST_EMAIL", False)
if len({bool(value) for value in (OIDC_SERVER_URL, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET)}) > 1:
    raise env.BadSetting("OIDC_SERVER_URL", "goes with OIDC_CLIENT_ID and OIDC_CLIENT_SECRET: set all three or none.")
for name, is_given in {"OIDC_NAME": bool(OIDC_NAME), "OIDC_TRUST_EMAIL": OIDC_TRUST_EMAIL}.items():
    if is_given and not OIDC_SERVER_URL:
        raise env.BadSetting(name, "goes with OIDC_SERVER_URL, which is not set.")
OIDC_NAME = OIDC_NAME or "single sign-on"
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
STATIC_ROOT = env.folder_path("STATIC_ROOT", DATA_DIR / "static")
WHITENOISE_ALLOW_ALL_ORIGINS = False  # no other site needs our files
STATICFILES_DIRS = [BASE_DIR / "static", ("help", BASE_DIR / "docs" / "shots")]  # the pictures of the help
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
CSRF_TRUSTED_ORIGINS = [SITE_URL] if SITE_URL else []  # a proxy may pass another Host than the browser shows
CSRF_FAILURE_VIEW = "pbxadmin.web.views.csrf_failed"
DEFAULT_EXCEPTION_REPORTER_FILTER = "pbxadmin.web.reports.ReportFilter"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # which are asked past the proxy
SECURE_SSL_HOST = urlsplit(SITE_URL).netloc or None
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_NAME = "__Host-session" if IS_HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if IS_HTTPS else "csrf"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_ENGINE = "pbxadmin.accounts.session_store"
SESSION_IDLE_MINUTES = env.number("SESSION_IDLE_MINUTES", 120, 5, 10_080)
SESSION_HOURS = env.number("SESSION_HOURS", 12, 1, 168)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
if IS_HTTPS and TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SILENCED_SYSTEM_CHECKS = [
    # HSTS for subdomains and preload bind hosts that are not ours to decide for.
    "security.W005",
    "security.W021",
]

DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # it would believe any X-Forwarded-For; the audit log does not
LOG_LEVEL = env.text("LOG_LEVEL", "WARNING")
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR"):
    raise env.BadSetting("LOG_LEVEL", f"must be DEBUG, INFO, WARNING or ERROR, not {LOG_LEVEL!r}.")
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

env.refuse_unread()
