"""Who listens to a fleet beside the report: the books of what was acked."""

from __future__ import annotations

from collections.abc import Sequence

from ..protocol.messages import Ack
from .backoff import Ending
from .device import Device, Observer, Silent
from .ledger import Ledger
from .outbox import Sent
from .simulation import Machine


class Several:
    """One observer that tells several."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def sent(self, device: Device, sent: Sent) -> None:
        for each in self._observers:
            each.sent(device, sent)

    def acked(self, device: Device, sent: Sent, seconds: float) -> None:
        for each in self._observers:
            each.acked(device, sent, seconds)

    def rejected(self, device: Device, ack: Ack) -> None:
        for each in self._observers:
            each.rejected(device, ack)

    def connected(self, device: Device) -> None:
        for each in self._observers:
            each.connected(device)

    def disconnected(self, device: Device, ending: Ending) -> None:
        for each in self._observers:
            each.disconnected(device, ending)

    def error(self, device: Device, message: str) -> None:
        for each in self._observers:
            each.error(device, message)


class Books(Silent):
    """Enters every acked reading into a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def acked(self, device: Device, sent: Sent, seconds: float) -> None:
        for metric, time_us, value in sent.batch.each():
            if value is not None:
                self.ledger.add(device.slug, metric, time_us, value)

    def uncertain(
        self, machines: Sequence[Machine]
    ) -> dict[tuple[str, str], list[int]]:
        """Times (µs) of what went out and was never acked, by device and metric."""
        times: dict[tuple[str, str], list[int]] = {}
        for machine in machines:
            slug = machine.device.slug
            for sent in machine.device.outbox.unacked():
                for metric, time_us, _ in sent.batch.each():
                    times.setdefault((slug, metric), []).append(time_us)
        return times
