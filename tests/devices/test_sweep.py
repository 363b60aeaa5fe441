"""telemetry.devices.sweep: devices of processes that are gone are offline, soon."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from telemetry.devices.models import Device, DevicePresence
from telemetry.devices.presence import ABNORMAL
from telemetry.devices.records import DeviceEvent, EventKind
from telemetry.devices.sweep import (
    BLIND_SECONDS,
    LOOK_SECONDS,
    SILENT_SECONDS,
    Sweep,
    take_offline,
)

pytestmark = pytest.mark.django_db(transaction=True)

T = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


class Clock:
    """Monotonic time, and the heartbeats of writers."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.beats: dict[int, datetime] = {}
        self.sweep = Sweep(lambda: dict(self.beats), lambda: self.now)

    def beat(self, *writers: int) -> None:
        for writer in writers:
            # Of a machine whose clock is a day off.
            self.beats[writer] = T + timedelta(days=1, seconds=self.now)

    def go_on(self, seconds: float, *beating: int) -> None:
        """Look every two seconds; these writers live."""
        until = self.now + seconds
        while self.now < until:
            self.now += LOOK_SECONDS
            self.beat(*beating)
            self.sweep.look()


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.beat(1, 2)
    clock.sweep.look()
    return clock


def online(slug: str, writer: int) -> DevicePresence:
    device = Device.objects.create(slug=slug, name=slug)
    return DevicePresence.objects.create(
        device=device, is_online=True, changed_at=T, last_seen_at=T, writer_id=writer
    )


def is_online(row: DevicePresence) -> bool:
    row.refresh_from_db()
    return row.is_online


class TestSweep:
    def test_a_process_that_beats_keeps_its_devices(self, clock):
        row = online("boiler", 1)
        clock.go_on(3 * SILENT_SECONDS, 1)
        assert is_online(row)

    def test_a_silent_process_loses_them_and_others_keep_theirs(self, clock):
        gone, alive = online("boiler", 1), online("pump", 2)
        clock.go_on(SILENT_SECONDS - LOOK_SECONDS, 2)
        assert is_online(gone)
        clock.go_on(LOOK_SECONDS, 2)
        assert not is_online(gone)
        assert is_online(alive)
        assert (gone.close_code, gone.writer_id) == (ABNORMAL, 0)
        # When it was last known to be online; and now is when others read of it.
        assert gone.changed_at == T
        assert gone.written_at is not None
        (event,) = DeviceEvent.objects.all()
        assert (event.device_id, event.kind) == (gone.pk, EventKind.DISCONNECTED)
        assert event.code == ABNORMAL

    def test_a_process_that_ended_loses_them_at_the_next_look(self, clock):
        row = online("boiler", 1)
        del clock.beats[1]
        clock.go_on(LOOK_SECONDS, 2)
        assert not is_online(row)

    def test_a_row_of_an_older_hub_belongs_to_nobody(self, clock):
        row = online("boiler", 0)
        clock.go_on(LOOK_SECONDS, 1, 2)
        assert not is_online(row)

    def test_a_database_that_was_away_makes_nobody_silent(self, clock):
        row = online("boiler", 1)
        # Neither beats nor looks for a minute.
        clock.now += max(60.0, BLIND_SECONDS + 1)
        clock.sweep.look()
        assert is_online(row)
        clock.go_on(SILENT_SECONDS, 2)
        assert not is_online(row)

    def test_it_looks_when_it_is_due_and_not_before(
        self, clock, django_assert_num_queries
    ):
        with django_assert_num_queries(0):
            clock.sweep.look()

    def test_two_sweeps_make_one_event(self, clock):
        online("boiler", 1)
        assert take_offline([1]) == 1
        assert take_offline([1]) == 0
        assert DeviceEvent.objects.count() == 1

    def test_a_large_fleet_goes_in_slices(self):
        devices = Device.objects.bulk_create(
            Device(slug=f"d{n}", name="x") for n in range(1_200)
        )
        DevicePresence.objects.bulk_create(
            DevicePresence(device=device, is_online=True, writer_id=1)
            for device in devices
        )
        assert take_offline([1]) == 1_200
        assert not DevicePresence.objects.filter(is_online=True).exists()
        # Never heard of: it is offline from now on.
        assert not DevicePresence.objects.filter(changed_at=None).exists()
