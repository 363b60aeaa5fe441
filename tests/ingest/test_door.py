"""Who may come in, and who has to go: over real sockets on both servers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.request import Request, urlopen

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from telemetry import counters
from telemetry.devices import credentials
from telemetry.devices.models import Credential, Series
from telemetry.devices.models import Device as DeviceRow
from telemetry.history.models import SeriesHead
from telemetry.hub import Hub
from telemetry.ingest.consumers import DeviceConsumer
from telemetry.protocol.limits import Limits
from tests.processes import wait_until

from .conftest import DeviceHub, Known, run_hub

T = 1_795_000_000_000
WRONG_KEY = "hub_AAAAAAAA_" + "A" * 43


def revoke(known: Known) -> None:
    Credential.objects.filter(device__slug=known.slug).update(revoked_at=timezone.now())


def expire(known: Known) -> None:
    Credential.objects.filter(device__slug=known.slug).update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )


def disable(known: Known) -> None:
    DeviceRow.objects.filter(slug=known.slug).update(is_enabled=False)


def delete(known: Known) -> None:
    DeviceRow.objects.filter(slug=known.slug).update(deleted_at=timezone.now())


ENDINGS = [(revoke, 4401), (expire, 4401), (disable, 4403), (delete, 4403)]


@pytest.mark.usefixtures("bystander")
class TestCredentials:
    def test_no_credential_in_time(self, device_hub: DeviceHub):
        silent = device_hub.connect(None)
        noisy = device_hub.connect(None)
        for _ in range(50):
            noisy.send_raw("garbage")
        with_key = device_hub.connect(device_hub.new())
        silent.is_sent_away(4408)
        errors = noisy.is_sent_away(4408)
        assert {each["code"] for each in errors} == {"bad_request"}
        with_key.is_alive()

    @pytest.mark.parametrize(
        "header",
        [
            f"Bearer {WRONG_KEY}",
            "Bearer",
            "Bearer ",
            "Basic aHViOmh1Yg==",
            "Bearer " + "x" * 4_000,
            "Bearer \xff\xfe",
            "",
        ],
    )
    def test_header_without_a_good_key(self, device_hub: DeviceHub, header: str):
        options: dict[str, Any] = {"additional_headers": {"Authorization": header}}
        device = device_hub.connect(None, **options)
        (error,) = device.is_sent_away(4401)
        assert error["code"] == "unauthorized" and not error["retryable"]

    def test_right_prefix_and_wrong_secret(self, device_hub: DeviceHub):
        known = device_hub.new()
        for key in (known.key[:-1] + "!", known.key[:14] + "A" * 43, known.key + "A"):
            device = device_hub.connect(None)
            device.send(type="hello", key=key)
            (error,) = device.is_sent_away(4401)
            assert error["code"] == "unauthorized"
            assert known.key[13:] not in str(error)
        device_hub.connect(known).hello("s")

    def test_key_in_the_address_opens_nothing(self, device_hub: DeviceHub):
        known = device_hub.new()
        device = device_hub.connect(None, path=f"/ws/device?key={known.key}")
        device.is_sent_away(4408)

    def test_neither_origin_nor_cookies_are_read(self, device_hub: DeviceHub):
        key = device_hub.new().key
        headers = {"Cookie": "sessionid=x", "Authorization": f"bearer {key}"}
        device = device_hub.connect(
            None, additional_headers=headers, origin="http://evil.example"
        )
        device.is_alive()

    @pytest.mark.parametrize(("end", "code"), ENDINGS)
    def test_key_that_ended_is_refused(
        self, device_hub: DeviceHub, end: Callable[[Known], None], code: int
    ):
        known = device_hub.new()
        device_hub.edit(lambda: end(known))
        (error,) = device_hub.connect(known).is_sent_away(code)
        assert error["code"] == {4401: "unauthorized", 4403: "forbidden"}[code]
        device = device_hub.connect(None)
        device.send(type="hello", key=known.key)
        assert device.is_sent_away(code)

    @pytest.mark.parametrize(("end", "code"), ENDINGS)
    def test_open_socket_is_closed_and_what_it_had_sent_is_kept(
        self, device_hub: DeviceHub, end: Callable[[Known], None], code: int
    ):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        device.data(1, time=T, values={"n": 1})
        device.acked(1)
        device_hub.edit(lambda: end(known))
        assert device.is_sent_away(code) == []
        assert device_hub.stored(known) == {"n": [(T * 1000, 1)]}

    def test_device_that_is_enabled_again_comes_in(self, device_hub: DeviceHub):
        known = device_hub.new()
        device_hub.edit(lambda: disable(known))
        device_hub.connect(known).is_sent_away(4403)
        rows = DeviceRow.objects.filter(slug=known.slug)
        device_hub.edit(lambda: rows.update(is_enabled=True))

        def is_let_in() -> bool:
            device = device_hub.connect(known)
            try:
                return bool(device.ask(type="ping")["type"] == "pong")
            except ConnectionClosed:
                return False

        wait_until(is_let_in, "the device is let in")


@pytest.mark.usefixtures("bystander")
class TestOneConnection:
    def test_newer_wins_and_older_is_told(self, device_hub: DeviceHub):
        known = device_hub.new()
        older = device_hub.connect(known)
        older.hello("s")
        older.data(1, time=T, values={"n": 1})
        newer = device_hub.connect(known)
        messages = older.is_sent_away(4409)
        assert all(each["type"] == "ack" for each in messages)
        # Whatever the older had sent is on disk, or will never be.
        acked = newer.hello("s")["acked"]
        newer.data(acked + 1, time=T + acked, values={"n": 2})
        newer.acked(acked + 1)
        assert len(device_hub.stored(known)["n"]) == acked + 1

    def test_by_hello_as_well(self, device_hub: DeviceHub):
        known = device_hub.new()
        older = device_hub.connect(known)
        newer = device_hub.connect(None)
        older.is_alive()
        newer.hello("s", key=known.key)
        older.is_sent_away(4409)
        newer.is_alive()

    def test_many_at_once_leave_one(self, device_hub: DeviceHub):
        known = device_hub.new()
        devices = [device_hub.connect(known) for _ in range(10)]
        for device in devices[:-1]:
            device.is_sent_away(4409)
        devices[-1].is_alive()

    def test_flapping_is_stopped_with_4429(self, device_hub: DeviceHub):
        known = device_hub.new()
        most = Limits().connects_per_minute
        for _ in range(most):
            device = device_hub.connect(known)
            device.is_alive()
        flapping = device_hub.connect(known)
        assert flapping.is_sent_away(4429) == []
        # Who holds the connection keeps it.
        device.is_alive()


class TestNarrow:
    """A hub with a heartbeat of 1 s and a rate of 100 readings/s."""

    def test_silence_is_closed_with_4408_and_pings_are_no_silence(
        self, narrow_hub: DeviceHub
    ):
        silent = narrow_hub.connect(narrow_hub.new())
        assert silent.hello("s")["heartbeat"] == 1
        without_hello = narrow_hub.connect(narrow_hub.new())
        lively = narrow_hub.connect(narrow_hub.new())
        lively.hello("s")
        for _ in range(8):
            lively.says_nothing(0.5)
            lively.is_alive()
        assert silent.is_sent_away(4408) == []
        assert without_hello.is_sent_away(4408) == []
        lively.is_alive()

    def test_rate_delays_acks_and_is_no_silence(self, narrow_hub: DeviceHub):
        known = narrow_hub.new()
        device = narrow_hub.connect(known)
        assert device.hello("s")["rate"] == [100, 100]
        other = narrow_hub.connect(narrow_hub.new())
        other.hello("s")
        device.data(1, base=T, columns=["n"], rows=[[at, at] for at in range(500)])
        device.acked(1)
        device.data(2, time=T + 1_000, values={"n": 1})
        # Four seconds of rate are spent: longer than silence may last.
        device.says_nothing(1)
        other.data(1, time=T, values={"n": 1})
        other.acked(1)
        device.acked(2)
        device.is_alive()
        assert len(narrow_hub.stored(known)["n"]) == 501

    def test_rate_slows_a_device_without_seq(self, narrow_hub: DeviceHub):
        known = narrow_hub.new()
        device = narrow_hub.connect(known)
        device.data(base=T, columns=["n"], rows=[[at, at] for at in range(300)])
        device.data(values={"n": "not a number"})
        device.says_nothing(0.5)
        # A ping does not stand in the line: the device wants to know that we live.
        device.send(type="ping", echo=1)
        assert device.receive()["echo"] == 1
        assert device.receive(seconds=5)["code"] == "bad_request"

    def test_a_new_connection_does_not_outrun_the_rate(self, narrow_hub: DeviceHub):
        known = narrow_hub.new()
        for session in ("one", "two"):
            device = narrow_hub.connect(known)
            device.hello(session)
            device.data(1, base=T, columns=["n"], rows=[[at, at] for at in range(400)])
            if session == "one":
                device.acked(1)
            else:
                # Three seconds of the first batch are still to be waited out.
                device.says_nothing(1)
                device.acked(1)

    def test_120_new_metrics_and_then_20_a_minute(self, narrow_hub: DeviceHub):
        known = narrow_hub.new()
        device = narrow_hub.connect(known)
        device.hello("s")
        for seq in (1, 2):
            names = [f"m{seq}_{at}" for at in range(64)]
            device.data(seq, time=T, values=dict.fromkeys(names, 1))
        assert device.acked(2)["rejected_count"] == 8
        assert len(narrow_hub.stored(known)) == 120

    def test_guessing_is_stopped_and_a_good_device_never_waits(
        self, narrow_hub: DeviceHub
    ):
        codes = [narrow_hub.connect(WRONG_KEY).ended()[0] for _ in range(6)]
        assert codes == [4401] * 3 + [4429] * 3
        narrow_hub.connect(narrow_hub.new()).is_alive()


@pytest.fixture
def own_hub(prepared, tmp_path, django_db_blocker) -> Iterator[DeviceHub]:
    """A hub that a test may kill."""
    with django_db_blocker.unblock():
        yield from run_hub("uvicorn", prepared, tmp_path, {})


def test_anchor_of_an_uptime_clock_outlives_the_hub(own_hub: DeviceHub):
    known = own_hub.new()
    device = own_hub.connect(known)
    device.hello("s", clock="uptime", uptime=60_000)
    device.data(1, base=1_000, columns=["n"], rows=[[0, 1]])
    device.acked(1)
    before = own_hub.stored(known)
    anchor_ms = before["n"][0][0] / 1_000 - 1_000
    own_hub.process.kill()
    device.ended()
    own_hub.process.start()
    device = own_hub.connect(known)
    # However long that took: the device counted on, a little too fast.
    uptime = time.time() * 1_000 - anchor_ms + 900
    assert device.hello("s", clock="uptime", uptime=uptime)["acked"] == 1
    device.data(2, base=1_000, columns=["n"], rows=[[0, 1]])
    device.acked(2)
    assert own_hub.stored(known) == before
    own_hub.close_sockets()


def test_where_a_series_keeps_summaries_alone_it_takes_no_reading(own_hub: DeviceHub):
    known = own_hub.new()
    device = own_hub.connect(known)
    device.hello("s")
    device.data(1, time=T, values={"old": 1, "new": 1, "note": "on"})
    device.acked(1)
    own_hub.close_sockets()
    assert own_hub.process.stop() == 0
    before = own_hub.stored(known)
    raw_from_us = T * 1_000 + 1_000

    def thin_out() -> None:
        heads = SeriesHead.objects.filter(
            series_id__in=Series.objects.filter(
                device__slug=known.slug, name__in=["old", "note"]
            ).values("id")
        )
        assert heads.update(raw_from_us=raw_from_us) == 2

    own_hub.edit(thin_out)
    own_hub.process.start()
    device = own_hub.connect(known)
    device.hello("s")
    device.data(2, time=T + 0.999, values={"old": 2, "new": 2, "note": "off"})
    refused = device.acked(2)
    assert {(each["metric"], each["reason"]) for each in refused["rejected"]} == {
        ("old", "bad_time"),
        ("note", "bad_time"),
    }
    device.data(3, time=T + 1, values={"old": 3, "new": 3, "note": "on"})
    assert "rejected" not in device.acked(3)
    body = {"base": T, "columns": ["old", "new"], "rows": [[0.998, 4, 4], [2, 5, 5]]}
    request = Request(
        f"{own_hub.url}/api/v1/ingest",
        json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {known.key}",
            "Content-Type": "application/json",
        },
    )
    with urlopen(request, timeout=30) as response:
        answer = json.loads(response.read())
    assert answer["accepted"] == 3
    assert answer["rejected"] == [{"row": 0, "metric": "old", "reason": "bad_time"}]
    own_hub.close_sockets()
    after = own_hub.stored(known)
    added = {name: after[name][len(before[name]) :] for name in after}
    assert added == {
        "old": [(raw_from_us, 3.0), (T * 1_000 + 2_000, 5.0)],
        "new": [
            (T * 1_000 + 998, 4.0),
            (T * 1_000 + 999, 2.0),
            (raw_from_us, 3.0),
            (T * 1_000 + 2_000, 5.0),
        ],
        "note": [(raw_from_us, "on")],
    }


@pytest.mark.django_db(transaction=True)
class TestCounters:
    """In one process: nothing shows the counters of another yet."""

    @pytest.mark.parametrize(
        ("key", "code"),
        [("", 4401), (WRONG_KEY, 4401), ("revoked", 4401), ("disabled", 4403)],
    )
    async def test_every_refusal_is_counted(self, key: str, code: int):
        key = await sync_to_async(ended_key)(key) or key
        hub = Hub()
        await hub.start()
        closed = counters.CLOSED.labels(code=str(code))._value
        failures = counters.AUTH_FAILURES._value
        before = (closed.get(), failures.get())
        try:
            device = WebsocketCommunicator(
                DeviceConsumer.as_asgi(),
                "/ws/device",
                [(b"authorization", f"Bearer {key}".encode())],
            )
            device.scope["telemetry.hub"] = hub
            await device.connect()
            messages = [await device.receive_json_from() for _ in range(2)]
            end = await device.receive_output()
            await device.disconnect()
        finally:
            await hub.drain()
        assert [each["type"] for each in messages] == ["error", "bye"]
        assert (messages[1]["code"], end["code"]) == (code, code)
        # A disabled device had the right key.
        failed = 1 if code == 4401 else 0
        assert (closed.get(), failures.get()) == (before[0] + 1, before[1] + failed)


def ended_key(what: str) -> str | None:
    """The key of a new device that is revoked or disabled, or None."""
    endings = {"revoked": revoke, "disabled": disable}
    if what not in endings:
        return None
    device = DeviceRow.objects.create(name="Boiler", slug="boiler")
    known = Known("boiler", credentials.issue(device)[1])
    endings[what](known)
    return known.key
