"""The admin of devices, their groups, keys and series, and of people's preferences."""

from __future__ import annotations

from . import devices, groups, keys, people, series

__all__ = ["devices", "groups", "keys", "people", "series"]
