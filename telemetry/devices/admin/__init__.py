"""The admin of devices, groups, keys, access tokens, series and people."""

from __future__ import annotations

from . import access_tokens, devices, groups, keys, people, series

__all__ = ["access_tokens", "devices", "groups", "keys", "people", "series"]
