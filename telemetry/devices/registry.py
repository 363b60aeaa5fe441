"""What this process knows of devices, keys and groups, kept current.

Loads lazily, and re-reads what people edited every second (TELEMETRY_RELOAD_SECONDS),
so that an edit reaches open sockets within 5 s on every worker. All methods run on
the event loop; the ORM runs on the database thread. While the database is away, what
is known goes on to be served.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from .. import conf
from ..protocol import names
from ..protocol.clock import now_us
from ..protocol.errors import Forbidden, Unauthorized
from ..protocol.limits import Limits
from ..threads import on_database_thread
from . import credentials, edits, entry_rows, events, series
from .allowance import Allowance
from .cache import Cache
from .entries import Change, CredentialEntry, DeviceEntry, GroupEntry, SeriesWanted
from .gather import Gather
from .models import Credential, Device
from .series import Made, Wish
from .times import datetime_of

logger = logging.getLogger(__name__)

Listener = Callable[[Change], None]
# A key's last use is written this often at most: people read it, nobody else.
USED_US = 60_000_000
FIRMWARE_CHARACTERS = 64
# A megabyte; a database that is away must not let it grow.
MOST_ABSENT = 10_000


class Registry:
    """The cache that sockets ask, one a process."""

    def __init__(
        self, limits: Limits | None = None, noted: events.Events | None = None
    ) -> None:
        # Where to write down what happens to devices; None: nowhere.
        self._noted = noted
        self._cache = Cache()
        self._allowance = Allowance(limits or conf.limits())
        self._logins = Gather(self._read_logins)
        self._wished = Gather(self._make_series)
        self._listeners: list[Listener] = []
        self._mark = edits.Mark()
        self._news_at = time.monotonic()
        self._used: dict[int, int] = {}
        # Slugs that no device had since the last look.
        self._absent: set[str] = set()
        # Held by a look, and by whoever reads what was not held yet: a look notices
        # edits of what was held when it began, and its mark passes over all others.
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to re-read; a database that is away is asked again each second."""
        self._task = asyncio.create_task(self._run(), name="registry")

    async def stop(self) -> None:
        """End re-reading and write when keys were last used."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        try:
            await self._write_used()
        except DatabaseError as error:
            logger.warning("The last use of some keys was not written: %s", error)

    def listen(self, listener: Listener) -> None:
        """Call `listener` on the loop after each look that found changes."""
        self._listeners.append(listener)

    async def authenticate(self, key: str) -> DeviceEntry:
        """The device that this key opens the door to.

        Raises Unauthorized (malformed, unknown, wrong, revoked, expired), Forbidden
        (the device is disabled or deleted), and DatabaseError if the key is not
        known here yet and the database is away.
        """
        prefix = credentials.prefix_of(key)
        entry = None if prefix is None else await self._credential(prefix)
        # Compared whatever was found, so that every refusal takes the same path.
        sha256 = entry.sha256 if entry else None
        is_right = credentials.matches(key if prefix else "", sha256)
        if entry is None or not is_right:
            raise Unauthorized(_refusal(prefix))
        now = now_us()
        if not entry.is_usable(now):
            ended = "revoked" if entry.is_revoked else "expired"
            raise Unauthorized(f"Expected a valid key, got one that has been {ended}.")
        device = await self._device(entry.device_id)
        if device is None:
            raise Forbidden("Expected the key of a device, got one of a deleted one.")
        if not device.is_enabled:
            raise Forbidden(f"The device {device.slug} is disabled in this hub.")
        if now - entry.used_us >= USED_US:
            entry.used_us = self._used[entry.id] = now
        return device

    def is_valid(self, device_id: int, prefix: str) -> str | None:
        """None if a socket with this key may go on, else the error's code.

        For open sockets, after a Change.
        """
        device = self._cache.devices.get(device_id)
        if device is None or not device.is_enabled:
            return Forbidden.code
        entry = self._cache.credentials.get(prefix)
        if entry is None or entry.device_id != device_id:
            return Unauthorized.code
        return None if entry.is_usable(now_us()) else Unauthorized.code

    async def ensure_series(
        self, device: DeviceEntry, wanted: Sequence[SeriesWanted]
    ) -> None:
        """Make the series that `device` lacks and may have; fill what is empty.

        Afterwards `device.series` has them; a name that is still missing is not
        allowed: groups that forbid it, a limit, or not a metric's name. Costs
        nothing when there is nothing to do. Raises DatabaseError.
        """
        new, fill = self._split(device, wanted)
        has = len(device.series)
        count = self._allowance.take(device.id, has, len(new), time.monotonic())
        if not count and not fill:
            return
        try:
            wish = Wish(device.id, tuple(new[:count]), tuple(fill))
            made = await self._wished.get(wish)
            if isinstance(made, DatabaseError):
                raise made
        except DatabaseError:
            self._allowance.give_back(device.id, has, count)
            raise
        if made is not None and made != device.series:
            device.series = made
            self._notify(Change(frozenset({device.id}), device.groups))

    async def report_firmware(self, device: DeviceEntry, firmware: str) -> None:
        """Note what the device's `hello` said; free if it is no news."""
        told = series.clean(firmware, FIRMWARE_CHARACTERS)
        if told and told != device.firmware:
            await on_database_thread(_write_firmware, device.id, told)
            if self._noted is not None:
                self._noted.firmware(device.id, device.firmware, told)
            device.firmware = told

    def device(self, device_id: int) -> DeviceEntry | None:
        """The device if it is held here: it is while a socket of its is open."""
        return self._cache.devices.get(device_id)

    async def device_by_slug(self, slug: str) -> DeviceEntry | None:
        """The living device of this slug, None if there is none."""
        await self.look_up([slug])
        return self._cache.slugs.get(slug)

    async def look_up(self, slugs: Iterable[str]) -> None:
        """Read those of these devices that are not held, all at once.

        What is not there is not asked for again before the next look: whoever asks
        for many that nobody has must not keep logins and looks waiting.
        """
        wanted = {slug for slug in slugs if self._is_unknown(slug)}
        if not wanted:
            return
        async with self._lock:
            known = await on_database_thread(entry_rows.read_devices_by_slug, wanted)
            self._cache.keep(known)
            if len(self._absent) >= MOST_ABSENT:
                self._absent.clear()
            self._absent |= wanted - self._cache.slugs.keys()

    def _is_unknown(self, slug: str) -> bool:
        is_known = slug in self._cache.slugs or slug in self._absent
        return not is_known and names.SLUG.match(slug) is not None

    async def group(self, slug: str) -> GroupEntry | None:
        """The group of this slug with its devices, kept current from now on."""
        if slug in self._cache.groups or not names.SLUG.match(slug):
            return self._cache.groups.get(slug)
        async with self._lock:
            held = frozenset(self._cache.devices)
            found = await on_database_thread(entry_rows.read_group, slug, held)
            if found is None:
                return None
            row, known = found
            self._cache.keep(known)
            return self._cache.watch(row)

    async def refresh(self) -> Change:
        """Look now at what people changed; listeners have heard of it on return.

        Raises DatabaseError.
        """
        async with self._lock:
            self._absent.clear()
            quiet_seconds = time.monotonic() - self._news_at
            since = self._mark.since(timezone.now(), quiet_seconds)
            found = await on_database_thread(
                edits.look, self._mark, since, self._cache.interest()
            )
            self._mark = found.mark
            if found.has_news:
                self._news_at = time.monotonic()
            change = self._cache.apply(found)
            if self._noted is not None:
                for device_id, fields in self._cache.take_edits().items():
                    self._noted.config_changed(device_id, fields)
            if ended := self._cache.expired(now_us()):
                keys = change.credentials | ended
                change = Change(change.devices, change.groups, keys)
            if change:
                self._notify(change)
            await self._write_used()
        return change

    async def _run(self) -> None:
        seconds = conf.value("RELOAD_SECONDS")
        is_failing = False
        while True:
            try:
                await self.refresh()
            except Exception as error:
                # The edge of this task: it has to live as long as the process.
                if not is_failing:
                    _log_failure(error)
                is_failing = True
            else:
                if is_failing:
                    logger.info("Edits of devices are read again.")
                is_failing = False
            await asyncio.sleep(seconds)

    async def _credential(self, prefix: str) -> CredentialEntry | None:
        held = self._cache.credentials.get(prefix)
        return held if held is not None else await self._logins.get(prefix)

    async def _read_logins(
        self, prefixes: Collection[str]
    ) -> Mapping[str, CredentialEntry]:
        async with self._lock:
            held = frozenset(self._cache.devices)
            known = await on_database_thread(entry_rows.read_logins, prefixes, held)
            self._cache.keep(known)
        return self._cache.credentials

    async def _make_series(self, wished: list[Wish]) -> Mapping[Wish, Made]:
        return await on_database_thread(series.make_together, wished)

    async def _device(self, device_id: int) -> DeviceEntry | None:
        if device_id not in self._cache.devices:
            async with self._lock:
                known = await on_database_thread(entry_rows.read_devices, [device_id])
                self._cache.keep(known)
        return self._cache.devices.get(device_id)

    def _split(
        self, device: DeviceEntry, wanted: Sequence[SeriesWanted]
    ) -> tuple[list[SeriesWanted], list[SeriesWanted]]:
        """What to make and what to fill."""
        new: dict[str, SeriesWanted] = {}
        fill: list[SeriesWanted] = []
        for each in wanted:
            held = device.series.get(each.name)
            if held is not None:
                if series.has_to_fill(held, each):
                    fill.append(each)
            elif device.auto_create and names.is_metric_name(each.name):
                new.setdefault(each.name, each)
        return list(new.values()), fill

    async def _write_used(self) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await on_database_thread(_write_last_used, used)
        except DatabaseError:
            self._used = used | self._used
            raise

    def _notify(self, change: Change) -> None:
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                # The edge to other rooms: the rest of them have to hear of it too.
                logger.exception("A listener failed at a change of devices.")


def _write_last_used(used: Mapping[int, int]) -> None:
    at = datetime_of(max(used.values()))
    for part in entry_rows.slices(used.keys()):
        keys = Credential.objects.filter(pk__in=part)
        with transaction.atomic():
            events.note_first_uses(part, at)
            # Being used is no edit: nobody has to read the row again.
            keys.update(last_used_at=at, changed_at=F("changed_at"))


def _write_firmware(device_id: int, firmware: str) -> None:
    # The device's own word is no edit either.
    rows_of = Device.objects.filter(pk=device_id)
    rows_of.update(firmware=firmware, changed_at=F("changed_at"))


def _refusal(prefix: str | None) -> str:
    if prefix is None:
        return "Expected a key: hub_, 8 characters, _, 43 characters; got another text."
    return "Expected a valid key of this hub, got one that it does not know."


def _log_failure(error: Exception) -> None:
    if isinstance(error, DatabaseError):
        logger.warning("Edits of devices cannot be read, will try again: %s", error)
    else:
        logger.error("Edits of devices cannot be read, will try again.", exc_info=error)
