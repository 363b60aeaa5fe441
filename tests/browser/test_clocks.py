"""Clocks that jump, of a device or of the browser: nothing false, nothing missing."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from urllib.error import HTTPError

from .conftest import now_ms
from .test_group import CLAIMS, TEXT, sending

HOUR_MS = 3_600_000
# Another clock for the page; what it measures time with is not a clock.
JUMP = """
const Real = Date;
globalThis.jumpMs = 0;
globalThis.Date = class extends Real {
  constructor(...parts) {
    if (parts.length) super(...parts);
    else super(Real.now() + globalThis.jumpMs);
  }
  static now() { return Real.now() + globalThis.jumpMs; }
};
"""
STALE = "document.body.classList.contains('is-stale')"
PAGES = {
    "/": "document.querySelector('#fleet-table').innerText.includes('Live')",
    "/g/plant": f"/1\\s*live/.test({TEXT})",
    "/d/boiler": "document.querySelector('#sentence').innerText.startsWith('Live')",
}


def shown_times(visitor) -> list[int]:
    """The steps of the first chart's grid that hold a reading."""
    found: list[int] = visitor.page.evaluate(
        """() => {
          const { grid } = document.querySelector('hub-chart');
          return grid.columns[1].flatMap((value, at) => (
            typeof value === 'number' && at % 2 === 0 ? [grid.first + at / 2] : []
          ));
        }"""
    )
    return found


def is_all(visitor, wanted: set[int]) -> bool:
    """Whether all that was sent is shown; a step of the grid holds a reading once."""
    shown = set(shown_times(visitor))
    return wanted <= shown and len(shown - wanted) <= 1


def test_a_browsers_clock_that_jumps_changes_nothing(hub, visit, boiler):
    visitors = {path: visit() for path in PAGES}
    for path, visitor in visitors.items():
        visitor.page.add_init_script(JUMP)
        visitor.open(path)

    def jump(ms: int) -> None:
        for visitor in visitors.values():
            visitor.page.evaluate(f"globalThis.jumpMs = {ms}")

    def wait_until_live(seconds: float) -> None:
        for path, visitor in visitors.items():
            visitor.wait(f"!{STALE} && {PAGES[path]}", seconds)

    with sending(hub, boiler) as sent:
        wait_until_live(30)
        for ms in (HOUR_MS, -HOUR_MS):
            jump(ms)
            # For three seconds it may look, then it is to be as it is.
            time.sleep(3)
            wait_until_live(15)
        # Put back by an hour, it does not wait for an hour to see that the hub is gone.
        hub.process.kill()
        for visitor in visitors.values():
            visitor.wait(STALE, 4)
            assert visitor.page.evaluate(CLAIMS) == []
        hub.process.start()
        wait_until_live(40)
        before = len(sent)
        while len(sent) < before + 5:
            time.sleep(0.05)
    for path in ("/g/plant", "/d/boiler"):
        visitor = visitors[path]
        step = visitor.page.evaluate("document.querySelector('hub-chart').grid.stepMs")
        wanted = {at // step for at in sent}
        # Of one more the hub may have been killed before it could say that it has it.
        visitor.until(partial(is_all, visitor, wanted), True)
    assert [one for each in visitors.values() for one in each.problems] == []


def test_a_device_whose_clock_jumps_is_live_no_longer_than_it_sends(hub, visit, boiler):
    hub.process.manage(
        *("shell", "--no-imports", "-c"),
        "from telemetry.devices.models import Device;"
        "Device.objects.update(expected_period_seconds=1)",
    )
    visitor = visit()
    visitor.open(f"/d/{boiler}")
    sentence = "document.querySelector('#sentence').innerText"
    with sending(hub, boiler):
        visitor.wait(f"{sentence}.startsWith('Live')", 30)
    hub.send(boiler, {"time": now_ms() + HOUR_MS, "values": {"temp": 31.25}})
    visitor.wait(f"{TEXT}.includes('31.25')")
    # Its reading is of an hour ahead; it came now, and that is what counts.
    assert "in " not in visitor.page.inner_text("#sentence")
    visitor.wait(f"!{sentence}.startsWith('Live')", 30)
    # An hour behind: what it sends is old, and is not taken for new.
    hub.send(boiler, {"time": now_ms() - HOUR_MS, "values": {"temp": 7.25}})
    visitor.page.wait_for_timeout(3_000)
    assert not visitor.page.evaluate(f"{sentence}.startsWith('Live')")
    with contextlib.suppress(HTTPError):
        hub.send(
            boiler, {"time": now_ms() + 87_600 * HOUR_MS, "values": {"temp": 99.5}}
        )
    visitor.page.wait_for_timeout(1_000)
    assert "99.5" not in visitor.page.inner_text("main")
    with sending(hub, boiler):
        visitor.wait(f"{sentence}.startsWith('Live')", 30)
    assert visitor.problems == []
