"""What happened to each device: noted in memory, written in batches, read for pages.

`Events` lives on the event loop. The hub calls `flush` every few seconds and when it
drains; while the database is away events wait, up to a bound. A device that comes and
goes all the time writes a few rows and how many more there were.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from .. import counters
from ..protocol.clock import now_us
from ..threads import on_database_thread
from .models import Credential
from .records import DeviceEvent, EventKind
from .times import datetime_of

logger = logging.getLogger(__name__)

# One row for the events of a flapping device that have none; `code` says how many.
LEFT_OUT = "left_out"
TEXT_CHARACTERS = 200
PAGE = 100
SLICE = 500
MINUTE_US = 60_000_000
# A device that goes on flapping is given ever longer windows: 16 minutes at last.
MOST_DOUBLINGS = 4
# Processes notice an edit within a second or two of each other, and of who made it.
SAME_EDIT = timedelta(seconds=10)
# Of PostgreSQL's advisory locks those of events; those of commits have another number.
LOCKS = 0x7E1F
Fact = tuple[int, datetime, str, str]


@dataclass(slots=True, eq=False)
class Window:
    """A stretch in which a device may write so many rows, and no more."""

    device_id: int
    start_us: int
    doublings: int = 0
    rows: int = 0
    left_out: int = 0
    left_out_us: int = 0
    # Where the database has it.
    row_id: int | None = None

    @property
    def end_us(self) -> int:
        """Where it ends."""
        return self.start_us + (MINUTE_US << self.doublings)

    def is_past(self, time_us: int) -> bool:
        """Whether it has ended so long ago that the device is calm again."""
        return time_us >= self.end_us + (MINUTE_US << self.doublings)

    def has(self, time_us: int) -> bool:
        """Whether a time is in it."""
        return self.start_us <= time_us < self.end_us


class Events:
    """The events that this process notices, one object a process."""

    def __init__(self, per_minute: int, most_held: int) -> None:
        self._per_minute = per_minute
        self._most_held = most_held
        self._held: list[DeviceEvent] = []
        self._windows: dict[int, Window] = {}
        # Windows whose left out events the database does not know yet.
        self._overflowed: set[Window] = set()
        self._lock = asyncio.Lock()
        # The name of this object's writes in the database.
        self._turn = secrets.randbits(31)
        # Whether the last flush failed: what it wrote may have come through.
        self._is_in_doubt = False

    def connected(self, device_id: int, address: str, now_us: int) -> None:
        """A socket of the device has opened."""
        self._often(device_id, EventKind.CONNECTED, now_us, text=address)

    def disconnected(self, device_id: int, code: int, now_us: int) -> None:
        """A socket of the device has ended, with this close code."""
        self._often(device_id, EventKind.DISCONNECTED, now_us, code=code)

    def firmware(self, device_id: int, before: str, after: str) -> None:
        """The device told of another firmware than before."""
        text = f"{before} → {after}" if before else after
        self._often(device_id, EventKind.FIRMWARE, now_us(), text=text)

    def config_changed(self, device_id: int, fields: Iterable[str]) -> None:
        """People edited these fields of the device, it does not matter where."""
        text = _text_of(fields)
        self._hold(device_id, EventKind.CONFIG_CHANGED, now_us(), text=text)

    async def flush(self) -> None:
        """Write what was noted since the last flush.

        Raises DatabaseError; what was not written is written the next time.
        """
        # Goes on when its caller is cancelled: who does not wait for the end of a
        # write does not know what to write again.
        await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> None:
        async with self._lock:
            is_repeat, self._is_in_doubt = self._is_in_doubt, True
            while self._held:
                part = self._held[:SLICE]
                await on_database_thread(_write, part, self._turn, is_repeat)
                del self._held[: len(part)]
            overflowed = list(self._overflowed)
            for start in range(0, len(overflowed), SLICE):
                await self._write_left_out(overflowed[start : start + SLICE], is_repeat)
            self._is_in_doubt = False
            self._forget(now_us())

    def _often(
        self, device_id: int, kind: str, time_us: int, *, code: int = 0, text: str = ""
    ) -> None:
        """Note what a device can bring about as often as it likes."""
        window = self._window_of(device_id, time_us)
        if window.rows < self._per_minute:
            window.rows += 1
            self._hold(device_id, kind, time_us, code=code, text=text)
            return
        if not window.left_out:
            window.left_out_us = time_us
        window.left_out += 1
        self._overflowed.add(window)

    def _window_of(self, device_id: int, time_us: int) -> Window:
        window = self._windows.get(device_id)
        if window is None or not window.has(time_us):
            before, window = window, Window(device_id, time_us)
            # Full is enough: one that flaps just below the limit would write for ever.
            was_full = before is not None and before.rows >= self._per_minute
            if before is not None and was_full and not before.is_past(time_us):
                window.doublings = min(before.doublings + 1, MOST_DOUBLINGS)
            self._windows[device_id] = window
        return window

    def _hold(
        self, device_id: int, kind: str, time_us: int, *, code: int = 0, text: str = ""
    ) -> None:
        if len(self._held) >= self._most_held:
            counters.EVENTS_LOST.inc()
            return
        self._held.append(_event(device_id, kind, time_us, code=code, text=text))

    async def _write_left_out(self, windows: list[Window], is_repeat: bool) -> None:
        counts = [window.left_out for window in windows]
        rows = [_left_out_row(window) for window in windows]
        await on_database_thread(_write_left_out, rows, self._turn, is_repeat)
        for window, row, count in zip(windows, rows, counts, strict=True):
            window.row_id = row.pk
            if window.left_out == count:
                self._overflowed.discard(window)

    def _forget(self, now_us: int) -> None:
        past = [pk for pk, window in self._windows.items() if window.is_past(now_us)]
        for device_id in past:
            del self._windows[device_id]


def recent(
    device_id: int, before: int | None = None, limit: int = PAGE
) -> list[DeviceEvent]:
    """The last events of a device, the newest first.

    before: the id of one of them; only what is older. None are older than one that
    is not there any more.
    """
    events = DeviceEvent.objects.filter(device_id=device_id)
    if before is not None:
        last = events.filter(pk=before).values_list("at", flat=True).first()
        if last is None:
            return []
        events = events.filter(Q(at__lt=last) | Q(at=last, pk__lt=before))
    return list(events.order_by("-at", "-pk")[:limit])


def note_edit(device_ids: Collection[int], fields: Iterable[str]) -> None:
    """Write down that somebody edits these fields, in the edit's own transaction."""
    text, now = _text_of(fields), timezone.now()
    DeviceEvent.objects.bulk_create(
        DeviceEvent(
            device_id=device_id, at=now, kind=EventKind.CONFIG_CHANGED, text=text
        )
        for device_id in sorted(device_ids)
    )


