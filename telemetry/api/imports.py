"""`POST /api/v1/import`: older readings of one device, as CSV or Parquet.

They go through the pipeline like all others, a commit's worth at a time, and the
next only when the last is on disk: devices hardly notice, and the answer is true.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .. import conf, counters
from ..devices.entries import DeviceEntry, SeriesWanted
from ..history.heads import raw_from_of
from ..history.transfer import csv_rows, parquet_rows
from ..history.transfer.importing import NotTaken, accepted, new_texts, wrong_device
from ..history.transfer.incoming import (
    UNKNOWN_METRIC,
    BadFile,
    Bounds,
    Part,
    Refusals,
    Slice,
    Target,
    TooLong,
    wrong_name,
)
from ..ingest.batch import Batch
from ..ingest.door import Door
from ..protocol import clock
from ..protocol.errors import BadRequest, Busy, TooLarge, Unsupported, quoted
from .asked import CSV, MEDIA_TYPES, PARQUET
from .askers import device_of, hub_door
from .bodies import PIECE_BYTES, Body, end_turn
from .errors import NotAcceptable, answer, answering

# A hub that takes nothing just now is waited for so long.
PATIENCE_SECONDS = 10.0


@dataclass(eq=False)
class Upload:
    """The sender of an import's batches, and what became of it."""

    device: DeviceEntry
    door: Door
    refusals: Refusals = field(default_factory=Refusals)
    accepted: int = 0
    is_lost: bool = False

    def committed(self, seq: int | None) -> None:
        """Known from the pipeline's `flush`."""

    def refused(self, seq: int | None, reason: str) -> None:
        self.is_lost = True

    def gave_up(self) -> None:
        self.is_lost = True

    def superseded(self) -> None:
        """Never: an import has no numbers, so nobody owns it."""

    async def take(self, found: Slice) -> None:
        """Store what is good of a slice; on return it is on disk."""
        await self._make_series(found)
        batches, count = await sync_to_async(self._batches)(found)
        await self._admitted()
        for batch in batches:
            self.door.pipeline.submit(batch, self)
        await self.door.pipeline.flush()
        if self.is_lost:
            raise Busy(
                "expected to store the readings, but the hub stops or the database "
                "refuses them; send the whole file again"
            )
        self.accepted += count

    def _batches(self, found: Slice) -> tuple[list[Batch], int]:
        """What is to be stored, and how many lines that or what is stored is."""
        bounds, made, count = self._bounds(), list[Batch](), 0
        for good in accepted(found, self._target, bounds, self.refusals):
            series = [good.series] * len(good.times_us)
            times_us, values = good.times_us.tolist(), good.values.tolist()
            count += len(good)
            batch = Batch(series, times_us, values, new_texts(good.texts))
            if len(batch):
                made.append(batch)
        return made, count

    def _bounds(self) -> Bounds:
        """What may be stored now. Another process may just have thinned out what the
        door of this one takes for raw: taken again, it would count twice."""
        limits = self.door.limits
        return Bounds(
            clock.now_us() + limits.future_seconds * 1_000_000,
            raw_from_of([entry.id for entry in self.device.series.values()]),
            limits.text_characters,
        )

    def _target(self, part: Part) -> Target | NotTaken:
        wrong = wrong_device(part.key, self.device.slug)
        if wrong is not None:
            return wrong
        if (message := wrong_name(part.key)) is not None:
            return NotTaken(UNKNOWN_METRIC, message)
        entry = self.device.series.get(part.key.metric)
        if entry is None:
            return NotTaken(
                UNKNOWN_METRIC,
                "expected a metric that the device has or may have, "
                f"got {quoted(part.key.metric)}",
            )
        return Target(entry.id, entry.kind)

    async def _make_series(self, found: Slice) -> None:
        """As for any message: by what the device's groups and limits allow."""
        wanted = [
            SeriesWanted(part.key.metric, part.kind, part.key.unit)
            for part in found.parts
            if wrong_device(part.key, self.device.slug) is None
            and wrong_name(part.key) is None
        ]
        if wanted:
            await self.door.new_series.make(self.device, wanted)

    async def _admitted(self) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.door.gate.admitted(), PATIENCE_SECONDS)
        self.door.gate.check_open()


@answering("POST")
async def import_readings(request: HttpRequest) -> HttpResponseBase:
    """Store a device's readings; 200 once they are on disk."""
    device = await device_of(request)
    door = hub_door(request)
    format_ = _format(request)
    body = _body(request)
    door.gate.check_open()
    door.heard(device.id)
    upload = Upload(device, door)
    slices = _slices(body, format_)
    try:
        while (found := await sync_to_async(_next)(slices)) is not None:
            await upload.take(found)
    finally:
        await sync_to_async(slices.close)()
        end_turn(request.scope)  # type: ignore[attr-defined]
        for reason, count in upload.refusals.reasons.items():
            counters.REJECTED.labels(reason=reason).inc(count)
    refusals = upload.refusals
    return answer(
        {
            "accepted": upload.accepted,
            "rejected": [
                {"line": each.line, "reason": each.reason, "message": each.message}
                for each in refusals.listed
            ],
            "rejected_count": refusals.count,
        }
    )


def _format(request: HttpRequest) -> str:
    name = MEDIA_TYPES.get(request.content_type or "")
    if name not in (CSV, PARQUET):
        came = quoted(request.content_type or "none")
        raise Unsupported(
            "expected Content-Type text/csv or application/vnd.apache.parquet, "
            f"got {came}"
        )
    return name


def _body(request: HttpRequest) -> Body:
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise Unsupported(
            f"expected no Content-Encoding, or gzip; got {quoted(encoding)}"
        )
    most = int(conf.value("IMPORT_BYTES"))
    return Body(request, is_gzip=encoding == "gzip", most_bytes=most)


def _next(slices: Generator[Slice, None, None]) -> Slice | None:
    """The next slice of a file. What is wrong with the file is the sender's fault."""
    try:
        return next(slices, None)
    except TooLong as error:
        raise TooLarge(str(error)) from None
    except BadFile as error:
        raise BadRequest(str(error)) from None
    except parquet_rows.Missing as error:
        raise NotAcceptable(str(error)) from None


def _slices(body: Body, format_: str) -> Generator[Slice, None, None]:
    file = io.BufferedReader(body, PIECE_BYTES)
    if format_ == CSV:
        return csv_rows.decode(cast(BinaryIO, file))
    return _of_parquet(file)


def _of_parquet(file: io.BufferedReader[Body]) -> Generator[Slice, None, None]:
    """Its end has to be read first, so it is put into a file that can seek."""
    with tempfile.TemporaryFile() as whole:
        while piece := file.read(PIECE_BYTES):
            whole.write(piece)
        whole.seek(0)
        most = int(conf.value("IMPORT_BYTES"))
        yield from parquet_rows.decode(cast(BinaryIO, whole), most)
