"""Reads the environment: what was set, checked, with defaults. Knows no Django setting.

Every error is one sentence that names the variable, what was expected and what
came (never the value of a secret).
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from . import redis_hosts

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
# Listening here is a choice the operator makes, never a default.
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
# What our own variables are called; a wrong name here is told, not ignored.
NAMES = (
    "HUB_HOST",
    "HUB_PORT",
    "HUB_URL",
    "HUB_DATA_DIR",
    "HUB_RUN_DIR",
    "HUB_DEBUG",
    "HUB_TLS_CERT",
    "HUB_TLS_KEY",
    "HUB_TRUSTED_PROXIES",
    # Of this process, in its log lines; `serve --workers` sets it for each.
    "HUB_WORKER",
    # A device's key, for `manage.py replay`.
    "HUB_KEY",
)
# Who guesses it can log in as anybody.
SECRET_KEY_CHARACTERS = 32
# It stands in every log line.
WORKER_NAME = re.compile(r"[A-Za-z0-9.-]{0,32}")
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where the hub listens and what it is called from outside.

    origins: every `scheme://host[:port]` under which a browser may open it.
    hosts: the same as host names, for the Host header.
    """

    host: str
    port: int
    url: str
    origins: tuple[str, ...]
    hosts: tuple[str, ...]

    @property
    def is_secure(self) -> bool:
        return self.url.startswith("https://")

    @property
    def socket_origins(self) -> tuple[str, ...]:
        """The origins as WebSocket addresses: `ws://` or `wss://`.

        For the Content-Security-Policy, whose grammar has no IPv6 addresses: there
        a browser has to count the page's own socket as 'self'.
        """
        return tuple(
            "ws" + origin.removeprefix("http")
            for origin in self.origins
            if "[" not in origin
        )


def wrong(name: str, expected: str, got: str) -> ImproperlyConfigured:
    """The one sentence for a wrong value."""
    shown = got if len(got) <= 100 else f"{got[:100]}…"
    return ImproperlyConfigured(f"{name}: expected {expected}, got {shown!r}.")


def check_names(environ: Mapping[str, str]) -> None:
    """Refuse a HUB_ name that the hub does not know: it would do nothing."""
    for name in environ:
        if name.startswith("HUB_") and name not in NAMES:
            # Without the start that all have: it would make anything similar.
            ends = [each.removeprefix("HUB_") for each in NAMES]
            near = difflib.get_close_matches(name.removeprefix("HUB_"), ends, 1)
            hint = f" Did you mean HUB_{near[0]}?" if near else ""
            raise ImproperlyConfigured(
                f"{name}: expected one of {', '.join(NAMES)}, "
                f"got an unknown name.{hint}"
            )


def read_bool(environ: Mapping[str, str], name: str) -> bool:
    """A switch that is off when it is not set."""
    value = environ.get(name, "").strip().lower()
    if value not in TRUE | FALSE:
        raise wrong(name, "1 or 0", environ[name])
    return value in TRUE


def read_secret(environ: Mapping[str, str], name: str) -> str:
    """`name`, or the content of the file that `name`_FILE names; empty if neither."""
    path = environ.get(f"{name}_FILE", "")
    value = environ.get(name, "")
    if path and value:
        raise ImproperlyConfigured(
            f"{name}: expected either {name} or {name}_FILE, got both."
        )
    if not path:
        return value
    try:
        value = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise wrong(f"{name}_FILE", "a readable text file", path) from error
    if not value:
        raise wrong(f"{name}_FILE", "a file with the secret in it", path)
    return value


def read_data_dir(environ: Mapping[str, str], base: Path) -> Path:
    """The directory for all that the hub keeps, absolute; relative to `base`."""
    path = base / (environ.get("HUB_DATA_DIR") or "var")
    if path.exists() and not path.is_dir():
        raise wrong("HUB_DATA_DIR", "a directory", str(path))
    return path.absolute()


def read_run_dir(environ: Mapping[str, str], base: Path, data_dir: Path) -> Path:
    """The directory for the workers' unix sockets, absolute; in the data dir if unset.

    A proxy has to get at it, and not at the data.
    """
    given = environ.get("HUB_RUN_DIR")
    path = base / given if given else data_dir / "run"
    if path.exists() and not path.is_dir():
        raise wrong("HUB_RUN_DIR", "a directory", str(path))
    return path.absolute()


