"""How far each device's session got: moved in the commit, folded into rows later.

A mark is on disk as part of its journal row. Folding copies marks and heads into
DeviceSession and SeriesHead every half minute, so that neither a `hello` nor a
start has to walk the journal; `Writer.folded_to` says how far that went.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TypeVar

from django.db import transaction
from django.db.models import Count, Max, Q

from .heads import HeadRow, Heads, Moved, head_rows, heads_of
from .journal import (
    Mark,
    SessionKey,
    from_us,
    highest_plausible_id,
    readable_columns,
    rows_after,
    to_us,
    unfolded_marks,
)
from .models import DeviceSession, Journal, SeriesHead, TextReading, Writer
from .tick import NO_READINGS, sort_columns
from .upsert import ForwardUpsert

T = TypeVar("T")

# A writer that has not folded for this long is dead: it does so every half minute.
DEAD_US = 120_000_000
# Rows of one transaction: a few milliseconds, so that commits are not held up.
SLICE_ROWS = 500

_HEADS = ForwardUpsert(
    SeriesHead._meta.db_table,
    {
        "series_id": "bigint",
        "time_us": "bigint",
        "effective_us": "bigint",
        "received_us": "bigint",
        "value": "double precision",
        "text": "text",
        "period_us": "bigint",
    },
    keys=["series_id"],
    order="effective_us",
    lasting=["period_us"],
)
_MARKS = ForwardUpsert(
    DeviceSession._meta.db_table,
    {
        "device_id": "bigint",
        "session": "text",
        "last_seq": "bigint",
        "offset_us": "bigint",
        "used_at": "timestamptz",
    },
    keys=["device_id", "session"],
    order="last_seq",
)


def last_mark(device_id: int, session: str, own_writer: int) -> Mark | None:
    """The session's mark as other writers left it: the journal first, then the row.

    The other order would miss what a fold moves in between. What the own process
    has unfolded is in its memory.
    """
    key = (device_id, session)
    return last_marks([key], own_writer).get(key)


def last_marks(
    keys: Collection[SessionKey], own_writer: int, also: Collection[int] = ()
) -> dict[SessionKey, Mark]:
    """`last_mark` of many sessions: the journal is walked once for all of them.

    also: writers whose journal is read even if somebody took them for dead. They may
    have woken up.
    """
    found: dict[SessionKey, Mark] = {}
    wanted = set(keys)
    is_read = Q(ended_at=None) | Q(id__in=also)
    for writer in Writer.objects.filter(is_read).exclude(id=own_writer):
        for marks in unfolded_marks(writer):
            for key in marks.keys() & wanted:
                found[key] = later(found.get(key), marks[key])
    for devices in _slices(sorted({device for device, _ in keys})):
        rows = DeviceSession.objects.filter(device_id__in=devices)
        for device, session, last_seq, offset_us in rows.values_list(
            "device_id", "session", "last_seq", "offset_us"
        ):
            if (key := (device, session)) in wanted:
                found[key] = later(found.get(key), Mark(last_seq, offset_us))
    return found


def later(one: Mark | None, other: Mark) -> Mark:
    """The mark that is further on."""
    return other if one is None or one.last_seq < other.last_seq else one


def fold_steps(
    marks: dict[SessionKey, Mark],
    heads: Moved,
    writer: int,
    number: int,
    now_us: int,
    keep: int,
) -> Iterator[Callable[[], None]]:
    """The short transactions that fold a writer's rows up to `number`, in order.

    marks: in the order in which the sessions were last used; a device keeps its last
    `keep` sessions. Each step may be repeated: rows only move forward.
    """
    yield from _row_steps(marks, heads, now_us, keep)
    yield partial(_mark_folded, writer, number, now_us)


def _row_steps(
    marks: dict[SessionKey, Mark], heads: Moved, now_us: int, keep: int
) -> Iterator[Callable[[], None]]:
    # Sorted: two processes that lock the same rows do so in the same order.
    # One moment a session, in the order of their use: that decides which are kept.
    used_us = {key: now_us + at for at, key in enumerate(marks)}
    for keys in _slices(sorted(marks)):
        rows = [(*key, marks[key], used_us[key]) for key in keys]
        yield partial(_fold_marks, rows, keep)
    for start in range(0, len(heads), SLICE_ROWS):
        yield partial(_fold_heads, heads, start)


def _fold_marks(marks: Sequence[tuple[int, str, Mark, int]], keep: int) -> None:
    """Move DeviceSession rows forward; a mark is never taken back.

    marks: (device, session, mark, when it was used in µs).
    """
    rows = [
        (device, session, mark.last_seq, mark.offset_us, from_us(used_us))
        for device, session, mark, used_us in marks
    ]
    with transaction.atomic():
        of_devices = DeviceSession.objects.filter(
            device_id__in={device for device, *_ in marks}
        )
        stored = set(of_devices.values_list("device_id", "session"))
        _MARKS.write(rows)
        made = {
            device for device, session, *_ in marks if (device, session) not in stored
        }
        _forget_old_sessions(made, keep)


def _forget_old_sessions(devices: set[int], keep: int) -> None:
    too_many = (
        DeviceSession.objects.filter(device_id__in=devices)
        .values("device_id")
        .annotate(sessions=Count("id"))
        .filter(sessions__gt=keep)
        .values_list("device_id", flat=True)
    )
    for device in list(too_many):
        sessions = DeviceSession.objects.filter(device_id=device)
        old = list(sessions.order_by("-used_at", "-id").values_list("id", flat=True))
        if old[keep:]:
            DeviceSession.objects.filter(id__in=old[keep:]).delete()


def _fold_heads(heads: Moved, start: int) -> None:
    """Move SeriesHead rows forward; an older one never overwrites a newer."""
    rows = heads.rows(start, start + SLICE_ROWS)
    with transaction.atomic():
        _HEADS.write([[getattr(row, name) for name in _HEADS.columns] for row in rows])


def _mark_folded(writer: int, number: int, now_us: int) -> None:
    """The writer says that its rows up to `number` are folded, and that it lives.

    Also when another process took it for dead meanwhile.
    """
    Writer.objects.filter(id=writer, folded_to__lte=number).update(
        folded_to=number, heartbeat_at=from_us(now_us), ended_at=None
    )


def recover(heads: Heads, writer: int, now_us: int, keep: int) -> None:
    """At a start: load the heads, and fold what earlier writers left unfolded."""
    heads.restore(head_rows(SeriesHead.objects.all()))
    folded_us = SeriesHead.objects.aggregate(us=Max("received_us"))["us"]
    heads.newest_received_us = folded_us or 0
    newest = Journal.objects.order_by("-received_at").values_list("received_at")[:1]
    for (received_at,) in newest:
        heads.newest_received_us = max(heads.newest_received_us, to_us(received_at))
    for earlier in (
        Writer.objects.filter(ended_at=None).exclude(id=writer).order_by("id")
    ):
        number, marks = _replay(heads, earlier)
        for step in _row_steps(marks, heads.take_changed(), now_us, keep):
            step()
        _mark_recovered(earlier, number, now_us)


def show_life(writer: int, now_us: int) -> None:
    """The writer says that it lives, also when it was taken for dead meanwhile."""
    Writer.objects.filter(id=writer).update(heartbeat_at=from_us(now_us), ended_at=None)


def is_dead(writer: Writer, now_us: int) -> bool:
    """Whether a writer has given no sign of life for DEAD_US."""
    return to_us(writer.heartbeat_at) < now_us - DEAD_US


def fold_for(writer: Writer, now_us: int, keep: int) -> None:
    """Fold what another writer has left unfolded; rows only move forward."""
    heads = Heads()
    number, marks = _replay(heads, writer)
    for step in _row_steps(marks, heads.take_changed(), now_us, keep):
        step()
    _mark_recovered(writer, number, now_us)


def _mark_recovered(writer: Writer, number: int, now_us: int) -> None:
    """Say of another's rows up to `number` that they are folded, or that it ended.

    Its heartbeat stays its own: how long it has been silent is what ends it. One
    that showed a sign of life in between is left alone.
    """
    ended_at = from_us(now_us) if is_dead(writer, now_us) else None
    Writer.objects.filter(
        id=writer.id,
        ended_at=None,
        heartbeat_at=writer.heartbeat_at,
        folded_to__lte=number,
    ).update(folded_to=number, ended_at=ended_at)


def read_heads(series_ids: Collection[int]) -> list[HeadRow]:
    """The last values of some series as all processes know them, for `restore`.

    Reads what is folded and replays what is not: at most half a minute of each
    writer. Blocks: call it on a thread.
    """
    wanted = set(series_ids)
    scratch = Heads()
    scratch.restore(heads_of(wanted))
    for writer in Writer.objects.filter(ended_at=None):
        _replay(scratch, writer)
    newer = [head for head in scratch.take_changed().rows() if head.series_id in wanted]
    # Once more: what was folded while the journals were read is only here.
    return [*heads_of(wanted), *newer]


def end_writer(writer: int, now_us: int) -> None:
    """Say that a writer is folded and writes no more: nobody looks at it again."""
    Writer.objects.filter(id=writer).update(ended_at=from_us(now_us))


def _replay(heads: Heads, writer: Writer) -> tuple[int, dict[SessionKey, Mark]]:
    """Advance `heads` over a writer's unfolded rows; its marks, and how far it got."""
    number, first_received_us = writer.folded_to, None
    highest = highest_plausible_id()
    for number, received_us, row in rows_after(writer.id, writer.folded_to):
        if first_received_us is None:
            first_received_us = received_us
        decoded = readable_columns(writer.id, number, row, highest_id=highest)
        if decoded is not None:
            columns = sort_columns(*decoded)
            heads.advance(
                columns, (), writer=writer.id, number=number, received_us=received_us
            )
    if first_received_us is not None:
        _replay_texts(heads, first_received_us)
    marks: dict[SessionKey, Mark] = {}
    for moved in unfolded_marks(writer):
        for session, mark in moved.items():
            marks.pop(session, None)
            marks[session] = mark
    return number, marks


def _replay_texts(heads: Heads, from_us_: int) -> None:
    texts = TextReading.objects.filter(received_us__gte=from_us_).order_by("id")
    nothing = NO_READINGS
    for text in texts.iterator(chunk_size=2_000):
        heads.advance(
            nothing,
            [(text.series_id, text.time_us, text.value)],
            writer=0,
            number=0,
            received_us=text.received_us,
        )


def _slices(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), SLICE_ROWS):
        yield rows[start : start + SLICE_ROWS]
