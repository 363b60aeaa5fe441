"""`/ws/device` under bad input and at its limits, over real sockets on both servers.

Beside each test another device is connected, which must notice nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from telemetry.protocol.limits import Limits
from tests.processes import wait_until

from .conftest import DeviceHub
from .wire import MSGPACK, Device, Message

pytestmark = pytest.mark.usefixtures("bystander")

LIMITS = Limits()
T = 1_795_000_000_000
DAY_MS = 86_400_000


def us(ms: float) -> int:
    return round(ms * 1000)


def refused(seq: int) -> list[Message]:
    return [{"seq": seq, "row": None, "metric": None, "reason": "bad_request"}]


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The hub reads nothing meanwhile: all that is sent comes to it at once."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def rejected_until(device: Device, seq: int) -> list[Message]:
    """All rejections of the acks up to the one of `seq`."""
    rejected: list[Message] = []
    while True:
        ack = device.receive()
        assert ack["type"] == "ack", ack
        rejected += ack.get("rejected", [])
        if ack["seq"] == seq:
            return rejected


def padded(fields: dict[str, Any], size_bytes: int, filler: str = "x") -> str:
    """A message of exactly so many bytes, with a key that the hub ignores."""
    bare = len(json.dumps({**fields, "pad": ""}).encode())
    missing, width = size_bytes - bare, len(filler.encode())
    pad = filler * (missing // width) + "x" * (missing % width)
    text = json.dumps({**fields, "pad": pad}, ensure_ascii=False)
    assert len(text.encode()) == size_bytes
    return text


class TestSizes:
    """Each limit of a message, at the limit and one above."""

    @pytest.mark.parametrize("coding", ["hub.v1.json", MSGPACK])
    @pytest.mark.parametrize(("columns", "rows"), [(65, 1), (1, 1001)])
    def test_batch_above_a_limit_is_refused_in_its_order(
        self, device_hub: DeviceHub, coding: str, columns: int, rows: int
    ):
        known = device_hub.new()
        device = device_hub.connect(known, coding)
        device.hello("s")
        device.data(1, time=T, values={"n": 1})
        names = [f"m{at}" for at in range(columns)]
        device.data(2, base=T, columns=names, rows=[[0] * (columns + 1)] * rows)
        device.data(3, time=T + 1, values={"n": 3})
        assert device.acked(3)["rejected"] == refused(2)
        assert device_hub.stored(known) == {"n": [(us(T), 1), (us(T + 1), 3)]}

    def test_batch_of_1000_rows_is_stored_whole(self, device_hub: DeviceHub):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        rows = [[at, at] for at in range(LIMITS.batch_rows)]
        device.data(1, base=T, columns=["n"], rows=rows)
        assert device.acked(1) == {"type": "ack", "seq": 1}
        assert device_hub.stored(known) == {"n": [(us(T + at), at) for at, _ in rows]}

    def test_batch_of_64_columns_is_stored_whole(self, device_hub: DeviceHub):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        names = [f"m{at}" for at in range(LIMITS.batch_columns)]
        device.data(1, base=T, columns=names, rows=[[0, *range(len(names))]])
        device.data(2, time=T + 1, values=dict.fromkeys(names, 2))
        device.data(3, time=T + 2, values=dict.fromkeys([*names, "one_more"], 3))
        assert device.acked(3)["rejected"] == refused(3)
        stored = device_hub.stored(known)
        assert stored == {
            name: [(us(T), at), (us(T + 1), 2)] for at, name in enumerate(names)
        }

    def test_256_series_and_not_one_more(self, device_hub: DeviceHub):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        names = [f"m{at}" for at in range(LIMITS.series_per_device + 1)]
        for seq, start in enumerate(range(0, len(names), 64), 1):
            device.data(seq, time=T, values=dict.fromkeys(names[start : start + 64], 1))
        assert device.acked(5)["rejected"] == [
            {"seq": 5, "row": 0, "metric": "m256", "reason": "unknown_metric"}
        ]
        assert device_hub.stored(known).keys() == set(names[:256])
        # The others go on.
        device.data(6, time=T + 1, values={"m0": 2, "m256": 2, "m257": 2})
        assert device.acked(6)["rejected_count"] == 2

    @pytest.mark.parametrize("filler", ["x", "ü", "锅"], ids=["ascii", "2", "3"])
    def test_message_of_64_kib_is_read(self, device_hub: DeviceHub, filler: str):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        fields = {"type": "data", "seq": 1, "time": T, "values": {"n": 1}}
        device.send_raw(padded(fields, LIMITS.message_bytes, filler))
        assert device.acked(1) == {"type": "ack", "seq": 1}
        assert device_hub.stored(known) == {"n": [(us(T), 1)]}

    @pytest.mark.parametrize("filler", ["x", "ü", "锅"], ids=["ascii", "2", "3"])
    def test_one_byte_more_closes_with_4413(self, device_hub: DeviceHub, filler: str):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        device.data(1, time=T, values={"n": 1})
        device.acked(1)
        fields = {"type": "data", "seq": 2, "time": T, "values": {"n": 2}}
        device.send_raw(padded(fields, LIMITS.message_bytes + 1, filler))
        (error,) = device.is_sent_away(4413)
        assert error["code"] == "too_large"
        assert device_hub.connect(known).hello("s")["acked"] == 1
        assert device_hub.stored(known) == {"n": [(us(T), 1)]}

    def test_above_the_servers_own_wall(self, device_hub: DeviceHub):
        device = device_hub.connect(device_hub.new())
        device.hello("s")
        code = None
        with contextlib.suppress(ConnectionClosed):
            device.send_raw("x" * 200_000)
        code, _ = device.ended()
        # Daphne drops the connection without a word: one of its limits.
        assert code == {"uvicorn": 1009, "daphne": 1006}[device_hub.server]

    @pytest.mark.parametrize("filler", ["x", "ü"], ids=["ascii", "2"])
    def test_hello_of_32_kib_and_one_byte_more(
        self, device_hub: DeviceHub, filler: str
    ):
        device = device_hub.connect(device_hub.new())
        fields = {"type": "hello", "session": "s"}
        device.send_raw(padded(fields, LIMITS.hello_bytes + 1, filler))
        assert device.error()["code"] == "too_large"
        device.send_raw(padded(fields, LIMITS.hello_bytes, filler))
        assert device.receive()["type"] == "welcome"


class TestTimes:
    @pytest.mark.parametrize(
        "time_ms",
        [
            pytest.param(-62_167_219_200_000, id="year 0"),
            pytest.param(253_402_300_799_999, id="year 9999"),
            pytest.param(T * 1_000_000, id="nanoseconds"),
            pytest.param(T // 1000, id="seconds"),
            pytest.param(0, id="1970"),
            pytest.param(946_684_799_999, id="end of 1999"),
            pytest.param(1e300, id="no time at all"),
            pytest.param(-1e300, id="no time before all"),
            pytest.param(9.3e15, id="above int64 microseconds"),
        ],
    )
    @pytest.mark.parametrize("coding", ["hub.v1.json", MSGPACK])
    def test_time_that_cannot_be_is_rejected(
        self, device_hub: DeviceHub, coding: str, time_ms: float
    ):
        known = device_hub.new()
        device = device_hub.connect(known, coding)
        device.hello("s")
        device.data(1, time=T, values={"n": 1})
        device.data(2, time=time_ms, values={"n": 2})
        device.data(3, base=time_ms, columns=["n"], rows=[[0, 3], [-1, 3]])
        device.data(4, time=T + 2, values={"n": 4})
        assert rejected_until(device, 4) == [
            {"seq": seq, "row": row, "metric": "n", "reason": "bad_time"}
            for seq, row in ((2, 0), (3, 0), (3, 1))
        ]
        assert device_hub.stored(known) == {"n": [(us(T), 1), (us(T + 2), 4)]}

    @pytest.mark.parametrize("offset_ms", [None, -T, 1e300, -1e300, 9.3e15, T], ids=str)
    def test_offset_that_cannot_be_is_rejected(
        self, device_hub: DeviceHub, offset_ms: float | None
    ):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        device.data(1, base=T, columns=["n"], rows=[[offset_ms, 1], [1, 2]])
        assert rejected_until(device, 1) == [
            {"seq": 1, "row": 0, "metric": "n", "reason": "bad_time"}
        ]
        assert device_hub.stored(known) == {"n": [(us(T + 1), 2)]}

    def test_a_day_ahead_but_not_more(self, device_hub: DeviceHub):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        near, far = now_ms() + DAY_MS - 60_000, now_ms() + DAY_MS + 60_000
        device.data(1, base=0, columns=["n"], rows=[[near, 1], [far, 2]])
        (rejected,) = device.acked(1)["rejected"]
        assert rejected == {"seq": 1, "row": 1, "metric": "n", "reason": "bad_time"}
        assert device_hub.stored(known) == {"n": [(us(near), 1)]}

    def test_stamps_of_the_hub_are_distinct(self, device_hub: DeviceHub):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        with stopped(device_hub.process.pid):
            for _ in range(200):
                device.data(values={"n": 7, "m": 7})
        device.is_alive()
        device.data(1, values={"n": 7})
        device.acked(1)
        stored = device_hub.stored(known)
        assert (len(stored["n"]), len(stored["m"])) == (201, 200)
        assert stored["n"][:-1] == stored["m"]


class TestUptime:
    def start(self, device_hub: DeviceHub) -> tuple[Any, int]:
        """A session whose first batch is stored; the device, and its anchor."""
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s", clock="uptime", uptime=60_000)
        device.data(1, base=1_000, columns=["n"], rows=[[0, 1], [0.5, 2]])
        device.acked(1)
        (first, _), (second, _) = device_hub.stored(known)["n"]
        assert second - first == 500
        anchor = first - 1_000_000
        assert abs(anchor - us(now_ms() - 60_000)) < 20_000_000
        return known, anchor

    def test_batch_sent_again_after_a_reconnect_has_the_same_times(
        self, device_hub: DeviceHub
    ):
        known, anchor = self.start(device_hub)
        before = device_hub.stored(known)
        # The clocks differ by less than 2 s from what was; and the session's numbers
        # are new: only equal times can make the rows equal.
        elapsed = now_ms() - anchor / 1000
        device = device_hub.connect(known)
        assert device.hello("s", clock="uptime", uptime=elapsed + 900)["acked"] == 1
        device.data(2, base=1_000, columns=["n"], rows=[[0, 1], [0.5, 2]])
        device.acked(2)
        assert device_hub.stored(known) == before

    def test_clock_that_jumped_is_anchored_anew(self, device_hub: DeviceHub):
        known, anchor = self.start(device_hub)
        elapsed = now_ms() - anchor / 1000
        device = device_hub.connect(known)
        device.hello("s", clock="uptime", uptime=elapsed + 600_000)
        device.data(2, base=1_000, columns=["n"], rows=[[0, 3]])
        device.acked(2)
        (moved_us,) = (
            time for time, value in device_hub.stored(known)["n"] if value == 3
        )
        assert abs(moved_us - 1_000_000 - (anchor - 600_000_000)) < 20_000_000

    def test_new_session_is_anchored_anew(self, device_hub: DeviceHub):
        known, anchor = self.start(device_hub)
        device = device_hub.connect(known)
        device.hello("after a reboot", clock="uptime", uptime=10)
        device.data(1, base=5, columns=["n"], rows=[[0, 3]])
        device.acked(1)
        (booted_us,) = (t for t, value in device_hub.stored(known)["n"] if value == 3)
        assert booted_us > anchor + 60_000_000


class TestSequence:
    def test_lost_ack_and_the_same_batch_again(self, device_hub: DeviceHub):
        known = device_hub.new()
        for attempt in range(3):
            device = device_hub.connect(known)
            acked = device.hello("s")["acked"]
            assert acked in ((0, 1, 2) if attempt else (0,))
            device.data(1, time=T, values={"n": 1})
            device.data(2, values={"stamped": 1})
            device.socket.close()  # Nobody waits for the ack.
        device = device_hub.connect(known)
        acked = device.hello("s")["acked"]
        # Each of them may have come too late on a socket that was closed.
        if acked < 1:
            device.data(1, time=T, values={"n": 1})
        if acked < 2:
            device.data(2, values={"stamped": 1})
        device.data(3, time=T, values={"n": 3})
        device.acked(3)
        stored = device_hub.stored(known)
        assert stored["n"] == [(us(T), 1), (us(T), 3)]
        assert len(stored.get("stamped", [])) == 1

    def test_window_of_8_is_kept_and_broken(self, device_hub: DeviceHub):
        known = device_hub.new()
        device = device_hub.connect(known)
        window = device.hello("s")["window"]
        device.data(1, time=T, values={"n": 0})
        device.acked(1)
        with stopped(device_hub.process.pid):
            for seq in range(2, window + 2):
                device.data(seq, time=T, values={"n": seq})
        device.acked(window + 1)
        device.is_alive()
        with stopped(device_hub.process.pid):
            for seq in range(window + 2, 2 * window + 12):
                device.data(seq, time=T, values={"n": seq})
        acks = device.is_sent_away(4429)
        assert all(ack["type"] == "ack" for ack in acks)
        acked = device_hub.connect(known).hello("s")["acked"]
        # What was within the window is stored, and nothing behind it.
        assert acked == 2 * window + 1
        values = [value for _, value in device_hub.stored(known)["n"]]
        assert values == [0, *range(2, acked + 1)]

    def test_older_batches_sent_again_do_not_count_against_the_window(
        self, device_hub: DeviceHub
    ):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        device.data(1, time=T, values={"n": 1})
        device.acked(1)
        with stopped(device_hub.process.pid):
            for _ in range(50):
                device.data(1, time=T, values={"n": 1})
        for _ in range(50):
            assert device.receive() == {"type": "ack", "seq": 1}
        assert device_hub.stored(known) == {"n": [(us(T), 1)]}

    @pytest.mark.parametrize(
        "bad",
        [
            '{"type":"data","seq":%d,"values":{"n":1e400}}',
            '{"type":"data","seq":%d,"values":{"n":[[[[[[[[[[1]]]]]]]]]]}}',
            '{"type":"data","seq":%d,"values":' + "[" * 200 + "]" * 200 + "}",
            '{"type":"data","seq":%d,"values":{"n":{}}}',
            '{"type":"data","seq":%d,"values":{"n":' + "9" * 5_000 + "}}",
            '{"type":"data","seq":%d,"time":"today","values":{"n":1}}',
            '{"type":"data","seq":%d}',
            '{"type":"data","seq":%d,"base":1,"columns":["n"],"rows":[[]]}',
            '{"type":"data","seq":%d,"base":1,"columns":["n","n"],"rows":[]}',
            '{"type":"data","seq":%d,"device":"other","values":{"n":1}}',
        ],
        ids=lambda bad: bad[24:64],
    )
    def test_no_refused_batch_is_covered_silently(
        self, device_hub: DeviceHub, bad: str
    ):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        device.data(1, time=T, values={"n": 1})
        device.send_raw(bad % 2)
        device.data(3, time=T + 1, values={"n": 3})
        device.send_raw(bad % 4)
        device.data(5, time=T + 2, values={"n": 5})
        listed: list[int] = []
        acked = 0
        while acked < 5:
            message = device.receive()
            if message["type"] == "error":
                assert message["code"] == "unsupported"
                continue
            assert message["type"] == "ack" and message["seq"] > acked
            acked = message["seq"]
            listed += [each["seq"] for each in message.get("rejected", [])]
            assert all(seq <= acked for seq in listed)
            # Covered is what was stored, or listed as refused.
            assert {seq for seq in (2, 4) if seq <= acked} == set(listed)
        device.is_alive()
        assert [value for _, value in device_hub.stored(known)["n"]] == [1, 3, 5]

    def test_of_many_refusals_32_are_listed_and_all_counted(
        self, device_hub: DeviceHub
    ):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s", metrics={"n": {"kind": "number"}})
        for seq, count in ((1, 32), (2, 33), (3, 1_000)):
            device.data(seq, base=T, columns=["n"], rows=[[0, "no"]] * count)
            ack = device.acked(seq)
            assert len(ack["rejected"]) == 32
            assert ack["rejected_count"] == count
        assert device_hub.stored(known) == {}

    def test_seq_behind_too_deep_nesting_cannot_be_read(self, device_hub: DeviceHub):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        device.data(1, time=T, values={"n": 1})
        device.acked(1)
        device.send_raw('{"type":"data","seq":2,"values":' + "[" * 20_000)
        (error,) = device.is_sent_away(4400)
        assert error["code"] == "bad_request"
        assert device_hub.connect(known).hello("s")["acked"] == 1


class TestGarbage:
    def test_99_times_is_borne_and_100_times_is_not(self, device_hub: DeviceHub):
        device = device_hub.connect(device_hub.new())
        for _ in range(99):
            device.send_raw("garbage")
        for _ in range(99):
            assert device.error()["code"] == "bad_request"
        device.is_alive()
        device.send_raw("garbage")
        (error,) = device.is_sent_away(4400)
        assert error["type"] == "error"

    def test_device_with_one_bad_metric_among_good_ones_stays(
        self, device_hub: DeviceHub
    ):
        known = device_hub.new()
        device = device_hub.connect(known)
        for at in range(150):
            device.data(time=T + at, values={"n": at, "no name": 1})
            assert device.error()["code"] == "bad_request"
        device.is_alive()
        wait_until(lambda: len(device_hub.stored(known)["n"]) == 150, "all is stored")

    def test_it_fills_no_log(self, device_hub: DeviceHub):
        known = device_hub.new()
        before = len(device_hub.process.output)
        for _ in range(10):
            device = device_hub.connect(known)
            for _ in range(100):
                device.send_raw('{"type":"hello","session":"\u2028forged' + "x" * 2_000)
            device.is_sent_away(4400)
        assert len(device_hub.process.output) - before < 8_000

    def test_errors_quote_little_of_what_came(self, device_hub: DeviceHub):
        device = device_hub.connect(device_hub.new())
        long = "\u202e\x00\n" + "x" * 30_000
        device.send(type=long)
        assert device.error()["code"] == "unsupported"
        device.send(type="hello", clock=long)
        assert device.error()["code"] == "bad_request"
        device.send(type="hello", metrics={long: {"kind": "number"}})
        assert device.error()["code"] == "bad_request"
        assert device.receive()["type"] == "welcome"
        device.data(values={long: 1})
        assert device.error()["code"] == "bad_request"


class TestDescriptions:
    def series(
        self, device_hub: DeviceHub, slug: str
    ) -> dict[str, tuple[str, str, str]]:
        from telemetry.devices.models import Series  # Needs the hub's database.

        rows = Series.objects.filter(device__slug=slug)
        found = device_hub.edit(
            lambda: list(rows.values_list("name", "kind", "unit", "label"))
        )
        return {name: rest for name, *rest in found}

    def test_unit_and_label_of_hello_reach_the_series_of_the_first_value(
        self, device_hub: DeviceHub
    ):
        known = device_hub.new()
        device = device_hub.connect(known)
        metrics = {
            "temp": {"unit": "°C", "label": "Kessel"},
            "door": {"kind": "boolean", "label": "Tür"},
            "state": {"label": "Zustand"},
            "long": {"unit": "u" * 100, "label": "\x00" + "l" * 300},
        }
        device.hello("s", metrics=metrics)
        assert self.series(device_hub, known.slug) == {"door": ["boolean", "", "Tür"]}
        device.data(
            1, time=T, values={"temp": 1, "state": "on", "door": True, "long": 1}
        )
        assert device.acked(1) == {"type": "ack", "seq": 1}
        assert self.series(device_hub, known.slug) == {
            "temp": ["number", "°C", "Kessel"],
            "door": ["boolean", "", "Tür"],
            "state": ["text", "", "Zustand"],
            "long": ["number", "u" * 32, "l" * 120],
        }

    def test_a_later_hello_fills_only_what_is_empty(self, device_hub: DeviceHub):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.data(time=T, values={"temp": 1})
        device.is_alive()
        device.hello("s", metrics={"temp": {"unit": "K"}})
        device = device_hub.connect(known)
        device.hello("s", metrics={"temp": {"unit": "°F", "label": "Kessel"}})
        assert self.series(device_hub, known.slug) == {
            "temp": ["number", "K", "Kessel"]
        }


def now_ms() -> float:
    return time.time_ns() // 1_000_000
