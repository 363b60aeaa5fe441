"""Django's settings, from the environment alone: see docs/reference/settings.md."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from hub_project import database_options, env, redis_hosts
from telemetry import conf
from telemetry.history import sqlite

# --- Environment -------------------------------------------------------------

BASE_DIR = Path(__file__).resolve().parent.parent

env.check_names(os.environ)
conf.check_environment(os.environ)

DEBUG = env.read_bool(os.environ, "HUB_DEBUG")
HUB_DATA_DIR = env.read_data_dir(os.environ, BASE_DIR)
SECRET_KEY = env.read_secret_key(os.environ, HUB_DATA_DIR)
# Where each worker has a unix socket of its own, for a proxy.
HUB_RUN_DIR = env.read_run_dir(os.environ, BASE_DIR, HUB_DATA_DIR)
# What this process is called in log lines, where there are several.
HUB_WORKER = env.read_worker(os.environ)

_address = env.read_address(os.environ)
HUB_HOST = _address.host
HUB_PORT = _address.port
# The public address, without a slash at the end.
HUB_URL = _address.url
# Every scheme://host[:port] under which a page of this hub may open a socket.
HUB_ORIGINS = _address.origins
HUB_TLS_CERT, HUB_TLS_KEY = env.read_tls(os.environ)
# Whose X-Forwarded headers the server believes.
HUB_TRUSTED_PROXIES = env.read_trusted_proxies(os.environ)

# --- Apps and middleware ------------------------------------------------------

INSTALLED_APPS = [
    # First: its runserver is Daphne's with the hub's own limits. Daphne itself is no
    # app here: it would load Twisted, 30 MB, into every process.
    "telemetry",
    "hub_project.apps.HubAdminConfig",  # django.contrib.admin and the storage page.
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "servestatic",  # For its system checks alone.
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "telemetry.dashboard.frame.sessions.HubSessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "telemetry.dashboard.kiosk.middleware.kiosk_middleware",
    "telemetry.dashboard.frame.preferences.preferences_middleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "hub_project.urls"
ASGI_APPLICATION = "hub_project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database -----------------------------------------------------------------

_database = env.read_database(os.environ, HUB_DATA_DIR)
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["ENGINE"] = "telemetry.history.sqlite"
    _database["OPTIONS"] = {**sqlite.OPTIONS}
    # A file: the writer's thread would see another in-memory database.
    _database["TEST"] = {"NAME": str(HUB_DATA_DIR / "test.sqlite3")}
else:
    _database["ENGINE"] = "telemetry.patience"
    _given = _database.get("OPTIONS", {})
    _database["OPTIONS"] = database_options.postgresql(_given)
# A request has a thread of its own under ASGI: its connection would stay behind.
# The hub's own threads keep theirs (telemetry.threads, the writer).
_database |= {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Channel layer ------------------------------------------------------------

HUB_REDIS_URL = env.read_redis_url(os.environ)
CHANNEL_LAYERS: dict[str, dict[str, Any]]
if HUB_REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {
                "hosts": redis_hosts.redis_hosts(HUB_REDIS_URL),
                # Two hubs may share one Redis: all processes of one have its key.
                "prefix": "telemetry-"
                + hashlib.sha256(f"layer:{SECRET_KEY}".encode()).hexdigest()[:12],
            },
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# Daphne (runserver) closes the TCP connection above this; `serve` has the same limit.
DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE = 131_072
DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = 131_072

# --- Security -----------------------------------------------------------------

ALLOWED_HOSTS = list(_address.hosts)
CSRF_TRUSTED_ORIGINS = list(_address.origins)
SESSION_COOKIE_SECURE = _address.is_secure
CSRF_COOKIE_SECURE = _address.is_secure
CSRF_COOKIE_HTTPONLY = True
# Another hub on the same machine, on another port, shares the cookie jar.
SESSION_COOKIE_NAME = f"hub_session_{HUB_PORT}"
CSRF_COOKIE_NAME = f"hub_csrf_{HUB_PORT}"
# A screen that was opened by a link of its own (dashboard/kiosk).
KIOSK_COOKIE_NAME = f"hub_kiosk_{HUB_PORT}"
# The time zone of who is not signed in (dashboard/frame/time_zone.py).
ZONE_COOKIE_NAME = f"hub_zone_{HUB_PORT}"
SECURE_HSTS_SECONDS = 31_536_000 if _address.is_secure else 0
# What `check --deploy` of Django asks for beyond it is not the hub's to decide, or
# not for it: subdomains and preloading (W005, W021) are the domain owner's, and where
# the address is https the hub's port speaks nothing else, or a proxy is in front of it,
# which redirects (W008).
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        # Older Safari does not count the page's own wss:// as 'self'.
        "connect-src": [SELF, *_address.socket_origins],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        # Not report-to: browsers would wait a minute with it, send nothing without
        # TLS, and then ignore this one too.
        "report-uri": "/csp",
    }
}

# --- People -------------------------------------------------------------------

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Languages and times ------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- Static files -------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = HUB_DATA_DIR / "static"
STATICFILES_DIRS = [("vendor/uplot", BASE_DIR / "node_modules" / "uplot" / "dist")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "hub_project.storage.HubStaticFilesStorage"
        )
    },
}

# --- Logging ------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"rate": {"()": "hub_project.logs.RateFilter"}},
    "formatters": {
        "line": {"()": "hub_project.logs.LineFormatter", "process": HUB_WORKER}
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["rate"],
        }
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "telemetry": {"level": "INFO"},
        "hub_project": {"level": "INFO"},
        # A traceback a second while Redis is away; the hub says it once itself.
        "channels_redis": {"level": "CRITICAL"},
        "uvicorn": {"level": "WARNING"},
        # Django's own handlers would say everything twice.
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        # A stranger's wrong Host header: one line, not a traceback.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
    },
}
