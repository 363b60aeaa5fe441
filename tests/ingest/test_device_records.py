"""What a hub writes down of a device is what happened to it: counters and events.

A device with a script of faults drives a real hub, and keeps its own count.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

import pytest

from telemetry.devices.models import Device as DeviceRow
from telemetry.devices.records import DeviceEvent, DeviceHour
from tests.processes import fetch, wait_until

from .conftest import VARIABLES, DeviceHub, Known, run_hub
from .wire import Device

T = 1_795_000_000_000
COUNTED = ("readings", "connects", "sent_again", "lost", "rejected")
QUICK = {
    **VARIABLES,
    "TELEMETRY_QUALITY_SECONDS": "0.1",
    "TELEMETRY_PRESENCE_SECONDS": "0.1",
    "TELEMETRY_EVENTS_PER_MINUTE": "20",
}
# Nothing is written before the hub ends, and only what it reads from memory is known.
SLOW = {**VARIABLES, "TELEMETRY_QUALITY_SECONDS": "600"}


@pytest.fixture(scope="module")
def quick_hub(prepared, tmp_path_factory) -> Iterator[DeviceHub]:
    yield from run_hub("uvicorn", prepared, tmp_path_factory.mktemp("quick"), QUICK)


@pytest.fixture
def hub(quick_hub: DeviceHub, django_db_blocker) -> Iterator[DeviceHub]:
    with django_db_blocker.unblock():
        yield quick_hub
        quick_hub.close_sockets()


@pytest.fixture
def slow_hub(prepared, tmp_path, django_db_blocker) -> Iterator[DeviceHub]:
    with django_db_blocker.unblock():
        yield from run_hub("uvicorn", prepared, tmp_path, SLOW)


@dataclass
class Script:
    """A device that sends good and bad batches, and counts what it did."""

    hub: DeviceHub
    known: Known
    session: str = "s"
    seq: int = 0
    counted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    device: Device | None = None

    def connect(self, close: bool = True) -> Device:
        if self.device is not None and close:
            self.device.socket.close()
        self.device = self.hub.connect(self.known)
        self.counted["connects"] += 1
        assert self.device.hello(self.session)["acked"] == self.seq
        return self.device

    def new(self, good: int = 1, bad: int = 0, leave_out: int = 0) -> None:
        """One batch with so many good and refused values, after so many lost ones."""
        assert self.device is not None
        self.seq += 1 + leave_out
        values: dict[str, Any] = {f"n{at}": self.seq for at in range(good)}
        values |= {f"no metric {at}": 1 for at in range(bad)}
        self.device.data(self.seq, time=T + self.seq, values=values)
        self.counted["readings"] += good
        self.counted["rejected"] += bad
        self.counted["lost"] += leave_out

    def broken(self) -> None:
        """A batch that has a number and no shape: it counts as one refused value."""
        assert self.device is not None
        self.seq += 1
        self.device.data(self.seq, time=T, values={}, rows=[], columns=[])
        self.counted["rejected"] += 1

    def again(self, seq: int) -> None:
        """A batch that was sent before; it is no matter what is in it now."""
        assert self.device is not None
        self.device.data(seq, time=T + seq, values={"n0": seq, "not a metric": 1})
        self.counted["sent_again"] += 1

    def acked(self) -> None:
        assert self.device is not None
        self.device.acked(self.seq)

    def post(self, *values: Any) -> None:
        """By HTTP: of each message what is a number is stored."""
        body = [{"time": T + at, "values": {"h": x}} for at, x in enumerate(values)]
        request = Request(
            f"{self.hub.url}/api/v1/ingest",
            json.dumps(body).encode(),
            {
                "Authorization": f"Bearer {self.known.key}",
                "Content-Type": "application/json",
            },
        )
        with urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        good = sum(isinstance(value, int) for value in values)
        self.counted["readings"] += good
        self.counted["rejected"] += len(values) - good


def device_id(hub: DeviceHub, known: Known) -> int:
    found: int = hub.edit(lambda: DeviceRow.objects.get(slug=known.slug).pk)
    return found


def written(hub: DeviceHub, known: Known) -> dict[str, int]:
    """The counters of all the device's hours."""
    pk = device_id(hub, known)

    def read() -> dict[str, int]:
        rows = list(DeviceHour.objects.filter(device_id=pk).values(*COUNTED))
        return {name: sum(row[name] for row in rows) for name in COUNTED}

    found: dict[str, int] = hub.edit(read)
    return found