def note_first_uses(credential_ids: Collection[int], at: datetime) -> None:
    """Write down which of these keys are used for the first time.

    Call it in the transaction that then says of them when they were last used.
    """
    unused = Credential.objects.filter(pk__in=credential_ids, last_used_at=None)
    rows = unused.order_by("pk").values_list("device_id", "prefix")
    DeviceEvent.objects.bulk_create(
        DeviceEvent(
            device_id=device_id, at=at, kind=EventKind.KEY_USED, text=f"hub_{prefix}_…"
        )
        for device_id, prefix in list(rows)
    )


def _event(
    device_id: int, kind: str, time_us: int, *, code: int, text: str
) -> DeviceEvent:
    # PostgreSQL takes no NUL in a text.
    clean = text.replace("\0", "")[:TEXT_CHARACTERS]
    return DeviceEvent(
        device_id=device_id, at=datetime_of(time_us), kind=kind, code=code, text=clean
    )


def _left_out_row(window: Window) -> DeviceEvent:
    row = _event(
        window.device_id, LEFT_OUT, window.left_out_us, code=window.left_out, text=""
    )
    row.pk = window.row_id
    return row


def _text_of(fields: Iterable[str]) -> str:
    return ", ".join(sorted(set(fields)))[:TEXT_CHARACTERS]


def _fields_of(text: str) -> set[str]:
    return set(text.split(", "))


def _write(events: list[DeviceEvent], turn: int, is_repeat: bool) -> None:
    with transaction.atomic():
        _take(turn)
        stored = _stored(events) if is_repeat else {}
        edits = [each for each in events if each.kind == EventKind.CONFIG_CHANGED]
        known = _known(edits) if edits else []
        new = [
            each
            for each in events
            if _fact(each) not in stored and not any(each is one for one in known)
        ]
        for each in new:
            # That of a try which came to nothing may be another row's by now.
            each.pk = None
        DeviceEvent.objects.bulk_create(new)


def _take(turn: int) -> None:
    """Begin a write when the one before has ended, whichever way.

    A commit whose answer was given up may go on in the server for as long as a
    standby is away, and no row of it is seen. The turn is not waited for: the thread
    serves others as well, and the next flush asks again.
    """
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCKS, turn])
        (is_taken,) = cursor.fetchone()
    if not is_taken:
        raise OperationalError("the database has not ended the last write of events")


def _fact(event: DeviceEvent) -> Fact:
    return event.device_id, event.at, event.kind, event.text


def _stored(events: list[DeviceEvent]) -> dict[Fact, int]:
    """The ids of rows that say the same as these, which are not none."""
    moments = [each.at for each in events]
    rows = DeviceEvent.objects.filter(
        device_id__in={each.device_id for each in events},
        at__range=(min(moments), max(moments)),
    )
    found = rows.values_list("pk", "device_id", "at", "kind", "text")
    return {(device, at, kind, text): pk for pk, device, at, kind, text in found}


def _known(edits: list[DeviceEvent]) -> list[DeviceEvent]:
    """Those that whoever made the edit, or another process, has written already."""
    stored = DeviceEvent.objects.filter(
        device_id__in={each.device_id for each in edits},
        kind=EventKind.CONFIG_CHANGED,
        at__gte=min(each.at for each in edits) - SAME_EDIT,
    )
    rows = list(stored.values_list("device_id", "at", "text"))
    known = []
    for edit in edits:
        told: set[str] = set()
        for device_id, at, text in rows:
            if device_id == edit.device_id and abs(at - edit.at) <= SAME_EDIT:
                told |= _fields_of(text)
        if _fields_of(edit.text) <= told:
            known.append(edit)
    return known


def _write_left_out(rows: list[DeviceEvent], turn: int, is_repeat: bool) -> None:
    """Make the rows, or say in those that exist how many more there were."""
    with transaction.atomic():
        _take(turn)
        stored = _stored(rows) if is_repeat else {}
        for row in rows:
            row.pk = row.pk or stored.get(_fact(row))
        new = [row for row in rows if row.pk is None]
        old = [row for row in rows if row.pk is not None]
        DeviceEvent.objects.bulk_create(new)
        DeviceEvent.objects.bulk_update(old, ["code"], batch_size=100)
