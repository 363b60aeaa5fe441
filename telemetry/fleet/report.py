"""What a fleet is doing, counted: rates, latencies, losses. Memory does not grow."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from ..protocol.messages import Ack
from .backoff import Ending
from .device import Device, Silent
from .outbox import Sent

# Buckets grow by 5 % from 10 µs: a percentile is right to 5 %, up to 13 minutes.
_FIRST_SECONDS: Final = 1e-5
_GROWTH: Final = math.log(1.05)
_BUCKETS: Final = 373
# Different errors and rejections kept in words; more are only counted.
KEPT: Final = 32


class Latencies:
    """A histogram of seconds with percentiles."""

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self.count = 0

    def add(self, seconds: float) -> None:
        at = int(math.log(max(seconds, _FIRST_SECONDS) / _FIRST_SECONDS) / _GROWTH)
        self._buckets[min(at, _BUCKETS - 1)] += 1
        self.count += 1

    def percentile(self, part: float) -> float:
        """Seconds that `part` (0 to 1) of all were below; 0 if there are none."""
        wanted = part * self.count
        seen = 0
        for at, count in enumerate(self._buckets):
            seen += count
            if count and seen >= wanted:
                return _FIRST_SECONDS * math.exp((at + 1) * _GROWTH)
        return 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Figures of one moment; rates are since the snapshot before."""

    seconds: float
    readings_per_second: float
    acked_readings: int
    p50_ms: float
    p99_ms: float
    unacked: int
    online: int
    reconnects: int
    rejected: int


@dataclass(slots=True)
class Report(Silent):
    """Counts for a fleet; one for all of its devices."""

    started_at: float = field(default_factory=time.monotonic)
    acked_batches: int = 0
    acked_readings: int = 0
    sent_again: int = 0
    rejected_count: int = 0
    connects: Counter[str] = field(default_factory=Counter)
    endings: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    _recent: Latencies = field(default_factory=Latencies)
    _last_at: float = 0.0
    _last_readings: int = 0

    def sent(self, device: Device, sent: Sent) -> None:
        if sent.times > 1:
            self.sent_again += 1

    def acked(self, device: Device, sent: Sent, seconds: float) -> None:
        self.acked_batches += 1
        self.acked_readings += sent.batch.readings
        self.latencies.add(seconds)
        self._recent.add(seconds)

    def rejected(self, device: Device, ack: Ack) -> None:
        listed = ack.rejected or []
        self.rejected_count += max(len(listed), ack.rejected_count or 0)
        for rejection in listed:
            reason = (
                str(rejection.get("reason"))[:40],
                str(rejection.get("metric"))[:64],
            )
            if reason in self.reasons or len(self.reasons) < KEPT:
                self.reasons[reason] += 1

    def connected(self, device: Device) -> None:
        self.connects[device.slug] += 1

    def disconnected(self, device: Device, ending: Ending) -> None:
        self.endings[ending.code] += 1

    def error(self, device: Device, message: str) -> None:
        if message in self.errors or len(self.errors) < KEPT:
            self.errors[message] += 1

    @property
    def reconnects(self) -> int:
        return sum(count - 1 for count in self.connects.values())

    def snapshot(self, devices: list[Device]) -> Snapshot:
        """The figures now; the percentiles are of the time since the last call."""
        now = time.monotonic()
        passed = max(1e-9, now - (self._last_at or self.started_at))
        rate = (self.acked_readings - self._last_readings) / passed
        recent, self._recent = self._recent, Latencies()
        self._last_at, self._last_readings = now, self.acked_readings
        return Snapshot(
            seconds=now - self.started_at,
            readings_per_second=rate,
            acked_readings=self.acked_readings,
            p50_ms=recent.percentile(0.5) * 1000,
            p99_ms=recent.percentile(0.99) * 1000,
            unacked=sum(len(device.outbox) for device in devices),
            online=sum(device.is_connected for device in devices),
            reconnects=self.reconnects,
            rejected=self.rejected_count,
        )
