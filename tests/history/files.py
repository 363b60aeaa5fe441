"""Readings into files and out of them, for tests of export and import."""

from __future__ import annotations

import io
from dataclasses import dataclass

from telemetry.devices.models import Device, Series
from telemetry.history import lease, seal
from telemetry.history.heads import read_raw_from
from telemetry.history.models import Block, Journal, SeriesHead, TextReading, Writer
from telemetry.history.tail import Tail
from telemetry.history.transfer import csv_rows, export, parquet_rows
from telemetry.history.transfer.importing import Importer, Targets, accepted
from telemetry.history.transfer.incoming import Bounds, Refusals
from telemetry.protocol import clock

from .rows import bits

T = 1_795_341_600_000_000
ALL = (0, 2**62)
AWKWARD = [-0.0, 0.0, 5e-324, 1.7e308, 0.1 + 0.2, 1 / 3, -1e17, 2.0**53, 21.5]
TEXTS = ["", 'say "hi"', "a,b\r\nc\n", "grün 锅 \U0001f300", " lead", "\r", "true", "1"]
FORMATS = ["csv", "parquet"]


def encoded(format_: str, tail: Tail | None = None, **more) -> bytes:
    pages = export.pages(export.named(Series.objects.all()), *ALL, tail, **more)
    if format_ == "parquet":
        return b"".join(parquet_rows.encode(pages))
    return csv_rows.HEADER + b"".join(
        piece for page in pages for piece in csv_rows.encode(page)
    )


@dataclass
class Imported:
    accepted: int
    refusals: Refusals
    targets: Targets

    def reasons(self) -> list[tuple[int, str]]:
        return [(each.line, each.reason) for each in self.refusals.listed]


def imported(
    content: bytes | str,
    format_: str = "csv",
    *,
    slug: str | None = None,
    creates: bool = True,
    most_series: int = 256,
) -> Imported:
    content = content.encode() if isinstance(content, str) else content
    decode = csv_rows.decode if format_ == "csv" else parquet_rows.decode
    found = Imported(0, Refusals(), Targets(slug, creates, most_series))
    bounds = Bounds(clock.now_us() + 86_400_000_000, read_raw_from(), 256)
    importer = Importer(8)
    for part in decode(io.BytesIO(content)):
        for good in accepted(part, found.targets.of, bounds, found.refusals):
            importer.add(good)
            found.accepted += len(good)
    importer.end()
    return found


def sealed() -> None:
    with lease.claimed() as held:
        assert held is not None
        while seal.seal_pass(held, 2_000_000).rows:
            pass


def emptied() -> None:
    """As a new hub: nothing of the old one is left."""
    for model in (Journal, Block, TextReading, SeriesHead, Writer):
        model.objects.all().delete()
    Series.objects.all()._raw_delete("default")
    Device.objects.all()._raw_delete("default")


def readings() -> dict[tuple[str, str, str, str], list[tuple[int, object]]]:
    """All that is stored, by device, metric, kind and unit; numbers as their bits."""
    found: dict[tuple[str, str, str, str], list[tuple[int, object]]] = {}
    for page in export.pages(export.named(Series.objects.all()), *ALL):
        series = page.series
        key = (series.device, series.metric, series.kind, series.unit)
        values = page.values if isinstance(page.values, list) else bits(page.values)
        found.setdefault(key, []).extend(
            zip(page.times_us.tolist(), values, strict=True)
        )
    return found
