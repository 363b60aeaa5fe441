"""telemetry.live.people: which cookies name a session."""

from __future__ import annotations

import pytest
from django.conf import settings

from telemetry.live.people import claims_of, session_key_of

KEY = "2xv6o3kq9w0dz1yfa7hbm4n8pc5tre6j"


def headers(value: str) -> list[tuple[bytes, bytes]]:
    cookie = f"{settings.SESSION_COOKIE_NAME}={value}"
    return [(b"host", b"hub"), (b"cookie", cookie.encode("latin-1"))]


@pytest.mark.parametrize("value", [KEY, f'"{KEY}"', f"{KEY}; other=1"])
def test_a_session_s_key_is_read(value: str):
    assert session_key_of(headers(value)) == KEY
    assert claims_of(headers(value)) == [KEY]


@pytest.mark.parametrize(
    "value",
    [
        "",
        '""',
        "made-up",
        f'"{KEY}\\000"',
        f"{KEY}\0",
        f'"{KEY} "',
        "größe",
        "a:b",
        "²",
    ],
)
def test_what_is_no_key_is_no_session(value: str):
    assert session_key_of(headers(value)) is None
    assert claims_of(headers(value)) == []
