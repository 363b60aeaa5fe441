"""What grows with what: readings/s, ack p99, CPU and memory against workers, sockets
and viewers, on PostgreSQL and Redis; the curves as SVG.

    python -m benchmarks.scale [--part workers|sustained|sockets|idle|viewers]
                               [--quick] [--record] [--json FILE] [--draw FOLDER]

Servers, hub and generators share this machine's cores: a worker has less than a core
for itself here, and what a curve says is its shape. `--draw` needs matplotlib.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from . import results
from .cluster import Cluster, Taken, cluster
from .fanout import log_in
from .history_ingest import JOURNAL
from .ingest import Figures, Plan, run_load
from .processes import Generator, allow_many_sockets

PARTS = ("workers", "sustained", "sockets", "idle", "viewers")
DEVICES = 1_000
BATCHES = (10, 100)
WARMUP_SECONDS = 3.0
# As long as it takes to see whether the journal grows.
SUSTAINED = 8
RATES = (100_000, 150_000, 200_000)
SETTLE_SECONDS = 8.0
GROUP = "scale"
# Of one curve: an x, and named figures at it.
Point = tuple[float, Mapping[str, float]]


@dataclass(frozen=True)
class Curve:
    """A part's table, and its points for the drawing."""

    title: str
    x_label: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    points: Sequence[Point]
    notes: tuple[str, ...] = ()


def percent(taken: dict[str, Taken], role: str) -> str:
    return f"{taken[role].cpu:.0%}"


def megabytes(taken: dict[str, Taken], role: str) -> str:
    return f"{taken[role].rss_bytes / 1e6:.0f}"


def _load(running: Cluster, plan: Plan, job: dict[str, Any]) -> Figures:
    return run_load(
        "load", running.hub.pid, plan, {"url": running.hub.device_url, **job}
    )


def by_workers(seconds: float, most: int = 2) -> Curve:
    """A burst, half of it, and a minute at a steady rate, with 1, 2, … workers."""
    rows, points, notes = [], [], []
    plan = Plan(DEVICES, 0, seconds, WARMUP_SECONDS, 1)
    for workers in range(1, most + 1):
        with cluster(workers, TELEMETRY_DEVICE_RATE="0") as running:
            keys = running.hub.create_devices(DEVICES, GROUP)
            acked = 0
            for batch in BATCHES:
                job = {"keys": keys, "batch": batch}
                with running.watched() as taken:
                    burst = _load(running, plan, job)
                paced = burst.frames_per_second / 2
                half = _load(running, plan, {**job, "frames_per_second": paced})
                acked += burst.acked + half.acked
                rows.append(
                    (
                        f"{workers}",
                        f"{batch}",
                        f"{burst.readings_per_second:,.0f}",
                        f"{half.p99_ms:.0f}",
                        percent(taken, "worker"),
                        percent(taken, "PostgreSQL"),
                        percent(taken, "jobs"),
                        megabytes(taken, "worker"),
                        megabytes(taken, "jobs"),
                    )
                )
                points.append(
                    (
                        workers,
                        {
                            f"readings/s, batches of {batch}": (
                                burst.readings_per_second
                            ),
                            f"ack p99 at half load, batches of {batch} (ms)": (
                                half.p99_ms
                            ),
                        },
                    )
                )
                notes += [*burst.troubles, *half.troubles]
            stored = running.hub.stored(running.database.query)
            notes.append(f"{workers} workers: acked {acked:,}, stored {stored:,}.")
    header = (
        *("workers", "batch", "readings/s", "ack p99 at half load, ms"),
        *("CPU workers", "CPU PostgreSQL", "CPU jobs"),
        *("MB a worker", "MB jobs"),
    )
    return Curve("Readings/s by workers", "workers", header, rows, points, tuple(notes))


