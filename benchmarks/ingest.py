"""Devices against the hub: readings/s, ack latency, CPU, memory a socket.

    python -m benchmarks.ingest [--quick] [--record] [--json FILE]

Ack comes after the durable commit (SQLite, WAL, synchronous=FULL); there is no rate
limit (TELEMETRY_DEVICE_RATE=0). The bare echo runs in the same minute on the same
server settings, so that the ratio says more than the figures. Rows of one metric:
a frame of 10 is 10 readings.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import results
from .processes import Generator, Hub, allow_many_sockets, bare_echo, hub, usage

BATCHES = (1, 10, 100)
WINDOW = 2
IDLE_SETTLE_SECONDS = 3.0
HEADER = (
    "what",
    "readings/s",
    "frames/s",
    "ack p50 ms",
    "ack p99 ms",
    "CPU of the server",
    "CPU of the generator",
)


@dataclass(frozen=True)
class Figures:
    """One run of the load."""

    name: str
    batch: int
    frames_per_second: float
    p50_ms: float
    p99_ms: float
    server_cpu: float
    generator_cpu: float
    acked: int
    troubles: tuple[str, ...]

    @property
    def readings_per_second(self) -> float:
        return self.frames_per_second * self.batch

    def row(self) -> tuple[str, ...]:
        return (
            self.name,
            f"{self.readings_per_second:,.0f}",
            f"{self.frames_per_second:,.0f}",
            f"{self.p50_ms:.1f}",
            f"{self.p99_ms:.1f}",
            f"{self.server_cpu:.0%}",
            f"{self.generator_cpu:.0%}",
        )


@dataclass(frozen=True)
class Plan:
    sockets: int
    idle: int
    seconds: float
    warmup: float
    processes: int


def run_load(name: str, pid: int, plan: Plan, job: dict[str, Any]) -> Figures:
    """Run the load with one or more generators against process `pid`."""
    shares = [plan.sockets // plan.processes] * plan.processes
    shares[0] += plan.sockets % plan.processes
    with _generators(job, shares, plan) as generators:
        for each in generators:
            each.wait_for("ready")
        for each in generators:
            each.wait_for("measuring")
        before = usage(pid)
        generators_before = [usage(each.pid) for each in generators]
        for each in generators:
            each.wait_for("measured")
        after = usage(pid)
        generators_after = [usage(each.pid) for each in generators]
        found = [each.result() for each in generators]
    cpu = sum(
        after_.cpu_since(before_)
        for before_, after_ in zip(generators_before, generators_after, strict=True)
    )
    return Figures(
        name=name,
        batch=job["batch"],
        frames_per_second=sum(each["frames"] / each["seconds"] for each in found),
        p50_ms=max(each["p50_ms"] for each in found),
        p99_ms=max(each["p99_ms"] for each in found),
        server_cpu=after.cpu_since(before),
        generator_cpu=cpu,
        acked=sum(each["acked"] for each in found),
        troubles=tuple(trouble for each in found for trouble in each["troubles"]),
    )


@contextlib.contextmanager
def _generators(
    job: dict[str, Any], shares: Sequence[int], plan: Plan
) -> Iterator[list[Generator]]:
    generators = []
    first = 0
    for share in shares:
        own = {
            "echo": False,
            "idle": False,
            "window": WINDOW,
            "frames_per_second": None,
            "seconds": plan.seconds,
            "warmup": plan.warmup,
            **job,
            "sockets": share,
        }
        own["keys"] = job.get("keys", [])[first : first + share]
        if own["frames_per_second"] is not None:
            own["frames_per_second"] *= share / sum(shares)
        first += share
        generators.append(Generator("benchmarks.ingest_load", own))
    try:
        yield generators
    finally:
        for each in generators:
            each.stop()


def measure_ingest(plan: Plan, batches: Sequence[int]) -> tuple[list[Figures], str]:
    """The hub as fast as it can, then at half of that; and what is on disk."""
    found: list[Figures] = []
    with hub(TELEMETRY_DEVICE_RATE="0") as running:
        keys = running.create_devices(plan.sockets, "bench")
        job = {"url": running.device_url, "keys": keys}
        for batch in batches:
            full = run_load(
                f"hub, batches of {batch}", running.pid, plan, {**job, "batch": batch}
            )
            half = run_load(
                f"hub, batches of {batch}, half load",
                running.pid,
                plan,
                {
                    **job,
                    "batch": batch,
                    "frames_per_second": full.frames_per_second / 2,
                },
            )
            found += [full, half]
        acked, stored = sum(each.acked for each in found), running.stored()
        mode = running.journal_mode()
    note = f"Acked in all {acked:,}, stored {stored:,} (journal mode {mode})."
    if stored < acked:
        note += " **Acked readings are missing.**"
    return found, note


def measure_echo(plan: Plan, batches: Sequence[int]) -> list[Figures]:
    with bare_echo() as (url, pid):
        return [
            run_load(
                f"bare echo of the same frames, {batch}",
                pid,
                plan,
                {"url": url, "batch": batch, "echo": True},
            )
            for batch in batches
        ]


def measure_idle(count: int) -> dict[str, float]:
    """Memory of the hub for each connected device that says nothing."""
    import time

    with hub() as running:
        # As many again warm up what grows once: caches, arenas, the first imports.
        keys = running.create_devices(count + 50, "idle")
        job = {
            "url": running.device_url,
            "batch": 1,
            "window": WINDOW,
            "echo": False,
            "idle": True,
            "frames_per_second": None,
        }
        first = _idle(job, keys[count:], running)
        before = usage(running.pid)
        second = _idle(job, keys[:count], running)
        time.sleep(IDLE_SETTLE_SECONDS)
        quiet = usage(running.pid)
        time.sleep(IDLE_SETTLE_SECONDS)
        after = usage(running.pid)
        for each in (first, second):
            each.tell("done")
            each.result()
    return {
        "sockets": count,
        "kib_a_socket": (after.rss_kib - before.rss_kib) / count,
        "rss_mib": after.rss_kib / 1024,
        "cpu": after.cpu_since(quiet),
    }


def _idle(job: dict[str, Any], keys: list[str], running: Hub) -> Generator:
    generator = Generator(
        "benchmarks.ingest_load", {**job, "keys": keys, "sockets": len(keys)}
    )
    generator.wait_for("ready")
    return generator


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="3 s a figure, 200 idle sockets")
    add("--sockets", type=int, default=100)
    add("--idle", type=int, default=2_000, help="idle sockets; 0 = leave it out")
    add("--seconds", type=float, default=10.0, help="of one figure")
    add("--warmup", type=float, default=2.0)
    add("--processes", type=int, default=1, help="load generators")
    add("--batches", default="1,10,100")
    add("--no-echo", action="store_true")
    add("--record", action="store_true", help="append to RESULTS.md")
    add("--json", help="write the figures to this file")
    options = parser.parse_args(arguments)
    plan = Plan(
        sockets=options.sockets,
        idle=options.idle,
        seconds=options.seconds,
        warmup=options.warmup,
        processes=options.processes,
    )
    if options.quick:
        plan = Plan(options.sockets, min(plan.idle, 200), 3.0, 1.0, plan.processes)
    batches = [int(each) for each in options.batches.split(",")]
    allow_many_sockets(max(plan.sockets, plan.idle))

    found, note = measure_ingest(plan, batches)
    echoes = [] if options.no_echo else measure_echo(plan, batches)
    lines = [results.table(HEADER, [each.row() for each in found + echoes]), "", note]
    for full, echoed in zip(found[::2], echoes, strict=bool(echoes)):
        ratio = full.frames_per_second / echoed.frames_per_second
        batch = full.batch
        lines.append(f"Batches of {batch}: {ratio:.2f} of the echo's frames/s.")
    troubles = sorted({trouble for each in found for trouble in each.troubles})
    if troubles:
        lines.append(f"**Troubles**: {'; '.join(troubles)[:500]}")
    idle = measure_idle(plan.idle) if plan.idle else None
    if idle is not None:
        lines.append(
            f"{idle['sockets']:,} idle devices: {idle['kib_a_socket']:.1f} KiB each, "
            f"{idle['rss_mib']:.0f} MiB in all, {idle['cpu']:.1%} of a core."
        )
    title = (
        f"Ingest: {plan.sockets} sockets, window {WINDOW}, no rate limit, ack after "
        "the durable commit (SQLite, WAL, synchronous=FULL)"
    )
    figures = {
        "runs": [vars(each) for each in found + echoes],
        "idle": idle,
    }
    results.publish(
        title,
        "\n".join(lines),
        figures,
        record=options.record,
        json_file=options.json,
    )


if __name__ == "__main__":
    main()
