"""telemetry.history.journal: what is written is what is read, bit for bit."""

from __future__ import annotations

import logging
import math
import sys
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from django.db import IntegrityError
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry import counters
from telemetry.history import journal
from telemetry.history.journal import Mark, Row
from telemetry.history.models import Journal, TextReading
from telemetry.history.pack import Corrupt

from .rows import NOW_US, bits, gathered, write

INT32 = st.integers(1, 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False, allow_infinity=False, width=64)
READINGS = st.lists(st.tuples(INT32, INT64, FLOAT), max_size=50)
STRANGE = [-0.0, 5e-324, -5e-324, sys.float_info.max, sys.float_info.min, 0.1 + 0.2]


class TestColumns:
    @given(READINGS)
    @example([(1, NOW_US + n, value) for n, value in enumerate(STRANGE)])
    def test_come_back_bit_for_bit(self, readings):
        row = journal.encode_columns(*gathered(readings).arrays())
        series, times_us, values = journal.decode_columns(row)
        assert series.tolist() == [reading[0] for reading in readings]
        assert times_us.tolist() == [reading[1] for reading in readings]
        assert bits(values) == bits(reading[2] for reading in readings)
        assert (series.dtype, times_us.dtype, values.dtype) == (
            np.int32,
            np.int64,
            np.float64,
        )

    def test_form_is_the_documented_one(self):
        row = journal.encode_columns(*gathered([(1, 2, 1.0), (3, 4, -2.0)]).arrays())
        assert row.hex() == (
            "02"  # The version.
            "68062b09"  # The checksum.
            "0100000003000000"  # Series.
            "02000000000000000400000000000000"  # Times.
            "000000000000f03f00000000000000c0"  # Values.
        )

    def test_no_readings_are_a_header(self):
        row = journal.encode_columns(*gathered().arrays())
        assert row == b"\x02" + bytes(4)
        assert [len(column) for column in journal.decode_columns(row)] == [0, 0, 0]

    @given(READINGS)
    def test_the_first_version_is_read_still(self, readings):
        series, times_us, values = gathered(readings).arrays()
        row = b"\x01" + series.tobytes() + times_us.tobytes() + values.tobytes()
        decoded = journal.decode_columns(row)
        assert decoded[0].tolist() == series.tolist()
        assert decoded[1].tolist() == times_us.tolist()
        assert bits(decoded[2]) == bits(values)

    @given(st.integers(0, 45 * 8 - 1))
    def test_a_flipped_bit_is_corrupt(self, at: int):
        row = bytearray(
            journal.encode_columns(*gathered([(1, 2, 1.0), (3, 4, -2.0)]).arrays())
        )
        assert len(row) == 45
        row[at // 8] ^= 1 << at % 8
        with pytest.raises(Corrupt):
            journal.decode_columns(bytes(row))

    def test_more_readings_than_expected_are_corrupt(self):
        row = journal.encode_columns(*gathered([(1, 2, 1.0), (3, 4, -2.0)]).arrays())
        assert len(journal.decode_columns(row, most_readings=2)[0]) == 2
        with pytest.raises(Corrupt, match="at most 1 readings, got 2"):
            journal.decode_columns(row, most_readings=1)

    def test_a_series_above_the_highest_is_corrupt(self):
        row = journal.encode_columns(*gathered([(7, 2, 1.0), (1, 4, -2.0)]).arrays())
        assert len(journal.decode_columns(row, highest_id=7)[0]) == 2
        with pytest.raises(Corrupt, match="series to 6, got 7"):
            journal.decode_columns(row, highest_id=6)

    @pytest.mark.parametrize(
        "row",
        [
            b"",
            b"\x02",
            b"\x03" + bytes(4),
            b"\x00" * 21,
            b"\x01" + b"\x01" * 19,
            b"\x01" + b"\x01" * 21,
            b"\x01" + bytes(20),  # Series 0.
            b"\x01" + b"\xff" * 20,  # Series −1.
        ],
    )
    def test_another_form_is_corrupt(self, row: bytes):
        with pytest.raises(Corrupt):
            journal.decode_columns(row)

    def test_a_corrupt_row_is_counted_and_said(self, caplog):
        before = counters.CORRUPT_ROWS._value.get()
        with caplog.at_level(logging.ERROR):
            assert journal.readable_columns(3, 7, b"\x09") is None
        assert counters.CORRUPT_ROWS._value.get() == before + 1
        assert "3/7" in caplog.text


class TestMarks:
    @given(
        st.dictionaries(
            st.tuples(st.integers(1, 2**53), st.text(min_size=1, max_size=32)),
            st.builds(Mark, st.integers(1, 2**53), st.none() | INT64),
            max_size=10,
        )
    )
    def test_come_back(self, marks):
        assert journal.decode_marks(journal.encode_marks(marks)) == marks

    @pytest.mark.parametrize("row", [b"", b"\xc1", b"\x91\x01", b"\x80"])
    def test_another_form_is_corrupt(self, row: bytes):
        with pytest.raises(Corrupt):
            journal.decode_marks(row)


class TestMoments:
    @given(st.integers(0, 253_402_300_799_999_999))
    @example(0)
    @example(NOW_US + 1)
    @example(253_402_300_799_999_999)
    def test_every_microsecond_comes_back(self, us: int):
        assert journal.to_us(journal.from_us(us)) == us

    def test_is_the_moment_it_says(self):
        moment = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
        assert journal.to_us(moment) == math.floor(moment.timestamp()) * 1_000_000
        assert journal.to_us(moment + timedelta(microseconds=1)) % 10 == 1


@pytest.mark.django_db(transaction=True)
class TestRow:
    def test_is_stored_bit_for_bit_with_its_marks(self):
        readings = [(9 - n, NOW_US + n, value) for n, value in enumerate(STRANGE)]
        marks = {(4, "α-session"): Mark(7, -1), (2**40, "b"): Mark(2**53, None)}
        write(1, 1, *readings, received_us=NOW_US + 1, marks=marks)
        (found,) = journal.rows_after(1, 0)
        assert found[:2] == (1, NOW_US + 1)
        series, times_us, values = journal.decode_columns(found[2])
        assert series.tolist() == [reading[0] for reading in readings]
        assert times_us.tolist() == [reading[1] for reading in readings]
        assert bits(values) == bits(STRANGE)
        stored = Journal.objects.get(writer_id=1, number=1)
        assert journal.decode_marks(bytes(stored.marks)) == marks
        assert stored.count == len(readings)

    def test_the_same_row_again_changes_nothing(self):
        row = write(1, 1, (1, NOW_US, 1.0), texts=[(2, NOW_US, "on")])
        row.write()
        assert Journal.objects.count() == 1
        assert TextReading.objects.count() == 1

    def test_a_row_knows_whether_it_is_stored(self):
        row = Row(1, 1, NOW_US, gathered([(1, NOW_US, 1.0)]))
        assert not row.is_stored()
        row.write()
        assert row.is_stored()

    @pytest.mark.parametrize(
        "other",
        [
            Row(1, 1, NOW_US, gathered([(1, NOW_US, -0.0)])),
            Row(1, 1, NOW_US, gathered([(1, NOW_US, 0.0)], marks={(1, "s"): Mark(1)})),
            Row(1, 1, NOW_US + 1, gathered([(1, NOW_US, 0.0)])),
        ],
        ids=["other readings", "other marks", "another arrival"],
    )
    def test_another_row_under_its_number_is_no_success(self, other):
        write(1, 1, (1, NOW_US, 0.0))
        assert not other.is_stored()
        with pytest.raises(IntegrityError):
            other.write()

    def test_texts_are_in_the_same_transaction(self, monkeypatch):
        def fail(*args, **kwargs):
            raise IntegrityError("not today")

        monkeypatch.setattr(TextReading.objects, "bulk_create", fail)
        with pytest.raises(IntegrityError):
            write(1, 1, (1, NOW_US, 1.0), texts=[(2, NOW_US, "on")])
        assert Journal.objects.count() == 0

    def test_many_texts_fit_in_one_commit(self):
        texts = [(2, NOW_US + n, "é" * 256) for n in range(1_500)]
        write(1, 1, texts=texts)
        found = TextReading.objects.order_by("id")
        assert list(found.values_list("series_id", "time_us", "value")) == texts

    @pytest.mark.parametrize("readings", [0, 1, 20_000])
    def test_columns_are_sorted_and_stable(self, readings: int):
        rows = [(1 + n % 3, NOW_US + n % 7, float(n)) for n in range(readings)]
        columns = Row(1, 1, NOW_US, gathered(rows)).columns()
        expected = sorted(rows, key=lambda row: row[:2])
        assert columns.values.tolist() == [row[2] for row in expected]


@pytest.mark.django_db(transaction=True)
class TestRowsAfter:
    @pytest.mark.parametrize(
        ("page_rows", "page_readings"), [(200_000, 5), (7, 200_000), (7, 5), (1, 1)]
    )
    def test_come_in_order_in_pages_and_of_one_writer(
        self, monkeypatch, page_rows: int, page_readings: int
    ):
        monkeypatch.setattr(journal, "PAGE_ROWS", page_rows)
        monkeypatch.setattr(journal, "PAGE_READINGS", page_readings)
        for number in range(1, 51):
            readings = [(1, NOW_US + at, 0.0) for at in range(number % 8)]
            write(1, number, *readings)
        write(2, 1, (1, NOW_US, 0.0))
        assert [row[0] for row in journal.rows_after(1, 10)] == list(range(11, 51))
        assert [row[0] for row in journal.rows_after(1, 10, 12)] == [11, 12]
        assert list(journal.rows_after(3, 0)) == []

    def test_large_rows_are_read_a_few_at_once(
        self, monkeypatch, django_assert_num_queries
    ):
        monkeypatch.setattr(journal, "PAGE_READINGS", 20)
        for number in range(1, 7):
            write(1, number, *[(1, NOW_US + at, 0.0) for at in range(10)])
        # Their counts, and three pages of two rows.
        with django_assert_num_queries(4):
            assert len(list(journal.rows_after(1, 0))) == 6

    def test_corrupt_marks_are_left_out(self, caplog):
        writer = journal.open_writer(NOW_US)
        for number in (1, 2, 3):
            write(writer.id, number, marks={(1, "a"): Mark(number)})
        Journal.objects.filter(number=2).update(marks=b"\xc1")
        found = list(journal.unfolded_marks(writer))
        assert found == [{(1, "a"): Mark(1)}, {(1, "a"): Mark(3)}]
        assert f"{writer.id}/2" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_writers_id_is_never_used_again():
    first = journal.open_writer(NOW_US)
    first_id = first.id
    first.delete()
    assert journal.open_writer(NOW_US).id > first_id
