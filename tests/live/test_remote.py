from __future__ import annotations

import msgspec
import numpy as np
import pytest

from telemetry.live.remote import pack, unpack
from telemetry.live.rows import Rows

IDS = np.array([70, 80, 90], np.int32)
ROWS = Rows(
    np.array([2, 0], np.int32),
    np.array([5, 6]),
    np.array([1.5, -0.0]),
    np.array([1.0, -1.0]),
    np.array([2.0, 1e300]),
    np.array([4, 1]),
    late=((1, 3, 4),),
    texts=((1, 9, "öffen"),),
)


PERIODS_US = np.array([90, 0, 8_000_000_000])


def test_rows_arrive_at_the_positions_of_the_other_process():
    came = unpack(pack(ROWS, IDS, 77, PERIODS_US), {90: 0, 80: 1, 70: 5})
    assert came.received_us == 77
    assert came.rows.positions.tolist() == [0, 5]
    assert came.rows.time_us.tolist() == [5, 6]
    assert came.rows.last.tolist() == [1.5, -0.0]
    assert came.rows.minimum.tolist() == [1.0, -1.0]
    assert came.rows.maximum.tolist() == [2.0, 1e300]
    assert came.rows.count.tolist() == [4, 1]
    assert came.rows.late == ((1, 3, 4),)
    assert came.rows.texts == ((1, 9, "öffen"),)
    assert came.series.tolist() == [90, 70, 80]
    assert came.periods_us.tolist() == PERIODS_US.tolist()


def test_series_that_are_not_known_here_are_left_out():
    came = unpack(pack(ROWS, IDS, 77, PERIODS_US), {70: 0})
    assert came.rows.positions.tolist() == [0]
    assert came.rows.last.tolist() == [-0.0]
    assert not came.rows.late and not came.rows.texts
    assert (came.series.tolist(), came.periods_us.tolist()) == ([70], [0])


def test_a_hub_of_an_earlier_version_says_no_periods():
    packed = msgspec.msgpack.decode(pack(ROWS, IDS, 77, PERIODS_US))
    came = unpack(msgspec.msgpack.encode(packed[:-1]), {90: 0, 80: 1, 70: 5})
    assert came.rows.positions.tolist() == [0, 5]
    assert not len(came.series) and not len(came.periods_us)


def content(*columns: bytes) -> bytes:
    return msgspec.msgpack.encode([0, *columns, [], []])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode([]),
        content(b"\0" * 4, b"", b"", b"", b"", b""),
        content(b"\0" * 3, b"", b"", b"", b"", b""),
        msgspec.msgpack.encode([0, *[b""] * 6, [], [], b"\0" * 8]),
    ],
)
def test_what_pack_did_not_make_is_refused(payload):
    with pytest.raises(ValueError, match=r"expected|buffer"):
        unpack(payload, {0: 0})
