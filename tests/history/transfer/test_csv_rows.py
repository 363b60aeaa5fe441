"""CSV: what is read of it, and what of a file is refused."""

from __future__ import annotations

import io

import pytest

from telemetry.devices.models import Device, Series
from telemetry.history.queries.query import read_sync
from telemetry.history.transfer import csv_rows
from telemetry.history.transfer.incoming import BadFile

from ..files import ALL, T, imported, readings
from ..rows import bits


def test_the_least_that_is_needed(transactional_db):
    found = imported(
        "Time,VALUE,metric,note\r\n2026-11-22T10:00:00Z,21.5,temp,hello\r\n\r\n",
        slug="pump",
    )
    assert (found.accepted, found.reasons()) == (1, [])
    series = Series.objects.get()
    assert (series.name, series.kind, series.device.slug) == (
        "temp",
        "number",
        "pump",
    )
    assert read_sync([series.pk], *ALL)[series.pk][1].tolist() == [21.5]


def test_kinds_are_seen_by_the_first_value(transactional_db):
    imported(
        "\ufeffmetric,time,value\n"
        "n,2026-11-22T10:00:00Z,1\n"
        "b,2026-11-22T10:00:00Z,TRUE\n"
        "b,2026-11-22T10:00:01Z,0\n"
        "t,2026-11-22T10:00:00Z,1 bar\n",
        slug="pump",
    )
    kinds = dict(Series.objects.values_list("name", "kind"))
    assert kinds == {"n": "number", "b": "boolean", "t": "text"}
    assert readings()["pump", "b", "boolean", ""] == [
        (T, *bits([1.0])),
        (T + 1_000_000, *bits([0.0])),
    ]


def test_bad_lines_are_refused_with_their_numbers(transactional_db):
    lines = [
        "device,metric,kind,unit,time,value",
        "pump,n,number,,2026-11-22T10:00:00Z,1",
        "pump,n,number,,2026-11-22T10:00:00,1",
        "pump,n,number,,1999-12-31T23:59:59.999999Z,1",
        "pump,n,number,,2036-11-22T10:00:00Z,1",
        "pump,n,number,,2026-11-22T10:00:01Z,warm",
        "pump,n,number,,2026-11-22T10:00:02Z,nan",
        "pump,n,number,,2026-11-22T10:00:03Z,1e999",
        "pump,n,number,,2026-11-22T10:00:04Z,1_000",
        "pump,n,number,,2026-11-22T10:00:05Z,9007199254740993",
        "pump,n,number,,2026-11-22T10:00:06Z,",
        "pump,n,number",
        "pump,b,boolean,,2026-11-22T10:00:00Z,yes",
        "pump,t,text,,2026-11-22T10:00:00Z," + "x" * 257,
        "pump,n,text,,2026-11-22T10:00:00Z,1",
        "pump,2nd,number,,2026-11-22T10:00:00Z,1",
        "pump,n,float,,2026-11-22T10:00:00Z,1",
        "Pump!,n,number,,2026-11-22T10:00:00Z,1",
        "pump,t,text,,2026-11-22T10:00:01Z,good",
        "pump,n,number,,2026-11-22T10:00:07Z,2",
        "pump,n,number,,2026-11-22T10:00:08Z," + "9" * 5_000,
    ]
    found = imported("\n".join(lines))
    assert found.accepted == 3
    assert sorted(found.reasons()) == [
        *((line, "bad_time") for line in (3, 4, 5)),
        *((line, "bad_type") for line in (6, 7, 8, 9, 10, 11)),
        (12, "bad_request"),
        (13, "bad_type"),
        (14, "too_long"),
        (15, "bad_type"),
        *((line, "unknown_metric") for line in (16, 17)),
        (18, "unknown_device"),
        (21, "bad_type"),
    ]
    assert all("expected" in each.message for each in found.refusals.listed)


def test_only_twenty_are_listed_and_all_are_counted(transactional_db):
    line = "n,2026-11-22T10:00:00Z,warm\n"
    content = "metric,time,value\nn,2026-11-22T10:00:00Z,1\n" + line * 25_000
    found = imported(content, slug="pump")
    assert found.accepted == 1
    assert len(found.refusals.listed) == 20
    assert found.refusals.count == 25_000
    assert [each.line for each in found.refusals.listed] == list(range(3, 23))


def test_the_first_of_the_file_are_listed_whatever_their_series(transactional_db):
    lines = [
        "metric,time,value",
        "b,2026-11-22T10:00:00Z,1",
        "a,2026-11-22T10:00:00Z,1",
    ]
    lines += [f"{'ba'[at % 2]},2026-11-22T10:00:00Z,warm" for at in range(60)]
    found = imported("\n".join(lines), slug="pump")
    assert [each.line for each in found.refusals.listed] == list(range(4, 24))
    assert found.refusals.count == 60


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "device,time,value\n",
        "metric,time,value,TIME\n",
        "x" * 100_000,
        b"\x00\x01\x02",
        b"PAR1\xff\xfe",
    ],
)
def test_what_is_no_csv_of_readings(transactional_db, content):
    with pytest.raises(BadFile, match="expected"):
        imported(content, slug="pump")


