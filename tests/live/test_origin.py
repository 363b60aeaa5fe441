from __future__ import annotations

import pytest

from telemetry.live.origin import is_allowed, origins_of

OURS = ("https://hub.example", "http://10.0.0.5:8000")


@pytest.mark.parametrize("origin", OURS)
def test_exact_origin_is_allowed(origin):
    assert is_allowed(origins_of([(b"origin", origin.encode())]), OURS)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://hub.example.evil.example",
        "https://hub.example:8443",
        "https://hub.example.",
        "https://Hub.example",
        "https://hub.example/",
        "http://hub.example",
        "http://10.0.0.5",
        "null",
        "",
        "*",
        "https://hub.example ",
        "https://hub.example\xe9",
    ],
)
def test_anything_else_is_not(origin):
    assert not is_allowed(origins_of([(b"origin", origin.encode("latin-1"))]), OURS)


def test_missing_or_doubled_origin_is_not():
    ours = (b"origin", b"https://hub.example")
    assert not is_allowed(origins_of([(b"host", b"hub.example")]), OURS)
    assert not is_allowed(origins_of([ours, ours]), OURS)
