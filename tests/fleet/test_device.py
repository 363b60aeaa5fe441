"""A device against a hub that keeps the protocol, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from telemetry.fleet import backoff
from telemetry.fleet.batch import Batch, batch_of
from telemetry.fleet.device import Device, Stopped, device_url
from telemetry.fleet.report import Report
from telemetry.protocol.messages import MetricHint

from .fake_hub import KEY, FakeHub, bye, running, say


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table's minutes as hundredths of a second."""
    for name in ("BASE_SECONDS", "CUT_SECONDS", "SUPERSEDED_SECONDS", "WINDOW_SECONDS"):
        monkeypatch.setattr(backoff, name, 0.01)


@contextlib.asynccontextmanager
async def connected(hub: FakeHub, **options) -> AsyncIterator[Device]:
    device = Device(hub.account, **options)
    task = asyncio.ensure_future(device.run())
    try:
        yield device
    finally:
        await device.close()
        await asyncio.wait_for(task, 10)


def batch(n: int, count: int = 1) -> Batch:
    return batch_of(
        ["n"],
        [(1_795_341_600_000_000 + 1_000 * (n + k), [n + k]) for k in range(count)],
    )


async def drained(device: Device) -> None:
    await asyncio.wait_for(device.drained(), 10)


class TestSession:
    async def test_hello_names_session_and_metrics_and_the_key_is_in_the_header(self):
        async with running(FakeHub()) as hub:
            hints = {"temp": MetricHint(unit="°C", kind="number")}
            async with connected(hub, metrics=hints) as device:
                await device.send(batch(0))
                await drained(device)
        assert hub.hellos[0]["session"] == device.session
        assert hub.hellos[0]["metrics"]["temp"]["unit"] == "°C"
        assert "key" not in hub.hellos[0]
        request = hub.sockets[0].request
        assert request is not None
        assert request.headers["Authorization"] == f"Bearer {KEY}"

    async def test_one_row_goes_as_an_instant_and_more_as_a_batch(self):
        async with running(FakeHub()) as hub, connected(hub) as device:
            await device.send(batch(7))
            await device.send(batch(8, 2))
            await drained(device)
        one, two = hub.received
        assert one["values"] == {"n": 7}
        assert one["time"] == 1_795_341_600_007
        assert two["columns"] == ["n"]
        assert two["rows"] == [[0, 8], [1, 9]]
        assert two["base"] == 1_795_341_600_008

    async def test_the_key_is_in_no_repr(self):
        async with running(FakeHub()) as hub:
            assert KEY not in repr(hub.account)


class TestWindow:
    async def test_the_window_is_never_broken(self):
        async with (
            running(FakeHub(window=3, hold=True)) as hub,
            connected(hub) as device,
        ):
            for n in range(6):
                await device.send(batch(n))
            await hub.until(lambda: len(hub.received) == 3)
            hub.hold = False
            await hub.ack(hub.sockets[0], device.session, 3)
            await drained(device)
        assert hub.most_unacked == 3
        assert hub.seqs == [1, 2, 3, 4, 5, 6]

    async def test_flow_zero_holds_everything_until_it_is_lifted(self):
        async with running(FakeHub()) as hub, connected(hub) as device:
            await hub.until(lambda: bool(hub.hellos))
            await say(hub.sockets[0], {"type": "flow", "window": 0, "interval_ms": 0})
            await hub.ack(hub.sockets[0], device.session, 0)
            while device.outbox.window:
                await asyncio.sleep(0.01)
            await device.send(batch(0))
            await asyncio.sleep(0.05)
            assert hub.received == []
            await say(hub.sockets[0], {"type": "flow", "window": 8, "interval_ms": 0})
            await drained(device)

    async def test_send_waits_while_the_device_holds_its_capacity(self):
        async with (
            running(FakeHub(hold=True)) as hub,
            connected(hub, capacity=2) as device,
        ):
            await device.send(batch(0))
            await device.send(batch(1))
            third = asyncio.ensure_future(device.send(batch(2)))
            await hub.until(lambda: len(hub.received) == 2)
            assert not third.done()
            hub.hold = False
            await hub.ack(hub.sockets[0], device.session, 2)
            await asyncio.wait_for(third, 10)
            await drained(device)