def by_rate(seconds: float, rates: Sequence[int]) -> Curve:
    """Two workers at steady rates, in batches of 100: does the journal grow?"""
    rows, points, notes = [], [], []
    with cluster(2, TELEMETRY_DEVICE_RATE="0") as running:
        keys = running.hub.create_devices(DEVICES, GROUP)
        plan = Plan(DEVICES, 0, SUSTAINED * seconds, WARMUP_SECONDS, 1)
        for rate in rates:
            job = {"keys": keys, "batch": 100, "frames_per_second": rate / 100}
            with running.watched() as taken, journal_watched(running) as held:
                found = _load(running, plan, job)
            half = len(held) // 2
            first, second = fmean(held[:half]), fmean(held[half:])
            rows.append(
                (
                    f"{rate:,}",
                    f"{found.readings_per_second:,.0f}",
                    f"{found.p99_ms:.0f}",
                    f"{first / 1e6:.2f} → {second / 1e6:.2f}",
                    percent(taken, "worker"),
                    percent(taken, "PostgreSQL"),
                    percent(taken, "jobs"),
                    megabytes(taken, "worker"),
                    megabytes(taken, "jobs"),
                )
            )
            points.append(
                (
                    rate,
                    {
                        "ack p99 (ms)": found.p99_ms,
                        "journal, mean of the second half (M readings)": second / 1e6,
                    },
                )
            )
            notes += found.troubles
            # What is left is sealed before the next rate begins.
            time.sleep(3 * SETTLE_SECONDS)
    header = (
        *("offered, readings/s", "taken, readings/s", "ack p99, ms"),
        *("journal, M readings, halves", "CPU workers", "CPU PostgreSQL", "CPU jobs"),
        *("MB a worker", "MB jobs"),
    )
    title = f"{SUSTAINED * seconds:.0f} s at a steady rate, two workers"
    return Curve(title, "readings/s offered", header, rows, points, tuple(notes))


@contextmanager
def journal_watched(running: Cluster) -> Iterator[list[int]]:
    """What the journal holds, each second while the body runs."""
    held: list[int] = []
    has_ended = threading.Event()

    def look() -> None:
        while not has_ended.wait(1.0):
            held.append(int(running.database.query(JOURNAL)[0][0]))

    thread = threading.Thread(target=look, name="journal", daemon=True)
    thread.start()
    try:
        yield held
    finally:
        has_ended.set()
        thread.join()


def by_sockets(seconds: float, counts: Sequence[int]) -> Curve:
    """Devices that send a reading a second each, on two workers."""
    rows, points, notes = [], [], []
    with cluster(2) as running:
        keys = running.hub.create_devices(max(counts), GROUP)
        for count in counts:
            plan = Plan(count, 0, seconds, WARMUP_SECONDS, 1)
            job = {"keys": keys[:count], "batch": 1, "frames_per_second": count}
            with running.watched() as taken:
                found = _load(running, plan, job)
            rows.append(
                (
                    f"{count:,}",
                    f"{found.readings_per_second:,.0f}",
                    f"{found.p50_ms:.0f}",
                    f"{found.p99_ms:.0f}",
                    percent(taken, "worker"),
                    percent(taken, "PostgreSQL"),
                    megabytes(taken, "worker"),
                )
            )
            points.append(
                (
                    count,
                    {
                        "ack p99 (ms)": found.p99_ms,
                        "CPU of the workers (%)": 100 * taken["worker"].cpu,
                    },
                )
            )
            notes += found.troubles
            time.sleep(SETTLE_SECONDS)
    header = (
        *("sockets, 1 reading/s each", "readings/s", "ack p50, ms", "ack p99, ms"),
        *("CPU workers", "CPU PostgreSQL", "MB a worker"),
    )
    return Curve(
        "Ack latency by sockets", "sockets", header, rows, points, tuple(notes)
    )


def by_idle(counts: Sequence[int]) -> Curve:
    """Connected devices that say nothing, on one worker."""
    rows, points = [], []
    with cluster(1) as running:
        keys = running.hub.create_devices(max(counts), GROUP)
        held: list[Generator] = []
        try:
            for before, count in zip([0, *counts], counts, strict=False):
                job = {
                    "url": running.hub.device_url,
                    "keys": keys[before:count],
                    "sockets": count - before,
                    "batch": 1,
                    "window": 2,
                    "echo": False,
                    "idle": True,
                    "frames_per_second": None,
                }
                generator = Generator("benchmarks.ingest_load", job)
                held.append(generator)
                generator.wait_for("ready")
                time.sleep(SETTLE_SECONDS)
                with running.watched() as taken:
                    time.sleep(SETTLE_SECONDS)
                rss = taken["worker"].rss_bytes
                rows.append(
                    (f"{count:,}", f"{rss / 1e6:.0f}", percent(taken, "worker"))
                )
                points.append((count, {"memory of the worker (MB)": rss / 1e6}))
        finally:
            for each in held:
                each.stop()
    header = ("idle devices on one worker", "MB", "CPU")
    return Curve("Memory by idle sockets", "sockets", header, rows, points)