def read_worker(environ: Mapping[str, str]) -> str:
    """What log lines call this process; empty: nothing."""
    name = environ.get("HUB_WORKER", "")
    if not WORKER_NAME.fullmatch(name):
        raise wrong("HUB_WORKER", "up to 32 letters, digits, dots and dashes", name)
    return name


def read_database(environ_: Mapping[str, str], data_dir: Path) -> dict[str, Any]:
    """Django's database dictionary from DATABASE_URL; SQLite in the data dir if unset.

    The URL may hold a password, so an error shows only its scheme.
    """
    url = read_secret(environ_, "DATABASE_URL")
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(data_dir / "hub.sqlite3"),
        }
    scheme = url.partition(":")[0]
    expected = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME"
    if scheme not in ("sqlite", "postgres", "postgresql", "pgsql"):
        raise wrong("DATABASE_URL", expected, f"{scheme}:…")
    try:
        database: dict[str, Any] = environ.Env.db_url_config(url)
    except Exception as error:  # the parser raises many kinds; its text may show a key
        raise wrong("DATABASE_URL", expected, f"{scheme}:…") from error
    if database.get("NAME") in (None, "", ":memory:"):
        # The journal has a connection of its own: memory would be another database.
        raise wrong("DATABASE_URL", f"{expected}, with a name", f"{scheme}:…")
    hosts = str(database.get("HOST") or "").split(",")
    ports = str(database.get("PORT") or "")
    # One port would be that of all servers.
    if ports and len(hosts) > 1 and ports.count(",") + 1 != len(hosts):
        several = "a port for each of several hosts, or for none"
        raise wrong("DATABASE_URL", several, f"{scheme}:…")
    return database


def read_redis_url(environ: Mapping[str, str]) -> str:
    """REDIS_URL, or empty for one process without Redis; see `redis_hosts`."""
    url = read_secret(environ, "REDIS_URL").strip()
    if url:
        try:
            redis_hosts.redis_hosts(url)
        except redis_hosts.WrongRedisUrl as error:
            # Its words, for the URL may hold a password.
            raise ImproperlyConfigured(
                f"REDIS_URL: expected {redis_hosts.EXPECTED}, got {error}."
            ) from error
    return url


def read_secret_key(environ: Mapping[str, str], data_dir: Path) -> str:
    """SECRET_KEY, or the one kept in the data dir, made at the first start.

    Several processes may start at once: the file appears whole (a link to a
    finished file), and the first one's key is everybody's.
    """
    key = read_secret(environ, "SECRET_KEY")
    if key:
        if len(key) < SECRET_KEY_CHARACTERS:
            raise ImproperlyConfigured(
                f"SECRET_KEY: expected at least {SECRET_KEY_CHARACTERS} characters, "
                f"got {len(key)}."
            )
        return key
    path = data_dir / "secret_key"
    try:
        if not path.exists():
            _make_secret_key(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"HUB_DATA_DIR: expected a directory that the hub may write, "
            f"got {str(data_dir)!r} ({getattr(error, 'strerror', None) or error})."
        ) from error
    if not key:
        raise wrong("SECRET_KEY", f"a key in {path}, or no such file", "an empty file")
    return key


def _make_secret_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            if os.geteuid() == 0:
                # Root looks in before the hub's first start: the key is the hub's.
                owner = path.parent.stat()
                os.fchown(handle, owner.st_uid, owner.st_gid)
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(file.fileno())
        # Another process may be first: then its key holds.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def read_address(environ: Mapping[str, str]) -> Address:
    """Where to listen, and the public address with all the names it goes by."""
    host = environ.get("HUB_HOST", "").strip() or "127.0.0.1"
    port = _read_port(environ)
    given = environ.get("HUB_URL", "").strip()
    named = _names(host)
    shown = named[0] if host in EVERYWHERE else _bracketed(host)
    scheme = "https" if environ.get("HUB_TLS_CERT") else "http"
    url = given.rstrip("/") or f"{scheme}://{shown}:{port}"
    parts = _split_url(url, given or url)
    origins = [_origin(parts)]
    hosts = [_bracketed(str(parts.hostname))]
    if not given or host in EVERYWHERE:
        origins += [_origin(urlsplit(f"{scheme}://{name}:{port}")) for name in named]
    hosts += [*named, *LOOPBACK_HOSTS]
    return Address(host, port, origins[0], _once(origins), _once(hosts))


