"""What a terminal sees of a running fleet: one live line, or a line now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..fleet.device import Device
from ..fleet.report import Report, Snapshot

LIVE_SECONDS = 0.5
# Off a terminal each line stays, so there are fewer.
PLAIN_SECONDS = 5.0


async def show(stdout: Any, report: Report, devices: list[Device]) -> None:
    """Show the fleet's figures until cancelled. stdout: a command's."""
    if not stdout.isatty():
        while True:
            await asyncio.sleep(PLAIN_SECONDS)
            stdout.write(line(report.snapshot(devices), len(devices)))
            stdout.flush()
    # Drawn from the loop, not from a thread of its own.
    with Live(console=Console(), auto_refresh=False, transient=True) as live:
        while True:
            await asyncio.sleep(LIVE_SECONDS)
            snapshot = report.snapshot(devices)
            live.update(Text(line(snapshot, len(devices))), refresh=True)


def line(now: Snapshot, device_count: int) -> str:
    """The figures of one moment, on one line."""
    return _(
        "%(seconds)4.0f s  %(rate)s readings/s  acked %(acked)s  "
        "ack p50 %(p50).1f ms p99 %(p99).1f ms  un-acked %(unacked)d batches  "
        "online %(online)d/%(devices)d  reconnects %(reconnects)d  "
        "rejected %(rejected)d"
    ) % {
        "seconds": now.seconds,
        "rate": f"{now.readings_per_second:,.0f}",
        "acked": f"{now.acked_readings:,}",
        "p50": now.p50_ms,
        "p99": now.p99_ms,
        "unacked": now.unacked,
        "online": now.online,
        "devices": device_count,
        "reconnects": now.reconnects,
        "rejected": now.rejected,
    }


def summary(report: Report, devices: list[Device]) -> Iterator[str]:
    """What happened in all, a line each."""
    seconds = report.snapshot(devices).seconds
    yield _(
        "%(readings)s readings in %(batches)s batches acked in %(seconds).1f s "
        "(%(rate)s readings/s), ack p50 %(p50).1f ms, p99 %(p99).1f ms"
    ) % {
        "readings": f"{report.acked_readings:,}",
        "batches": f"{report.acked_batches:,}",
        "seconds": seconds,
        "rate": f"{report.acked_readings / max(seconds, 1e-9):,.0f}",
        "p50": report.latencies.percentile(0.5) * 1000,
        "p99": report.latencies.percentile(0.99) * 1000,
    }
    yield _(
        "un-acked %(unacked)d batches, sent again %(again)d, "
        "reconnects %(reconnects)d, rejected %(rejected)d readings"
    ) % {
        "unacked": sum(len(device.outbox) for device in devices),
        "again": report.sent_again,
        "reconnects": report.reconnects,
        "rejected": report.rejected_count,
    }
    for (reason, metric), count in report.reasons.most_common(10):
        yield _("rejected for %(reason)s: %(metric)s (%(count)d listed)") % {
            "reason": reason,
            "metric": metric,
            "count": count,
        }
    for error, count in report.errors.most_common(5):
        yield _("%(count)d × %(error)s") % {"count": count, "error": error}
