"""What REDIS_URL says, as the hosts of the channel layer. Opens no connection.

One address; several with commas between them, over which groups are spread; or
Sentinels, which know where Redis is just now.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

EXPECTED = (
    "redis://HOST:PORT/0, rediss:// or unix://, several of them with commas between, "
    "or sentinel://HOST:PORT,HOST:PORT/MASTER"
)
SCHEMES = ("redis", "rediss", "unix")
SENTINEL_PORT = 26379
# Of a connection to a Sentinel: one that does not answer must not hold up the next.
SENTINEL_SECONDS = 2.0
SENTINEL_OPTIONS = {"sentinel_username": "username", "sentinel_password": "password"}
# Of each connection to Redis.
CONNECTION: dict[str, Any] = {
    # Without: a quiet subscriber is cut off and loses messages.
    "socket_timeout": None,
    "socket_connect_timeout": 5,
    "health_check_interval": 15,
    "socket_keepalive": True,
    "max_connections": 1000,
}


class WrongRedisUrl(ValueError):
    """What came, in words and without any password."""


def redis_hosts(url: str) -> list[dict[str, Any]]:
    """The `hosts` of channels_redis. Raises WrongRedisUrl."""
    if _scheme(url) == "sentinel":
        return [{**_sentinel_host(url), **CONNECTION}]
    addresses = [each.strip() for each in url.split(",")]
    for place, address in enumerate(addresses, 1):
        where = "" if len(addresses) == 1 else f"address {place} of {len(addresses)}: "
        _check(address, where)
        if address in addresses[: place - 1]:
            raise WrongRedisUrl(f"{where}the same as one before it")
    return [{"address": address, **CONNECTION} for address in addresses]


def _check(address: str, where: str) -> None:
    if _scheme(address) not in SCHEMES:
        raise WrongRedisUrl(f"{where}{_shown(_scheme(address))}")
    parts = _split(address, where)
    is_place = parts.path if parts.scheme == "unix" else parts.hostname
    if not is_place:
        raise WrongRedisUrl(f"{where}{parts.scheme}:// without a place")
    number = parts.path.strip("/")
    if parts.scheme != "unix" and number and not number.isdecimal():
        raise WrongRedisUrl(f"{where}a database that is no number")
    _check_options(address, where)


def _check_options(address: str, where: str) -> None:
    # Only who has a Redis needs its library.
    from redis.asyncio import ConnectionPool

    try:
        # Makes an object alone; what it does not know would fail at each connection.
        pool = ConnectionPool.from_url(address)
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError) as error:
        raise WrongRedisUrl(f"{where}options that Redis does not know") from error


def _sentinel_host(url: str) -> dict[str, Any]:
    # urlsplit knows one host: the list is taken out first.
    rest = url.partition("://")[2]
    netloc, _, tail = rest.partition("/")
    credentials, _, places = netloc.rpartition("@")
    sentinels = [_sentinel(place.strip()) for place in places.split(",")]
    parts = _split(f"sentinel://{credentials}@x/{tail}", "")
    master = unquote(parts.path.strip("/"))
    if not master or "/" in master:
        raise WrongRedisUrl("sentinel:// without the name of one master")
    host: dict[str, Any] = {"sentinels": sentinels, "master_name": master}
    for name, value in (("username", parts.username), ("password", parts.password)):
        if value:
            host[name] = unquote(value)
    return host | {"sentinel_kwargs": _sentinel_options(parts.query)}


def _sentinel(place: str) -> tuple[str, int]:
    parts = _split(f"sentinel://{place}", "")
    if not parts.hostname:
        raise WrongRedisUrl("sentinel:// with a place that is empty")
    return parts.hostname, parts.port or SENTINEL_PORT


def _sentinel_options(query: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": SENTINEL_SECONDS,
        "socket_connect_timeout": SENTINEL_SECONDS,
    }
    for name, values in parse_qs(query, keep_blank_values=True).items():
        if name not in SENTINEL_OPTIONS:
            raise WrongRedisUrl(f"sentinel:// with an unknown option {_shown(name)}")
        options[SENTINEL_OPTIONS[name]] = values[-1]
    return options


def _split(address: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise WrongRedisUrl(f"{where}a port that is no number below 65536") from error
    return parts


def _scheme(address: str) -> str:
    return address.partition("://")[0] if "://" in address else ""


def _shown(word: str) -> str:
    """A scheme or a name, never what could be a password by mistake."""
    return repr(word) if word.isidentifier() and len(word) <= 20 else "something else"