def read_tls(environ: Mapping[str, str]) -> tuple[str, str]:
    """The files with the certificate and its key, or two empty strings."""
    cert, key = environ.get("HUB_TLS_CERT", ""), environ.get("HUB_TLS_KEY", "")
    for name, path in (("HUB_TLS_CERT", cert), ("HUB_TLS_KEY", key)):
        if (cert or key) and not os.access(path, os.R_OK):
            raise wrong(name, "a readable PEM file (certificate and key, both)", path)
    return cert, key


def read_trusted_proxies(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Addresses and networks whose X-Forwarded headers are believed; usually none."""
    value = environ.get("HUB_TRUSTED_PROXIES", "")
    proxies = tuple(each.strip() for each in value.split(",") if each.strip())
    for proxy in proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError as error:
            expected = "addresses or networks such as 127.0.0.1,10.0.0.0/8"
            raise wrong("HUB_TRUSTED_PROXIES", expected, proxy) from error
    return proxies


def _read_port(environ: Mapping[str, str]) -> int:
    value = environ.get("HUB_PORT", "").strip() or "8000"
    if not value.isascii() or not value.isdigit() or not 1 <= int(value[:6]) <= 65_535:
        raise wrong("HUB_PORT", "a port from 1 to 65535", value)
    return int(value)


def _split_url(url: str, given: str) -> SplitResult:
    expected = "an address such as https://hub.example.org, without a path"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise wrong("HUB_URL", expected, given) from error
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.path
        or parts.query
        or parts.fragment
        or parts.username is not None
    ):
        raise wrong("HUB_URL", expected, given)
    return parts


def _origin(parts: SplitResult) -> str:
    """As a browser writes it: lower case, without the scheme's own port."""
    host = _bracketed(str(parts.hostname))
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _names(host: str) -> list[str]:
    """What a browser may call a hub that listens on `host`, best name first."""
    if host in EVERYWHERE:
        return [*machine_names(), *LOOPBACK_HOSTS]
    if _bracketed(host) in LOOPBACK_HOSTS:
        return [_bracketed(host), *LOOPBACK_HOSTS]
    return [_bracketed(host)]


def machine_names() -> list[str]:
    """The machine's own name and addresses, those that others can reach first."""
    name = socket.gethostname().lower()
    found = [name]
    try:
        infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        infos = []
    found += [_bracketed(str(info[4][0]).partition("%")[0]) for info in infos]
    found.append(_outgoing_address())
    return [each for each in _once(found) if each and not each.startswith("127.")]


def _outgoing_address() -> str:
    """The address of the usual way out: connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _once(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def take_address(arguments: Sequence[str], environ: MutableMapping[str, str]) -> None:
    """Let the arguments of `serve` and `runserver` speak before the settings.

    The address decides cookies, hosts and origins, and settings are read once.
    """
    if arguments[:1] == ["runserver"]:
        place = next((each for each in arguments[1:] if not each.startswith("-")), "")
        host, _, port = place.rpartition(":")
        given: dict[str, str | None]
        given = {"HUB_HOST": host.strip("[]"), "HUB_PORT": port}
    elif arguments[:1] == ["serve"]:
        given = _serve_arguments(arguments[1:])
    else:
        return
    environ.update({name: value for name, value in given.items() if value})


def add_address_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `serve` that stand for a variable each."""
    parser.add_argument("--host", help="HUB_HOST: where to listen (127.0.0.1)")
    parser.add_argument("--port", help="HUB_PORT: where to listen (8000)")
    parser.add_argument("--tls-cert", help="HUB_TLS_CERT: PEM file, for https and wss")
    parser.add_argument("--tls-key", help="HUB_TLS_KEY: its key, PEM file")


def _serve_arguments(arguments: Sequence[str]) -> dict[str, str | None]:
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    add_address_arguments(parser)
    try:
        given, _ = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError:
        return {}  # The command's own parser says what is wrong.
    return {
        "HUB_HOST": given.host,
        "HUB_PORT": given.port,
        "HUB_TLS_CERT": given.tls_cert,
        "HUB_TLS_KEY": given.tls_key,
    }