def by_viewers(seconds: float, counts: Sequence[int]) -> Curve:
    """Pages that follow a group of 500 series at a frame a second, on two workers."""
    rows, points, notes = [], [], []
    with cluster(2, TELEMETRY_DEVICE_RATE="0") as running:
        hub = running.hub
        keys = hub.create_devices(25, GROUP)
        cookie = log_in(hub)
        feed = Generator(
            "benchmarks.feed_load",
            {"url": hub.device_url, "keys": keys, "columns": 20, "rate_hz": 1.0},
        )
        try:
            feed.wait_for("ready")
            time.sleep(SETTLE_SECONDS)
            for count in counts:
                job = {
                    "url": hub.live_url,
                    "origin": hub.url,
                    "cookie": cookie,
                    "group": GROUP,
                    "interval_ms": 1_000,
                    "sockets": count,
                }
                viewers = Generator("benchmarks.fanout_load", job)
                try:
                    viewers.wait_for("ready")
                    time.sleep(SETTLE_SECONDS)
                    with running.watched() as taken:
                        viewers.tell(str(seconds))
                        found = viewers.figures()
                    viewers.tell("")
                finally:
                    viewers.stop()
                rows.append(
                    (
                        f"{count:,}",
                        f"{found['frames_per_second']:,.0f}",
                        f"{found['reading_p50_ms']:.0f}",
                        f"{found['reading_p99_ms']:.0f}",
                        percent(taken, "worker"),
                        percent(taken, "Redis"),
                        megabytes(taken, "worker"),
                    )
                )
                points.append(
                    (
                        count,
                        {
                            "CPU of the workers (%)": 100 * taken["worker"].cpu,
                            "reading to page, p99 (ms)": found["reading_p99_ms"],
                        },
                    )
                )
                notes += found["troubles"]
        finally:
            feed.stop()
    header = (
        *("viewers, 1 frame/s each", "frames/s", "reading → page p50, ms"),
        *("p99, ms", "CPU workers", "CPU Redis", "MB a worker"),
    )
    return Curve("Fan-out by viewers", "viewers", header, rows, points, tuple(notes))


def draw(curve: Curve, name: str, folder: Path) -> None:
    """The curve's figures, one below the other, as an SVG file."""
    # Only who draws needs it: requirements-bench.txt.
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = name  # The same picture has the same bytes.
    rcParams["svg.fonttype"] = "none"
    labels = list(dict.fromkeys(label for _, each in curve.points for label in each))
    figure = Figure(figsize=(6.4, 2.2 * len(labels)), layout="constrained")
    panels = figure.subplots(len(labels), 1, sharex=True, squeeze=False)[:, 0]
    for panel, label in zip(panels, labels, strict=True):
        found = [(x, each[label]) for x, each in curve.points if label in each]
        panel.plot(
            *zip(*found, strict=True), marker="o", color="#2563eb", clip_on=False
        )
        panel.set_title(label, loc="left", fontsize=9)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.25)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    panels[-1].set_xlabel(curve.x_label)
    panels[-1].set_xticks(sorted({x for x, _ in curve.points}))
    figure.savefig(folder / f"scale-{name}.svg", metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--part", action="append", choices=PARTS, help="again for more; all if unset")
    add("--quick", action="store_true", help="seconds a figure: whether it works")
    add("--seconds", type=float, default=10.0, help="of one figure")
    add("--record", action="store_true", help="append to RESULTS.md")
    add("--json", help="write the figures to this file")
    add("--draw", type=Path, help="write the curves as SVG into this folder")
    options = parser.parse_args(arguments)
    seconds = 3.0 if options.quick else options.seconds
    small = options.quick
    parts: dict[str, Callable[[], Curve]] = {
        "workers": lambda: by_workers(seconds),
        "sustained": lambda: by_rate(seconds, (20_000,) if small else RATES),
        "sockets": lambda: by_sockets(
            seconds, (100, 200) if small else (500, 1_000, 2_000, 4_000)
        ),
        "idle": lambda: by_idle((100, 200) if small else (1_000, 2_000, 5_000, 10_000)),
        "viewers": lambda: by_viewers(
            seconds, (10, 20) if small else (10, 100, 500, 1_000)
        ),
    }
    allow_many_sockets(10_000)
    for name in options.part or PARTS:
        curve = parts[name]()
        notes = "\n".join(dict.fromkeys(curve.notes))
        results.publish(
            f"Scale: {curve.title}, PostgreSQL and Redis",
            f"{results.table(curve.header, curve.rows)}\n\n{notes}".rstrip(),
            {"points": curve.points, "rows": curve.rows},
            record=options.record,
            json_file=options.json and f"{options.json}-{name}.json",
        )
        if options.draw:
            draw(curve, name, options.draw)


if __name__ == "__main__":
    main()
