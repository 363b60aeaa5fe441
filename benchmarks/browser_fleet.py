"""The fleet page in a browser while its devices send, and how late a chart is.

    python -m benchmarks.browser_fleet [--devices N] [--record] [--json FILE]

1,000 simulated devices over real WebSockets, 200 of which send each second: when the
page has drawn its largest part, what it weighs, how long the browser takes to answer
clicks and keys meanwhile, and what moves by itself. Then a group of ten devices: the
time from a device's clock to the screen, as the page itself says it. Beyond 1,000
the other devices are rows without a socket. Chromium of this machine, headless.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import Page, WebSocket

from . import results
from .browser import signed_in
from .fanout import log_in
from .processes import ROOT, Hub, hub

CONNECTED, A_SECOND = 1_000, 200
WALL = 10
LCP_MS, PAGE_BYTES, NODES, INP_MS, DELAY_MS = 1_000, 120_000, 1_500, 200, 250
# The devices are all there, and their first readings are.
SETTLE_SECONDS = 60.0
# The group is made, and its devices are connected.
ENROL_SECONDS = 10.0
# The page says its p95 of the last minute.
DELAY_SECONDS = 75.0
OBSERVE = """
window.shift = 0;
window.answers = new Map();
new PerformanceObserver((list) => {
  const own = list.getEntries().filter((one) => !one.hadRecentInput);
  for (const one of own) window.shift += one.value;
}).observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.lcp = one.startTime;
}).observe({ type: "largest-contentful-paint", buffered: true });
new PerformanceObserver((list) => {
  for (const { interactionId: id, duration } of list.getEntries()) {
    if (id) window.answers.set(id, Math.max(duration, window.answers.get(id) ?? 0));
  }
}).observe({ type: "event", durationThreshold: 16, buffered: true });
"""


@contextlib.contextmanager
def simulated(running: Hub, group: str, devices: int, rate: float) -> Iterator[None]:
    """Devices that send until the end of the context."""
    arguments = ["--devices", str(devices), "--rate", str(rate), "--group", group]
    process = subprocess.Popen(
        [sys.executable, "manage.py", "simulate", *arguments],
        cwd=ROOT,
        env=running.environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def fetched_bytes(url: str, cookie: str) -> int:
    """The page's HTML and its devices, as gzip sends them."""
    total = 0
    for path in ("/", "/fleet.json"):
        request = Request(f"{url}{path}", headers={"Cookie": cookie})
        with urlopen(request, timeout=60) as response:
            total += len(gzip.compress(response.read(), 6))
    return total


def load(page: Page, url: str) -> dict[str, Any]:
    """A fresh visit: when it is drawn, what is in it, and its first values."""
    snapshots: list[str] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", keep)

    def keep(frame: str | bytes) -> None:
        if isinstance(frame, str) and frame.startswith('{"type":"snapshot"'):
            snapshots.append(frame)

    page.on("websocket", listen)
    page.goto(f"{url}/")
    page.wait_for_selector("#fleet-table tbody th")
    page.wait_for_timeout(5_000)
    return {
        "lcp_ms": page.evaluate("window.lcp"),
        "nodes": page.evaluate("document.querySelectorAll('*').length"),
        "shift": page.evaluate("window.shift"),
        "snapshot_bytes": len(gzip.compress("".join(snapshots).encode(), 6)),
    }


def use(page: Page, seconds: float) -> list[float]:
    """Click, type and sort for a while; how long each took to show, in ms.

    What took less than 16 ms the browser does not list; it counts as 0.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for sort in ("name", "last"):
            page.click(f"thead a[data-sort={sort}]")
            page.wait_for_timeout(150)
        page.click("#filter input[name=q]")
        page.keyboard.type("device-1", delay=60)
        page.keyboard.press("Control+a")
        page.keyboard.press("Delete")
        page.wait_for_timeout(150)
    page.wait_for_timeout(1_000)
    found: list[float] = page.evaluate("[...window.answers.values()]")
    count: int = page.evaluate("performance.interactionCount ?? 0")
    return sorted(found + [0.0] * max(0, count - len(found)))


def delay_ms(page: Page, url: str, group: str) -> float | None:
    """Device to screen, p95, in the group page's own words."""
    page.goto(f"{url}/g/{group}")
    page.wait_for_timeout(DELAY_SECONDS * 1_000)
    said = re.search(r"([\d.,]+) ms \(p95\)", page.inner_text("#latency"))
    return float(said.group(1).replace(",", "")) if said else None


def measure(devices: int, seconds: float) -> dict[str, Any]:
    connected = min(devices, CONNECTED)
    with hub(HUB_DEBUG="0") as running:
        cookie = log_in(running)
        if devices > connected:
            running.create_devices(devices - connected, "quiet")
        with simulated(running, "fleet", connected, A_SECOND / connected):
            time.sleep(SETTLE_SECONDS)
            with signed_in(running.url, cookie) as page:
                page.add_init_script(OBSERVE)
                first = load(page, running.url)
                size = fetched_bytes(running.url, cookie) + first["snapshot_bytes"]
                answers = use(page, seconds)
        with (
            simulated(running, "wall", WALL, 1.0),
            signed_in(running.url, cookie) as page,
        ):
            time.sleep(ENROL_SECONDS)
            delay = delay_ms(page, running.url, "wall")
    return {
        **first,
        "devices": devices,
        "bytes": size,
        "interactions": len(answers),
        "inp_p95_ms": results.percentile(answers, 0.95),
        "inp_worst_ms": answers[-1] if answers else 0.0,
        "delay_p95_ms": delay,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--devices", type=int, default=CONNECTED, help="1,000 of them send")
    add("--seconds", type=float, default=30.0, help="of clicking and typing")
    add("--record", action="store_true", help="append to RESULTS.md")
    add("--json", help="write the figures to this file")
    options = parser.parse_args(arguments)
    found = measure(options.devices, options.seconds)
    delay = found["delay_p95_ms"]
    rows = [
        ("largest part drawn (LCP)", f"{found['lcp_ms']:.0f} ms", f"{LCP_MS:,} ms"),
        (
            "HTML, devices and snapshot, gzipped",
            f"{found['bytes'] / 1_000:.0f} KB",
            f"{PAGE_BYTES // 1_000} KB",
        ),
        ("elements", f"{found['nodes']:,}", f"{NODES:,}"),
        ("layout shift", f"{found['shift']:.3f}", "0"),
        (
            f"answer to {found['interactions']} clicks and keys, p95 / worst",
            f"{found['inp_p95_ms']:.0f} / {found['inp_worst_ms']:.0f} ms",
            f"{INP_MS} ms",
        ),
        (
            f"device to screen, p95, {WALL} devices of a group",
            "not said" if delay is None else f"{delay:.0f} ms",
            f"{DELAY_MS} ms",
        ),
    ]
    results.publish(
        f"Browser: the fleet page, {found['devices']:,} devices, {A_SECOND} a second",
        results.table(("what", "figure", "goal"), rows),
        found,
        record=options.record,
        json_file=options.json,
    )


if __name__ == "__main__":
    main()
