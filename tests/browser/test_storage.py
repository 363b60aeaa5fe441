"""The admin's storage page in a browser: no complaint, no overflow, and no script."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable

import pytest

from .conftest import Hub, Visitor

REASON = "expected 16,384 readings, got " + "x" * 200


def add_fault(hub: Hub) -> None:
    path = hub.process.data_dir / "hub.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database, database:
        database.execute(
            "INSERT INTO telemetry_fault (series_id, resolution_seconds, start_us,"
            " end_us, reason, noticed_at) VALUES (1, 0, ?, ?, ?, '2026-11-18 12:00')",
            [1_795_000_000_000_000, 1_795_000_300_000_000, REASON],
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_fits_and_says_what_is_damaged(
    hub: Hub, visit: Callable[..., Visitor], scheme: str, width: int
):
    hub.add_devices("floor", "boiler")
    add_fault(hub)
    visitor = visit(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        java_script_enabled=width != 360,
    )
    visitor.open("/admin/")
    visitor.page.click("text=See what is damaged")
    box = visitor.page.locator(".storage-faults").bounding_box()
    assert box is not None and box["x"] > 0 and box["x"] + box["width"] <= width
    assert REASON in visitor.page.inner_text("body")
    visitor.page.click("[value^=Preview]")
    assert "Retention would free nothing now" in visitor.page.inner_text("body")
    visitor.page.click("[value=Dismiss]")
    assert "None: every block" in visitor.page.inner_text("body")
    assert visitor.problems == []
