"""Where a recording's times go, and that all of it arrives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from telemetry.fleet.device import Device
from telemetry.fleet.playback import Playback, Row, Times, play, timed
from telemetry.fleet.recording import Options, Recording, survey

from .fake_hub import FakeHub, running

NOW = 1_795_341_600_000_000
SECOND = 1_000_000


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    path = tmp_path / "r.csv"
    path.write_text("time,a,b\n100,1,x\n110,2,y\n104,,z\n", encoding="utf-8")
    return survey(path, Options())


def times(recording: Recording, playback: Playback) -> list[tuple[float, float]]:
    """(time, due) of each row in seconds from now."""
    rows: list[Row] = list(timed(recording, playback, NOW))
    return [((row.time_us - NOW) / SECOND, (row.due_us - NOW) / SECOND) for row in rows]


class TestTimes:
    def test_live_the_first_row_is_now(self, recording: Recording) -> None:
        live = Playback(Times.LIVE)
        assert times(recording, live) == [(0, 0), (10, 10), (4, 4)]

    def test_at_speed_ten_a_row_has_the_time_at_which_it_is_sent(
        self, recording: Recording
    ) -> None:
        live = Playback(Times.LIVE, 10)
        assert times(recording, live) == [(0, 0), (1, 1), (0.4, 0.4)]

    def test_backfilled_the_latest_row_is_now_and_nothing_waits(
        self, recording: Recording
    ) -> None:
        backfill = Playback(Times.BACKFILL)
        assert times(recording, backfill) == [(-10, 0), (0, 0), (-6, 0)]

    def test_kept_times_are_sent_as_recorded(self, recording: Recording) -> None:
        rows = list(timed(recording, Playback(Times.KEPT, 2), NOW))
        assert [row.time_us for row in rows] == [
            100 * SECOND,
            110 * SECOND,
            104 * SECOND,
        ]
        assert [row.due_us - NOW for row in rows] == [0, 5 * SECOND, 2 * SECOND]


async def play_all(hub: FakeHub, recording: Recording, playback: Playback) -> int:
    device = Device(hub.account, metrics=recording.hints)
    connection = asyncio.ensure_future(device.run())
    try:
        return await asyncio.wait_for(play(device, recording, playback), 20)
    finally:
        await device.close()
        await connection


async def test_every_row_arrives_with_its_nulls_and_texts(recording: Recording) -> None:
    async with running(FakeHub()) as hub:
        assert await play_all(hub, recording, Playback(Times.BACKFILL)) == 3
    (message,) = hub.received
    assert message["columns"] == ["a", "b"]
    assert [row[1:] for row in message["rows"]] == [[1, "x"], [2, "y"], [None, "z"]]
    assert [row[0] for row in message["rows"]] == [0, 10_000, 4_000]
    assert hub.hellos[0]["metrics"]["b"]["kind"] == "text"


async def test_more_columns_than_a_batch_may_have_go_in_several(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    names = [f"m{n}" for n in range(71)]
    path.write_text(
        "time," + ",".join(names) + "\n0," + ",".join("1" * 71) + "\n", encoding="utf-8"
    )
    async with running(FakeHub()) as hub:
        await play_all(hub, survey(path, Options()), Playback(Times.LIVE))
    sent = [set(message["values"]) for message in hub.received]
    assert [len(each) for each in sent] == [64, 7]
    assert sent[0] | sent[1] == set(names)
