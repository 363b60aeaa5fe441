"""Index of the admin: each room keeps its own."""

from __future__ import annotations

from .devices import admin as devices

__all__ = ["devices"]