def test_nobody_says_whose_they_are(transactional_db):
    with pytest.raises(BadFile, match="device"):
        imported("metric,time,value\nn,2026-11-22T10:00:00Z,1\n")


def test_bytes_that_are_no_utf8_spoil_one_line(transactional_db):
    content = (
        b"metric,kind,time,value\n"
        b"t,text,2026-11-22T10:00:00Z,gr\xfcn\n"
        b"t,text,2026-11-22T10:00:01Z,gr\xc3\xbcn\n"
    )
    found = imported(content, slug="pump")
    assert (found.accepted, found.reasons()) == (1, [(2, "bad_type")])


def test_a_long_line_and_an_open_quote_spoil_only_what_they_cover(transactional_db):
    good = "n,2026-11-22T10:00:00Z,1\n"
    content = "metric,time,value\n" + good + "n," + "x" * 50_000 + "\n" + good
    found = imported(content, slug="pump")
    assert (found.accepted, found.reasons()) == (2, [(3, "bad_request")])
    content = "metric,time,value\n" + good + 'n,"2026' + good * 20_000
    found = imported(content, slug="pump")
    assert found.refusals.count >= 1
    assert found.accepted > 10_000


@pytest.mark.parametrize(("more", "accepted"), [(0, 1), (1, 0)])
@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("cell", ["x", "x\n", "\r\nx"])
def test_a_record_at_the_limit_and_one_more(cell, end, more, accepted):
    """Whether it is one line or thousands."""
    first, last = 'metric,time,value,note\nn,2026-11-22T10:00:00Z,1,"', '"' + end
    room = csv_rows.RECORD_CHARACTERS - len(first.partition("\n")[2]) - len(last)
    note = (cell * room)[: room - 1] + "x" + "y" * more
    (found,) = csv_rows.decode(io.BytesIO((first + note + last).encode()))
    assert sum(len(part.lines) for part in found.parts) == accepted
    messages = [each.message for each in found.refusals.listed]
    if more:
        assert "more than 16384 characters in a record" in messages[0]
    else:
        assert messages == []


def test_a_long_record_is_named_and_what_follows_is_read():
    good = "n,2026-11-22T10:00:00Z,1\n"
    content = "metric,time,value\n" + good + '"\n' + "x" * 20_000 + "\n" + good
    (found,) = csv_rows.decode(io.BytesIO(content.encode()))
    assert [part.lines for part in found.parts] == [[2, 5]]
    assert [each.line for each in found.refusals.listed] == [4]


def test_a_header_over_many_lines():
    content = io.BytesIO(b'"\nab",' * 100_000)
    with pytest.raises(BadFile, match="more than 16384 characters in a record"):
        next(csv_rows.decode(content))
    # The rest is not looked at.
    assert content.tell() < 50_000


@pytest.mark.parametrize(("count", "slices"), [(24, 1), (25, 2)])
def test_a_slice_of_long_lines_ends_early(monkeypatch, count, slices):
    line = "n,2026-11-22T10:00:00Z,1\n"
    monkeypatch.setattr(csv_rows, "BATCH_CHARACTERS", 25 * len(line))
    content = io.BytesIO(b"metric,time,value\n" + line.encode() * count)
    found = list(csv_rows.decode(content))
    assert len(found) == slices
    lines = [line for each in found for part in each.parts for line in part.lines]
    assert lines == list(range(2, count + 2))


def test_other_devices_lines_are_refused(transactional_db):
    content = "device,metric,time,value\nfan,n,2026-11-22T10:00:00Z,1\n"
    found = imported(content, slug="pump")
    assert found.reasons() == [(2, "bad_request")]
    found = imported(content, creates=False)
    assert found.reasons() == [(2, "unknown_device")]
    assert not Device.objects.exists()


def test_most_series_of_a_device(transactional_db):
    lines = "".join(f"m{n},2026-11-22T10:00:00Z,1\n" for n in range(5))
    found = imported("metric,time,value\n" + lines, slug="pump", most_series=4)
    assert (found.accepted, found.reasons()) == (4, [(6, "unknown_metric")])


def test_an_empty_unit_is_filled_and_a_given_one_stays(transactional_db):
    pump = Device.objects.create(slug="pump", name="Pump")
    Series.objects.create(device=pump, name="a", unit="")
    Series.objects.create(device=pump, name="b", unit="K")
    imported(
        "device,metric,unit,time,value\n"
        "pump,a,°C,2026-11-22T10:00:00Z,1\n"
        "pump,b,°C,2026-11-22T10:00:00Z,1\n"
    )
    units = dict(Series.objects.values_list("name", "unit"))
    assert units == {"a": "°C", "b": "K"}
