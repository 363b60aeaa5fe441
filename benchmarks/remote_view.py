"""How long a reading takes to a page that is on another process of the hub.

Two hubs on one PostgreSQL and one Redis: all devices are on the first, the page on
the second. Every reading carries when it was sent; each row that the page gets is
measured by it. The same page on the first hub stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from . import results
from .cluster import redis_server
from .databases import POSTGRESQL, databases
from .fanout import log_in
from .processes import Generator, Hub, hub
from .results import percentile

GROUP = "bench"
RATE_HZ = 1.0
INTERVALS_MS = (100, 250)
SETTLE_SECONDS = 3.0
HEADER = ("page", "rows", "p50", "p95", "p99", "most")


@contextlib.contextmanager
def two_hubs() -> Iterator[tuple[Hub, Hub]]:
    """Two processes of one hub, each on a port of its own."""
    with (
        databases(POSTGRESQL) as made,
        made.fresh() as database,
        redis_server() as (redis_port, _),
    ):
        assert database.url is not None
        settings = {
            "DATABASE_URL": database.url,
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}",
            "SECRET_KEY": secrets.token_hex(32),
        }
        with hub(**settings) as near, hub(**settings) as far:
            yield near, far


async def view(
    running: Hub, cookie: str, interval_ms: int, seconds: float
) -> list[float]:
    """Follow the group for so long: milliseconds from sent to seen, of each row."""
    headers = {"Cookie": cookie}
    async with connect(
        running.live_url,
        origin=Origin(running.url),
        subprotocols=[Subprotocol("hub.live.v1")],
        additional_headers=headers,
        compression=None,
        proxy=None,
        max_size=None,
    ) as page:
        await page.send(json.dumps({"type": "hello", "interval_ms": interval_ms}))
        subscribe = {"type": "subscribe", "id": 1, "groups": [GROUP]}
        await page.send(json.dumps(subscribe))
        began = time.monotonic() + SETTLE_SECONDS
        latencies: list[float] = []
        while (now := time.monotonic()) < began + seconds:
            message = await _next(page)
            seen_ms = time.time_ns() / 1e6
            if message["type"] == "reset":
                print(f"reset: {message['reason']}")
            if message["type"] == "update" and now > began:
                latencies += [seen_ms - row[1] for row in message["rows"]]
        return latencies


async def _next(page: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await page.recv())
    if "revision" in message and not message.get("more"):
        ack = {"type": "ack", "group": GROUP, "revision": message["revision"]}
        await page.send(json.dumps(ack))
    return message


def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    """Latencies by page."""
    with two_hubs() as (near, far):
        keys = near.create_devices(options.devices, GROUP)
        cookies = {"the same process": log_in(near), "another process": log_in(far)}
        job = {
            "url": near.device_url,
            "keys": keys,
            "columns": options.metrics,
            "rate_hz": RATE_HZ,
        }
        feed = Generator("benchmarks.feed_load", job)
        found = {}
        try:
            feed.wait_for("ready")
            for where, running in (
                ("the same process", near),
                ("another process", far),
            ):
                for interval_ms in INTERVALS_MS:
                    name = f"on {where}, every {interval_ms} ms"
                    found[name] = asyncio.run(
                        view(running, cookies[where], interval_ms, options.seconds)
                    )
        finally:
            feed.stop()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="5 s a figure")
    add("--devices", type=int, default=100)
    add("--metrics", type=int, default=5, help="of each device")
    add("--seconds", type=float, default=20.0, help="of one figure")
    add("--record", action="store_true", help="append to RESULTS.md")
    add("--json", help="write the figures to this file")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seconds = 5.0
    rows, figures = [], {}
    for name, latencies in measure(options).items():
        latencies.sort()
        if not latencies:
            raise SystemExit(f"expected readings on the page {name}, got none")
        shown = [percentile(latencies, part) for part in (0.5, 0.95, 0.99)]
        figures[name] = [*shown, latencies[-1]]
        rows.append((name, f"{len(latencies):,}", *_ms([*shown, latencies[-1]])))
    title = (
        f"From a device to a page: {options.devices} devices, "
        f"{options.metrics} metrics at {RATE_HZ:g} Hz, two processes"
    )
    body = results.table(HEADER, rows)
    results.publish(title, body, figures, record=options.record, json_file=options.json)


def _ms(values: Sequence[float]) -> list[str]:
    return [f"{value:.0f} ms" for value in values]


if __name__ == "__main__":
    main()
