"""Browsers against the hub: many live sockets on one group.

    python -m benchmarks.fanout [--quick] [--record] [--json FILE]

Devices feed every series of the group at 10 Hz; 1,000 live sockets follow it at
10 frames/s and ack each frame. What the viewers cost is the hub's CPU with them
minus its CPU without them, in the same minute.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

from . import results
from .processes import Generator, Hub, allow_many_sockets, hub, usage

GROUP = "fanout"
RATE_HZ = 10.0
INTERVAL_MS = 100
SETTLE_SECONDS = 3.0
HEADER = ("what", "figure")

# A session for the first admin, as logging in makes it; printed as a cookie.
SESSION = """
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth import get_user_model
from importlib import import_module
user = get_user_model().objects.filter(is_staff=True).first()
store = import_module(settings.SESSION_ENGINE).SessionStore()
store[SESSION_KEY] = str(user.pk)
store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
store[HASH_SESSION_KEY] = user.get_session_auth_hash()
store.save()
print(f"COOKIE {settings.SESSION_COOKIE_NAME}={store.session_key}")
"""


def log_in(running: Hub) -> str:
    """The cookie of a session of the hub's first admin."""
    lines = running.manage("shell", "-c", SESSION).splitlines()
    cookies = [line for line in lines if line.startswith("COOKIE ")]
    if not cookies:
        raise SystemExit(f"expected a session's cookie, got {lines[-1:]}")
    return cookies[0].partition(" ")[2]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """CPU without and with viewers, frames and latencies."""
    with hub(TELEMETRY_DEVICE_RATE="0") as running:
        keys = running.create_devices(options.devices, GROUP)
        cookie = log_in(running)
        feed = Generator(
            "benchmarks.feed_load",
            {
                "url": running.device_url,
                "keys": keys,
                "columns": options.metrics,
                "rate_hz": RATE_HZ,
            },
        )
        viewers: Generator | None = None
        try:
            feed.wait_for("ready")
            time.sleep(SETTLE_SECONDS)
            alone = _cpu(running, options.seconds)
            before_rss = usage(running.pid).rss_kib
            viewers = Generator(
                "benchmarks.fanout_load",
                {
                    "url": running.live_url,
                    "origin": running.url,
                    "cookie": cookie,
                    "group": GROUP,
                    "interval_ms": INTERVAL_MS,
                    "sockets": options.sockets,
                },
            )
            viewers.wait_for("ready")
            time.sleep(SETTLE_SECONDS)
            viewers.tell(str(options.seconds))
            began, load_began = usage(running.pid), usage(viewers.pid)
            figures = viewers.figures()
            ended, load_ended = usage(running.pid), usage(viewers.pid)
            viewers.tell("")
        finally:
            for each in (viewers, feed):
                if each is not None:
                    each.stop()
    return {
        **figures,
        "sockets": options.sockets,
        "series": options.devices * options.metrics,
        "cpu_ingest": alone,
        "cpu": ended.cpu_since(began),
        "cpu_viewers": ended.cpu_since(began) - alone,
        "cpu_load": load_ended.cpu_since(load_began),
        "kib_a_viewer": (ended.rss_kib - before_rss) / options.sockets,
    }


def _cpu(running: Hub, seconds: float) -> float:
    before = usage(running.pid)
    time.sleep(seconds)
    return usage(running.pid).cpu_since(before)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="5 s a figure")
    add("--sockets", type=int, default=1_000)
    add("--devices", type=int, default=25)
    # 500 series make a frame of about 14 KB.
    add("--metrics", type=int, default=20, help="of each device")
    add("--seconds", type=float, default=15.0, help="of one figure")
    add("--record", action="store_true", help="append to RESULTS.md")
    add("--json", help="write the figures to this file")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seconds = 5.0
    allow_many_sockets(options.sockets)
    found = measure(options)
    wanted = options.sockets * 1000 / INTERVAL_MS
    rows = [
        ("frames delivered", f"{found['frames_per_second']:,.0f}/s of {wanted:,.0f}/s"),
        ("a frame", f"{found['frame_bytes'] / 1000:.1f} KB, {found['series']} series"),
        ("hub's CPU, devices alone", f"{found['cpu_ingest']:.0%} of a core"),
        ("hub's CPU, with viewers", f"{found['cpu']:.0%} of a core"),
        ("**what the viewers cost**", f"**{found['cpu_viewers']:.0%} of a core**"),
        (
            "frame made → received, p50 / p99",
            f"{found['frame_p50_ms']:.1f} / {found['frame_p99_ms']:.1f} ms",
        ),
        (
            "newest reading → received, p50 / p99",
            f"{found['reading_p50_ms']:.1f} / {found['reading_p99_ms']:.1f} ms",
        ),
        ("memory a viewer", f"{found['kib_a_viewer']:.1f} KiB"),
        ("CPU of the load itself", f"{found['cpu_load']:.0%} of a core"),
        ("gaps (reset)", f"{found['resets']}"),
    ]
    body = results.table(HEADER, rows)
    if found["troubles"]:
        body += f"\n\n**Troubles**: {json.dumps(found['troubles'])[:500]}"
    title = (
        f"Fan-out: {options.sockets:,} live sockets on one group, "
        f"{1000 // INTERVAL_MS} frames/s with acks"
    )
    results.publish(title, body, found, record=options.record, json_file=options.json)


if __name__ == "__main__":
    main()