def events(hub: DeviceHub, known: Known) -> list[tuple[str, int]]:
    """What happened to the device, in order; a key is used when it connects."""
    pk = device_id(hub, known)
    order = ("at", "id")

    def read() -> list[tuple[str, int]]:
        rows = DeviceEvent.objects.filter(device_id=pk).order_by(*order)
        return list(rows.values_list("kind", "code"))

    found: list[tuple[str, int]] = hub.edit(read)
    return found


def round_trips(hub: DeviceHub, known: Known) -> int:
    pk = device_id(hub, known)
    rows = hub.edit(
        lambda: list(
            DeviceHour.objects.filter(device_id=pk).values_list("latency", flat=True)
        )
    )
    return sum(sum(row.values()) for row in rows)


def settles(get: Callable[[], Any], expected: Any) -> None:
    """It becomes what is expected, and stays so."""
    wait_until(lambda: get() == expected, f"it is {expected}, not {get()}", 20)
    time.sleep(0.3)
    assert get() == expected


class TestCounters:
    def test_are_those_of_a_script_of_faults(self, hub: DeviceHub):
        script = Script(hub, hub.new())
        device = script.connect()
        script.new(good=3)
        script.new(good=2, bad=2)
        script.acked()
        script.again(2)
        script.again(1)
        script.new(leave_out=3)
        script.broken()
        script.acked()
        script.again(script.seq)
        script.connect()
        script.again(2)
        script.new(leave_out=1, bad=1)
        script.acked()
        script.post(1, "no number", 3)
        # The newer wins; what the older has sent counts.
        device = script.connect(close=False)
        script.new(good=4)
        script.acked()
        # Without a number there is neither a repeat nor a hole.
        for _ in range(2):
            device.data(time=T, values={"n0": 1})
            script.counted["readings"] += 1
        device.is_alive()
        assert script.counted == {
            "readings": 15,
            "connects": 3,
            "sent_again": 4,
            "lost": 4,
            "rejected": 5,
        }
        settles(lambda: written(hub, script.known), script.counted)

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_are_those_of_any_script(self, hub: DeviceHub, seed: int):
        choose = random.Random(seed)
        script = Script(hub, hub.new(), session=f"s{seed}")
        script.connect()
        reconnects = 0
        for _ in range(150):
            action = choose.randrange(12)
            if action == 0 and reconnects < 8:
                reconnects += 1
                script.connect(close=choose.random() < 0.5)
                continue
            if action < 3 and script.seq:
                script.again(choose.randint(1, script.seq))
            elif action == 3:
                script.broken()
            elif action == 4:
                script.new(leave_out=choose.randint(1, 1_000))
            elif action == 5:
                # Repeats of what is still on its way.
                for _ in range(3):
                    script.new(choose.randint(1, 9))
                script.again(script.seq)
                script.again(script.seq - 1)
            else:
                script.new(choose.randint(0, 9), choose.randint(0, 2))
            script.acked()
        settles(lambda: written(hub, script.known), script.counted)

    def test_hold_over_a_kill_and_a_restart(self, hub: DeviceHub):
        script = Script(hub, hub.new())
        script.connect()
        script.new(good=2, leave_out=5)
        script.acked()
        settles(lambda: written(hub, script.known), script.counted)
        hub.process.kill()
        hub.process.start()
        script.connect()
        script.again(6)
        script.new()
        script.acked()
        settles(lambda: written(hub, script.known), script.counted)
        told = [event for event in events(hub, script.known) if event[0] != "key_used"]
        assert told == [("connected", 0), ("disconnected", 1006), ("connected", 0)]

    def test_round_trips_are_measured(self, hub: DeviceHub):
        known = hub.new()
        hub.connect(known).hello("s")
        # The hub's first ping goes out after five seconds.
        wait_until(lambda: round_trips(hub, known) == 1, "a round trip is written")


