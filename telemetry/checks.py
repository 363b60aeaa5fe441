"""System checks: each wrong setting has an id and a hint.

Those of `manage.py check --deploy` name what is well on a desk and not in production.
"""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, connections

from . import conf
from .history.durability import unsafe_settings

# A network with more addresses than this is not a proxy and its neighbours.
MOST_PROXY_BITS = 16
MOST_PROXY_BITS_6 = 64
LOCAL = ("", "localhost")


@register(Tags.compatibility)
def check_settings(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """telemetry.E001: a value is wrong; telemetry.E002: there is no such setting."""
    found: list[CheckMessage] = []
    for setting in conf.SETTINGS:
        try:
            conf.value(setting.name)
        except ImproperlyConfigured as error:
            hint = f"{setting.help} Default: {setting.default:,} {setting.unit}."
            found.append(Error(str(error), hint=hint, id="telemetry.E001"))
    for name in dir(settings):
        if name.startswith(conf.PREFIX):
            try:
                conf.check_name(name)
            except ImproperlyConfigured as error:
                hint = "All settings are in docs/reference/settings.md."
                found.append(Error(str(error), hint=hint, id="telemetry.E002"))
    return found


@register(Tags.database)
def check_database(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """telemetry.E003: the journal needs a database that is not in memory."""
    name = str(connections["default"].settings_dict["NAME"])
    if ":memory:" in name or "mode=memory" in name:
        hint = "Name a file in DATABASE_URL: sqlite:///PATH."
        message = "The journal's thread would see another in-memory database."
        return [Error(message, hint=hint, id="telemetry.E003")]
    return []


@register(Tags.staticfiles)
def check_chart_library(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """telemetry.W001: charts need uPlot, which npm installs."""
    for entry in settings.STATICFILES_DIRS:
        prefix, root = entry if isinstance(entry, tuple) else ("", entry)
        if prefix == "vendor/uplot" and not (root / "uPlot.iife.min.js").is_file():
            hint = "Run `npm ci` (or `make run`, which does)."
            return [Warning("uPlot is missing.", hint=hint, id="telemetry.W001")]
    return []


@register(Tags.security, deploy=True)
def check_addresses(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """telemetry.W101: debug; W102: no https; W107: too many are believed."""
    found: list[CheckMessage] = []
    if settings.DEBUG:
        hint = "Leave it out: pages of errors show the settings to anybody."
        found.append(Warning("HUB_DEBUG is on.", hint=hint, id="telemetry.W101"))
    if not settings.HUB_URL.startswith("https://"):
        hint = (
            "Keys and passwords can be read on the way. Set HUB_TLS_CERT and "
            "HUB_TLS_KEY, or HUB_URL=https://… with a proxy that does TLS."
        )
        message = f"HUB_URL: expected https://…, got {settings.HUB_URL!r}."
        found.append(Warning(message, hint=hint, id="telemetry.W102"))
    for proxy in settings.HUB_TRUSTED_PROXIES:
        network = ipaddress.ip_network(proxy)
        most = MOST_PROXY_BITS if network.version == 4 else MOST_PROXY_BITS_6
        if network.max_prefixlen - network.prefixlen > most:
            hint = "Anybody in it can pretend any address. Name the proxy alone."
            message = f"HUB_TRUSTED_PROXIES: expected few addresses, got {proxy}."
            found.append(Warning(message, hint=hint, id="telemetry.W107"))
    return found


@register(Tags.security, deploy=True)
def check_servers(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """telemetry.W103: SQLite with Redis; W104: Redis is open; W106: own secrets."""
    found: list[CheckMessage] = []
    is_sqlite = connections["default"].vendor == "sqlite"
    if settings.HUB_REDIS_URL and is_sqlite:
        hint = "Several processes need PostgreSQL in DATABASE_URL; one needs no Redis."
        message = "REDIS_URL is set, and the database is SQLite."
        found.append(Warning(message, hint=hint, id="telemetry.W103"))
    for place in _open_redis():
        hint = "Whoever reaches it can read and forge what pages show: set a password."
        message = f"REDIS_URL: expected a password for {place}, got none."
        found.append(Warning(message, hint=hint, id="telemetry.W104"))
    host = str(connections["default"].settings_dict.get("HOST") or "")
    if not is_sqlite and not _is_local(host) and _has_own_key():
        hint = (
            "The other machines of this hub have to have the same one, or sessions and "
            "live pages end at each machine: set SECRET_KEY or SECRET_KEY_FILE."
        )
        message = "SECRET_KEY: the one that this machine made for itself is used."
        found.append(Warning(message, hint=hint, id="telemetry.W106"))
    return found


def _open_redis() -> Iterator[str]:
    """The Redis servers elsewhere that ask for no password."""
    layer = settings.CHANNEL_LAYERS["default"]
    for host in layer.get("CONFIG", {}).get("hosts", []):
        if "sentinels" in host:
            if not host.get("password"):
                yield f"the master {host['master_name']}"
            continue
        parts = urlsplit(host["address"])
        if parts.scheme == "unix" or _is_local(parts.hostname or ""):
            continue
        if not parts.password and "password=" not in parts.query:
            yield str(parts.hostname)


def _is_local(host: str) -> bool:
    """Whether it is this machine: a name of it, or the path of a socket."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOCAL or host.startswith("/")


def _has_own_key() -> bool:
    path = Path(settings.HUB_DATA_DIR) / "secret_key"
    try:
        return path.read_text(encoding="ascii").strip() == settings.SECRET_KEY
    except (OSError, UnicodeDecodeError):
        return False


@register(Tags.security, deploy=True)
def check_files(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """telemetry.W108: others may open the data; W109: others may read the secret."""
    found: list[CheckMessage] = []
    data_dir = Path(settings.HUB_DATA_DIR)
    for path, bits, id_ in (
        (data_dir, stat.S_IRWXO, "telemetry.W108"),
        (data_dir / "secret_key", stat.S_IRWXG | stat.S_IRWXO, "telemetry.W109"),
    ):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue  # Not made yet: the hub makes it as it should be.
        if mode & bits:
            letters = "o" if bits == stat.S_IRWXO else "go"
            message = f"{path}: expected a mode that shuts out others, got {mode:o}."
            hint = f"chmod {letters}-rwx {path}"
            found.append(Warning(message, hint=hint, id=id_))
    return found


@register(Tags.security, deploy=True)
def check_durability(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """telemetry.W105: PostgreSQL would lose what was acknowledged."""
    try:
        unsafe = unsafe_settings()
    except (DatabaseError, InterfaceError):
        return []  # That it does not answer is told elsewhere.
    hint = (
        "An acknowledgement means on disk, and a power cut would show that it is not."
    )
    return [
        Warning(
            f"PostgreSQL has {name} = off.",
            hint=f"{hint} Set it on in postgresql.conf.",
            id="telemetry.W105",
        )
        for name in unsafe
    ]
