"""Whether a page may open a live socket: its exact origin, and nothing looser. Pure.

Cookies ignore ports: without this check a page of any other service on the same
host could open a socket with the visitor's session.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

Headers = Iterable[tuple[bytes, bytes]]


def origins_of(headers: Headers) -> list[str]:
    """Every Origin header of a handshake; a browser sends exactly one."""
    return [value.decode("latin-1") for name, value in headers if name == b"origin"]


def is_allowed(origins: Collection[str], allowed: Collection[str]) -> bool:
    """Whether there is one Origin, and it is one of ours to the letter.

    allowed: scheme://host[:port] as browsers write it: lower case, no default port.
    """
    return len(origins) == 1 and all(origin in allowed for origin in origins)
