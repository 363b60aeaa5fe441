"""Reading back: any series, any range, exactly what was stored.

A reading *is* (series, time, value): an exact repeat, bit for bit, is the same
reading; two values at one time are two readings. Sources are read in this order:
the tail, the journal, the blocks. What leaves the journal meanwhile is in blocks by
then, so that nothing is missed; what is met twice is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..blocks import RAW
from ..tail import Tail
from .answer import Missing, Readings
from .assembly import Assembly
from .catalogue import NO_ENTRIES, SERIES_AT_ONCE, Entries, Gone, blocks_of
from .unsealed import Asked, unsealed

__all__ = ["Readings", "read_sync"]


def read_sync(
    series_ids: Iterable[int],
    from_us: int,
    to_us: int,
    tail: Tail | None = None,
    *,
    missing: list[Missing] | None = None,
) -> dict[int, Readings]:
    """Times (µs, ascending) and values of each series with from ≤ time < to.

    All of them at once: 16 bytes a reading; read long ranges in parts. What has been
    summed up into a tier is not among them. Equal times are in order of arrival, those
    of several writers by their start; exact repeats are dropped. A tail changes
    nothing but the pace. missing: blocks that cannot be read are added to it. Blocks:
    call it on a thread.
    """
    asked = Asked(sorted(set(series_ids)), from_us, to_us)
    recent = unsealed(asked, tail)
    found: dict[int, Readings] = {}
    for start in range(0, len(asked.series), SERIES_AT_ONCE):
        some = asked.series[start : start + SERIES_AT_ONCE]
        entries = blocks_of(some, from_us, to_us, [RAW])
        for series in some:
            own = entries[entries["series_id"] == series]
            found[series], lost = _of_series(
                series, own, recent[series], from_us, to_us
            )
            if missing is not None:
                missing += lost
    return found


def _of_series(
    series: int, entries: Entries, recent: Readings, from_us: int, to_us: int
) -> tuple[Readings, Iterable[Missing]]:
    while True:
        assembly = Assembly(series, entries, NO_ENTRIES, recent, from_us, to_us)
        try:
            return assembly.read_all(), assembly.missing
        except Gone:
            # Sealed anew meanwhile: the same readings in other blocks.
            entries = blocks_of([series], from_us, to_us, [RAW])