class TestEvents:
    def test_are_what_happened(self, hub: DeviceHub):
        known = hub.new()
        first = hub.connect(known)
        first.hello("s", firmware="1.4.1")
        first.socket.close()
        second = hub.connect(known)
        second.hello("s", firmware="1.4.1")
        third = hub.connect(known)
        third.hello("s", firmware="1.4.2")
        second.is_sent_away(4409)
        row = DeviceRow.objects.filter(slug=known.slug)
        hub.edit(lambda: row.update(name="Boiler", expected_period_seconds=5.0))
        wait_until(
            lambda: ("config_changed", 0) in events(hub, known), "the edit is noticed"
        )
        hub.edit(lambda: row.update(is_enabled=False))
        third.is_sent_away(4403)
        expected = [
            *(("connected", 0), ("firmware", 0), ("disconnected", 1000)),
            *(("connected", 0), ("connected", 0), ("disconnected", 4409)),
            *(("firmware", 0), ("config_changed", 0), ("config_changed", 0)),
            ("disconnected", 4403),
        ]
        expected = sorted([*expected, ("key_used", 0)])
        settles(lambda: sorted(events(hub, known)), expected)
        assert events(hub, known)[-1] == ("disconnected", 4403)
        pk = device_id(hub, known)
        texts = hub.edit(
            lambda: set(
                DeviceEvent.objects.filter(device_id=pk)
                .exclude(text="")
                .values_list("text", flat=True)
            )
        )
        assert texts == {
            *("127.0.0.1", "1.4.1", "1.4.1 → 1.4.2", f"{known.key[:12]}_…"),
            *("expected_period_seconds, name", "is_enabled"),
        }

    def test_of_a_flapping_device_are_bounded(self, hub: DeviceHub):
        known = hub.new()
        for _ in range(14):
            hub.connect(known).socket.close()
        # 28 events at most (one that comes back before it is seen to go has not gone),
        # of which a minute takes 20.
        settles(
            lambda: [
                (kind, len(told(hub, known))) for kind, _ in told(hub, known)[20:]
            ],
            [("left_out", 21)],
        )
        assert 1 <= told(hub, known)[20][1] <= 8

    def test_a_hub_that_stops_says_goodbye(self, slow_hub: DeviceHub):
        script = Script(slow_hub, slow_hub.new())
        script.connect()
        script.new(good=3, bad=1, leave_out=2)
        script.acked()
        assert written(slow_hub, script.known) == dict.fromkeys(COUNTED, 0)
        assert quality(slow_hub, script.known)["lost"] == 2
        assert slow_hub.process.stop() == 0
        assert written(slow_hub, script.known) == script.counted
        assert sorted(events(slow_hub, script.known)) == [
            *(("connected", 0), ("disconnected", 4503), ("key_used", 0))
        ]


def told(hub: DeviceHub, known: Known) -> list[tuple[str, int]]:
    return [event for event in events(hub, known) if event[0] != "key_used"]


# Signs somebody in who may see all, as the hub's own settings have it.
SIGN_IN = """
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_user("staff", is_staff=True))
name = settings.SESSION_COOKIE_NAME
print(f"{name}={client.cookies[name].value}")
"""


def quality(hub: DeviceHub, known: Known) -> dict[str, Any]:
    """What the page of the device asks for."""
    cookie = hub.process.manage("shell", "--no-imports", "-c", SIGN_IN).strip()
    status, _, body = fetch(f"{hub.url}/d/{known.slug}/quality.json", Cookie=cookie)
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found