class TestReconnect:
    async def test_what_was_not_acked_goes_again_with_its_seq_and_content(self):
        async with running(FakeHub(hold=True)) as hub, connected(hub) as device:
            for n in range(3):
                await device.send(batch(n))
            await hub.until(lambda: len(hub.received) == 3)
            # On disk, but its ack was lost.
            hub.acked[device.session] = 1
            hub.hold = False
            hub.sockets[0].transport.abort()
            await drained(device)
        assert hub.seqs == [1, 2, 3, 2, 3]
        assert hub.received[1] == hub.received[3]
        assert [hello["session"] for hello in hub.hellos] == [device.session] * 2

    @pytest.mark.parametrize("code", [1001, 1011, 4408, 4409, 4429, 4500, 4503])
    async def test_codes_after_which_a_device_comes_back(self, code: int):
        async def once(socket, message) -> bool:
            if len(hub.hellos) > 1:
                return False
            await bye(socket, code, after_ms=10)
            return True

        async with running(FakeHub(on_data=once)) as hub, connected(hub) as device:
            await device.send(batch(0))
            await drained(device)
        assert hub.seqs == [1, 1]

    @pytest.mark.parametrize("code", [4401, 4403, 4404, 4406, 4499, 1000])
    async def test_codes_after_which_a_device_stops(self, code: int):
        async def refuse(socket, message) -> bool:
            await bye(socket, code)
            return True

        async with running(FakeHub(on_data=refuse)) as hub, connected(hub) as device:
            await device.send(batch(0))
            with pytest.raises(Stopped, match=str(code)):
                await drained(device)
            with pytest.raises(Stopped):
                await device.send(batch(1))
        assert len(hub.hellos) == 1

    async def test_a_message_too_large_comes_again_in_smaller_ones(self):
        async def too_large(socket, message) -> bool:
            if len(message.get("rows", ())) > 3:
                await bye(socket, 4413)
                return True
            return False

        async with (
            running(FakeHub(on_data=too_large)) as hub,
            connected(hub) as device,
        ):
            await device.send(batch(0, 2))
            await device.send(batch(2, 8))
            await drained(device)
        kept = [m for m in hub.received if len(m.get("rows", ())) <= 3]
        values = [row[1] for message in kept for row in message["rows"]]
        assert sorted(set(values)) == list(range(10))
        assert hub.acked[device.session] == kept[-1]["seq"]

    async def test_a_hub_that_is_not_there_is_tried_again(self):
        async with running(FakeHub()) as hub:
            pass
        report = Report()
        async with connected(hub, observer=report) as device:
            while sum(report.errors.values()) < 2:
                await asyncio.sleep(0.01)
            assert device.stopped is None


class TestHeartbeat:
    async def test_an_idle_device_pings(self):
        async with running(FakeHub(heartbeat=0.1)) as hub, connected(hub):
            await hub.until(lambda: hub.pings >= 3)
        assert len(hub.hellos) == 1

    async def test_a_device_that_hears_nothing_after_a_ping_reconnects(self):
        class Deaf(FakeHub):
            async def serve_one(self, socket) -> None:
                self.sockets.append(socket)
                async for frame in socket:
                    if '"hello"' in str(frame):
                        self.hellos.append({})
                        await self.welcome(socket, "")
                    self.something.set()

        async with running(Deaf(heartbeat=0.05)) as hub, connected(hub):
            await hub.until(lambda: len(hub.hellos) >= 2)


class TestFaults:
    @pytest.mark.parametrize("fault", ["drop", "reset", "hang_up", "overlap"])
    async def test_after_each_fault_everything_arrives(self, fault: str):
        async with running(FakeHub(hold=True)) as hub, connected(hub) as device:
            for n in range(4):
                await device.send(batch(n))
            await hub.until(lambda: len(hub.received) == 4)
            hub.hold = False
            if fault == "hang_up":
                assert await device.hang_up(0)
            elif fault == "overlap":
                assert device.overlap(0.2)
            else:
                assert device.drop(0, reset=fault == "reset")
            await drained(device)
        assert hub.seqs == [1, 2, 3, 4, 1, 2, 3, 4]

    async def test_a_repeated_batch_is_the_same_message(self):
        async with running(FakeHub()) as hub, connected(hub) as device:
            await device.send(batch(0))
            await hub.until(lambda: len(hub.received) == 1)
            sent = device.outbox.unacked()
            if sent:
                await device.repeat(sent[0])
                await hub.until(lambda: len(hub.received) == 2)
                assert hub.received[0] == hub.received[1]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/ws/device"),
        ("https://hub.example.org/", "wss://hub.example.org/ws/device"),
        ("wss://hub.example.org/x/ws/device", "wss://hub.example.org/x/ws/device"),
    ],
)
def test_an_address_becomes_the_device_socket(address: str, expected: str) -> None:
    assert device_url(address) == expected


@pytest.mark.parametrize("address", ["", "hub", "ftp://hub", "ws://"])
def test_an_address_that_is_none_says_what_was_expected(address: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        device_url(address)
