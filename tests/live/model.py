"""A browser's store as a model: what a client holds after the messages it got.

The golden cases live_store_*.json hold for it and for the page's own store.js.
"""

from __future__ import annotations

import json
from typing import Any


class Store:
    """One group, by protocol.md: a whole snapshot replaces, updates add."""

    def __init__(self) -> None:
        self.revision: int | None = None
        self.series: dict[int, list[Any]] = {}
        self.rows: dict[int, list[Any]] = {}
        self.devices: dict[str, list[Any]] = {}
        self._pages: list[dict[str, Any]] = []

    def take(self, message: dict[str, Any]) -> None:
        if message["type"] == "snapshot":
            self._take_page(message)
        elif message["type"] == "reset":
            self._pages = []
        elif message["type"] == "update" and self._is_next(message):
            self._add(message)

    def take_frames(self, frames: list[str]) -> None:
        for frame in frames:
            self.take(json.loads(frame))

    def held(self) -> tuple[Any, ...]:
        """Everything but the revision, for comparison."""
        return self.series, self.rows, self.devices

    def _is_next(self, update: dict[str, Any]) -> bool:
        """False: nothing is held yet, or it was taken before."""
        revision: int = update["revision"]
        return self.revision is not None and revision >= self.revision

    def _take_page(self, page: dict[str, Any]) -> None:
        if self._pages and self._pages[0]["revision"] != page["revision"]:
            self._pages = []
        self._pages.append(page)
        if page["more"]:
            return
        self.series, self.rows, self.devices = {}, {}, {}
        for each in self._pages:
            self._add(each)
        self._pages = []

    def _add(self, message: dict[str, Any]) -> None:
        self.revision = message["revision"]
        for series in message.get("series", []):
            self.series[series[0]] = series
        for device in message.get("devices", []):
            self.devices[device[0]] = device
        for row in message["rows"]:
            self.rows[row[0]] = row[:3]


class Stores:
    """All groups of a page."""

    def __init__(self) -> None:
        self.groups: dict[str, Store] = {}

    def take(self, message: dict[str, Any]) -> None:
        if "group" not in message:
            return
        self.groups.setdefault(message["group"], Store()).take(message)
        if message.get("reason") in ("forbidden", "gone"):
            del self.groups[message["group"]]

    def held(self) -> dict[str, Any]:
        """As the golden cases say it."""
        return {
            name: {
                "revision": store.revision,
                "rows": {str(id): [row[1], row[2]] for id, row in store.rows.items()},
            }
            for name, store in self.groups.items()
            if store.revision is not None
        }
