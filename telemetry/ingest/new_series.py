"""Series for the metrics of a message that have none, if the device may make them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from django.db import (
    DatabaseError,
    InterfaceError,
    InternalError,
    OperationalError,
)

from ..devices.entries import DeviceEntry, SeriesWanted
from ..devices.registry import Registry
from ..protocol.codec import PlainData
from ..protocol.errors import Busy
from ..protocol.messages import Data, MetricHint
from .batch import first_values, kind_of
from .gate import Gate

logger = logging.getLogger(__name__)

# How often a database that is away is asked again.
AWAY_SECONDS = 0.5
NO_HINT = MetricHint()


class NewSeries:
    """Used on the event loop."""

    def __init__(self, registry: Registry, gate: Gate) -> None:
        self._registry = registry
        self._gate = gate

    async def of_message(
        self,
        device: DeviceEntry,
        message: PlainData | Data,
        missing: Sequence[str],
        hints: Mapping[str, MetricHint],
    ) -> None:
        """Make series for the metrics of a message that have none, where allowed.

        hints: what the device's `hello` said of its metrics.
        """
        values = first_values(message)
        wanted: list[SeriesWanted] = []
        for name in missing:
            kind = kind_of(values.get(name))
            if kind is not None:
                hint = hints.get(name, NO_HINT)
                wanted.append(SeriesWanted(name, kind, hint.unit, hint.label))
        if wanted:
            await self.make(device, wanted)

    async def make(self, device: DeviceEntry, wanted: Sequence[SeriesWanted]) -> None:
        """`Registry.ensure_series`, waiting while the database is away.

        A reading must not be refused for good because its series could not be made
        just then. Raises Busy when the hub stops meanwhile.
        """
        while True:
            try:
                await self._registry.ensure_series(device, wanted)
            except (OperationalError, InterfaceError, InternalError):
                if self._gate.is_draining:
                    raise Busy(
                        "expected to store readings, but the hub stops"
                    ) from None
                await asyncio.sleep(AWAY_SECONDS)
            except DatabaseError as error:
                # Such as a device that was removed just now: waiting will not help.
                logger.warning("series of %s cannot be made: %s", device.slug, error)
                return
            else:
                return
