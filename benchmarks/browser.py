"""The group's page in a browser: what its scripts take, and whether it grows.

    python -m benchmarks.browser [--quick] [--minutes N] [--record] [--json FILE]

50 charts at 10 Hz on `/bench/charts` (a hub with HUB_DEBUG=1; the page's own script
stands in for devices, so that the hub costs nothing): scripting between two frames,
p95, against 8 ms; then 8 hours of the same, fed as fast as the page takes them in, and
the slope of the heap, against 5 MB. Chromium of this machine, headless, without a GPU:
painting is done by the processor as well and is not in the figures.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from . import results
from .fanout import log_in
from .processes import hub

CHARTS, RATE_HZ = 50, 10
SCRIPTING_MS, HEAP_MB = 8.0, 5.0
SOAK_HOURS = 8
# Loading, compiling, the first drawing of what is out of sight.
WARM_UP_SECONDS = 15.0
# The heap of the first hours has not found its size: windows still fill.
SETTLED_AFTER_HOURS = 1.0
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
    # A soak has no breaks.
    "--disable-background-timer-throttling",
]
MB = 1_000_000


@contextmanager
def signed_in(url: str, cookie: str) -> Iterator[Page]:
    """A page of Chromium with a session of the hub at `url`."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise SystemExit("expected chromium on the path, found none")
    name, _, value = cookie.partition("=")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_cookies([{"name": name, "value": value, "url": url}])
        yield context.new_page()
        browser.close()


def frames(page: Page, url: str, seconds: float) -> dict[str, Any]:
    """Scripting between frames of the page at the clock's pace."""
    page.goto(f"{url}/bench/charts?n={CHARTS}&hz={RATE_HZ}")
    page.wait_for_timeout(WARM_UP_SECONDS * 1000)
    page.evaluate("bench.reset()")
    page.wait_for_timeout(seconds * 1000)
    scripting, gaps = page.evaluate("[bench.frames, bench.gaps]")
    delay = page.evaluate("document.getElementById('latency').innerText")
    ranked, apart = sorted(scripting), sorted(gaps)
    return {
        "charts": page.evaluate("document.querySelectorAll('hub-chart').length"),
        "frames": len(ranked),
        "scripting_p50_ms": results.percentile(ranked, 0.5),
        "scripting_p95_ms": results.percentile(ranked, 0.95),
        "scripting_p99_ms": results.percentile(ranked, 0.99),
        "scripting_share": sum(ranked) / max(1.0, sum(apart)),
        "frame_gap_p50_ms": results.percentile(apart, 0.5),
        "frame_gap_p95_ms": results.percentile(apart, 0.95),
        "footer": delay,
    }


def soak(page: Page, url: str, hours: int, minutes: float) -> dict[str, Any]:
    """The heap while `hours` of frames are fed, for at most `minutes`."""
    page.goto(f"{url}/bench/charts?n={CHARTS}&hz={RATE_HZ}&hours={hours}")
    until = time.monotonic() + minutes * 60
    while not page.evaluate("bench.isOver") and time.monotonic() < until:
        page.wait_for_timeout(1_000)
    heap = np.array(page.evaluate("bench.heap"), dtype=np.float64)
    settled = heap[heap[:, 0] >= SETTLED_AFTER_HOURS]
    slope = 0.0
    if len(settled) > 2:
        slope = float(np.polyfit(settled[:, 0], settled[:, 1] / MB, 1)[0])
    return {
        "readings": page.evaluate("bench.readings"),
        "hours": float(heap[-1, 0]) if len(heap) else 0.0,
        "is_over": page.evaluate("bench.isOver"),
        "heap_first_mb": float(settled[0, 1] / MB) if len(settled) else 0.0,
        "heap_last_mb": float(heap[-1, 1] / MB) if len(heap) else 0.0,
        "slope_mb_8_hours": slope * 8,
        "heap": heap.tolist(),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with hub(HUB_DEBUG="1") as running:
        cookie = log_in(running)
        with signed_in(running.url, cookie) as page:
            drawn = frames(page, running.url, options.seconds)
            soaked = soak(page, running.url, options.hours, options.minutes)
    return {**drawn, "soak": soaked}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="10 s of frames, two simulated hours")
    add("--seconds", type=float, default=60.0, help="of frames at the clock's pace")
    add("--hours", type=int, default=SOAK_HOURS, help="simulated, of the soak")
    add("--minutes", type=float, default=20.0, help="at most, of the soak")
    add("--record", action="store_true", help="append to RESULTS.md")
    add("--json", help="write the figures to this file")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seconds, options.hours = 10.0, 2
    found = measure(options)
    soaked = found["soak"]
    rows = [
        ("charts", f"{found['charts']}, 3 lines each, {RATE_HZ} Hz"),
        (
            "scripting between frames, p50 / p95 / p99",
            f"{found['scripting_p50_ms']:.1f} / **{found['scripting_p95_ms']:.1f}**"
            f" / {found['scripting_p99_ms']:.1f} ms of {SCRIPTING_MS:.0f} ms",
        ),
        ("scripting in all", f"{found['scripting_share']:.0%} of a core"),
        (
            "between frames, p50 / p95",
            f"{found['frame_gap_p50_ms']:.0f} / {found['frame_gap_p95_ms']:.0f} ms"
            " (painted by the processor)",
        ),
        ("the page says of itself", found["footer"]),
        (
            f"soak of {soaked['hours']:.1f} h",
            f"{soaked['readings']:,} readings"
            + ("" if soaked["is_over"] else ", not ended in time"),
        ),
        (
            "heap after 1 h / at the end",
            f"{soaked['heap_first_mb']:.1f} / {soaked['heap_last_mb']:.1f} MB",
        ),
        (
            "**heap's slope in 8 h**",
            f"**{soaked['slope_mb_8_hours']:+.1f} MB** of {HEAP_MB:.0f} MB",
        ),
    ]
    results.publish(
        f"Browser: {CHARTS} charts at {RATE_HZ} Hz, and an accelerated soak",
        results.table(("what", "figure"), rows),
        found,
        record=options.record,
        json_file=options.json,
    )


if __name__ == "__main__":
    main()
