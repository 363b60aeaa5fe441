"""Patterns of the names on the wire."""

from __future__ import annotations

import re

METRIC_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,63}\Z")
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")
# hub_ + 8 characters of prefix + _ + 43 of base64url: 256 bits.
KEY = re.compile(r"hub_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})\Z")
# A person's or script's access token: the same, so that neither passes for the other.
TOKEN = re.compile(r"hubt_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})\Z")
SESSION_CHARACTERS = 32


def is_metric_name(name: str) -> bool:
    """Whether `name` may name a metric."""
    return METRIC_NAME.match(name) is not None


def key_prefix(key: str) -> str:
    """The public part of a device's key, or nothing if it is no key."""
    found = KEY.match(key)
    return found[1] if found else ""
