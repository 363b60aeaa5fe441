"""What a series of kind text said, as states: from when to when it was so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from django.utils.translation import gettext as _

from ..models import TextReading
from .ladder import TooMuch, check_range

# Rows of one short statement: no cursor stays open, which would let the WAL grow.
PAGE_ROWS = 2_000


class State(NamedTuple):
    """From when to when (µs) a text was the last that was said."""

    from_us: int
    to_us: int
    value: str


@dataclass(slots=True)
class Timeline:
    """The states of one series, by time, neighbours different.

    last_us: when it spoke last in the range, or before it; nothing that is held
    beyond may look live. None: never.
    """

    states: list[State] = field(default_factory=list)
    last_us: int | None = None


def read_timelines(
    series_ids: Iterable[int],
    from_us: int,
    to_us: int,
    *,
    held_to_us: int | None = None,
    most_states: int | None = None,
) -> dict[int, Timeline]:
    """The states of each series with from ≤ time < to.

    Each is held until another one; the last until the range ends, or until
    held_to_us (now, say) if that is earlier. The first begins at `from` if it was so
    already. Raises BadRange, and TooMuch for more than most_states of all series.
    Blocks: call it on a thread.
    """
    check_range(from_us, to_us)
    end_us = to_us if held_to_us is None else min(to_us, held_to_us)
    found: dict[int, Timeline] = {}
    left = most_states
    for series in sorted(set(series_ids)):
        found[series] = _timeline(series, from_us, to_us, end_us, left)
        if left is not None:
            left -= len(found[series].states)
    return found


def _timeline(
    series: int, from_us: int, to_us: int, end_us: int, most: int | None
) -> Timeline:
    timeline = Timeline()
    # Where each state begins; one that held for no time is overwritten.
    changes: list[tuple[int, str]] = []
    for time_us, value in _texts(series, from_us, to_us):
        timeline.last_us = time_us
        begins_us = max(time_us, from_us)
        if changes and changes[-1][0] == begins_us:
            changes.pop()
        if not changes or changes[-1][1] != value:
            changes.append((begins_us, value))
        if most is not None and len(changes) > most:
            raise TooMuch(
                _(
                    "expected at most %(most)d states in the range, got more: "
                    "choose a shorter one"
                )
                % {"most": most}
            )
    ends = [begins_us for begins_us, _value in changes[1:]]
    if changes:
        ends.append(max(end_us, changes[-1][0]))
    timeline.states = [
        State(begins_us, until_us, value)
        for (begins_us, value), until_us in zip(changes, ends, strict=True)
    ]
    return timeline


def _texts(series: int, from_us: int, to_us: int) -> Iterator[tuple[int, str]]:
    """Times and texts by time, equal times by arrival; the one before goes first."""
    rows = TextReading.objects.filter(series_id=series)
    earlier = rows.filter(time_us__lt=from_us).order_by("-time_us", "-id")
    yield from earlier.values_list("time_us", "value")[:1]
    rows = rows.filter(time_us__lt=to_us).order_by("time_us", "id")
    last_us, last_id = from_us, 0
    while True:
        after = rows.filter(time_us__gte=last_us)
        after = after.exclude(time_us=last_us, id__lte=last_id)
        page = list(after.values_list("time_us", "id", "value")[:PAGE_ROWS])
        yield from ((time_us, value) for time_us, _id, value in page)
        if len(page) < PAGE_ROWS:
            return
        last_us, last_id, _value = page[-1]
