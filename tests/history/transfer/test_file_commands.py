"""`manage.py exportreadings` and `importreadings`: their call, words and end."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from telemetry.devices.models import Device, DeviceGroup, Series
from telemetry.history import lease, space
from telemetry.history.journal import open_writer
from telemetry.history.models import Block, Journal, SeriesHead, TextReading, Writer
from telemetry.history.room import Room
from telemetry.management.commands import importreadings
from tests.processes import manage

from ..rows import write
from ..stored import damage, thin_out

T = 1_795_341_600_000_000
HEADER = "device,metric,kind,unit,time,value\n"
GOOD = HEADER + "".join(
    f"pump,temp,number,K,2026-11-22T10:00:0{at}.000000Z,{20.5 + at}\n"
    for at in range(5)
)


def run(command: str, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr with the error's sentence."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(command, *map(str, arguments), stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), err.getvalue() + str(error)
    return 0, out.getvalue(), err.getvalue()


@pytest.fixture
def stored(transactional_db) -> None:
    pump = Device.objects.create(slug="pump", name="Pump")
    fan = Device.objects.create(slug="fan", name="Fan")
    pump.groups.add(DeviceGroup.objects.create(slug="cellar", name="Cellar"))
    temp = Series.objects.create(device=pump, name="temp", unit="K").pk
    other = Series.objects.create(device=fan, name="speed").pk
    writer = open_writer(T)
    rows = [(temp, T + at * 1_000_000, 20.5 + at) for at in range(5)]
    write(writer.pk, 1, *rows, (other, T, 1.0))
    Writer.objects.update(folded_to=1)


class TestExport:
    def test_csv(self, stored, tmp_path):
        file = tmp_path / "out.csv"
        code, _out, err = run("exportreadings", file, "--device", "pump")
        assert (code, file.read_text()) == (0, GOOD)
        assert err == "exported 5 readings of 1 series\n"
        assert list(tmp_path.iterdir()) == [file]

    def test_parquet(self, stored, tmp_path):
        import pyarrow.parquet as pq

        file = tmp_path / "out.parquet"
        assert run("exportreadings", file)[0] == 0
        assert pq.read_table(file).num_rows == 6

    def test_standard_output(self, stored, capsysbinary):
        assert run("exportreadings", "-", "--group", "cellar")[0] == 0
        assert capsysbinary.readouterr().out.decode() == GOOD

    @pytest.mark.parametrize(
        ("options", "count"),
        [
            ([], 6),
            (["--metric", "speed"], 1),
            (["--metric", "speed", "--metric", "temp"], 6),
            (["--device", "fan", "--group", "cellar"], 6),
            (["--from", "2026-11-22T10:00:02Z"], 3),
            (["--to", "2026-11-22T10:00:02Z"], 3),
            (["--from", str(T // 1000), "--to", str(T // 1000 + 1)], 2),
            (["--to", "now-9000d"], 0),
        ],
    )
    def test_what_is_chosen(self, stored, tmp_path, options, count):
        file = tmp_path / "out.csv"
        assert run("exportreadings", file, *options)[0] == 0
        assert len(file.read_text().splitlines()) == 1 + count

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (["out.txt"], ".csv or .parquet"),
            (["out"], ".csv or .parquet"),
            (["out.csv", "--device", "nobody"], "nobody"),
            (["out.csv", "--group", "nobody"], "nobody"),
            (["out.csv", "--metric", "nothing"], "nothing"),
            (["out.csv", "--from", "yesterday"], "yesterday"),
            (["out.csv", "--from", "now", "--to", "now-1h"], "--from before --to"),
            (["nowhere/out.csv"], "nowhere"),
        ],
    )
    def test_wrong_call(self, stored, tmp_path, monkeypatch, arguments, word):
        monkeypatch.chdir(tmp_path)
        code, _out, err = run("exportreadings", *arguments)
        assert code == 2
        assert "xpected" in err
        assert word in err
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_exists_stays(self, stored, tmp_path):
        file = tmp_path / "out.csv"
        file.write_text("mine")
        code, _out, err = run("exportreadings", file)
        assert (code, file.read_text()) == (2, "mine")
        assert "--overwrite" in err
        assert run("exportreadings", file, "--overwrite")[0] == 0
        assert file.read_text() != "mine"

    def test_says_what_is_kept_as_summaries_only(self, stored, tmp_path):
        temp = Series.objects.get(name="temp").pk
        thin_out(temp, [(T - 600_000_000, 1.0), (T - 500_000_000, 2.0)])
        code, _out, err = run("exportreadings", tmp_path / "out.csv")
        assert code == 0
        assert "of 1 series readings up to 2026-11-22T09:51:40.000000Z" in err
        assert "5-minute summaries" in err

    def test_a_damaged_block_ends_with_1_and_the_rest_is_there(self, stored, tmp_path):
        importreadings.seal_all()
        damage(Block.objects.get(length=5))
        file = tmp_path / "out.csv"
        code, _out, err = run("exportreadings", file)
        assert code == 1
        assert "from 2026-11-22T10:00:00.000000Z to 2026-11-22T10:00:04.000000Z" in err
        assert len(file.read_text().splitlines()) == 1 + 1


def test_space_is_given_back_until_there_is_none(transactional_db, monkeypatch):
    # PostgreSQL's database may have grown meanwhile: less than nothing was given.
    given = iter([8_192, 4_096, -8_192])
    monkeypatch.setattr(space, "give_back", lambda pages: next(given))
    assert importreadings.seal_all()
    assert list(given) == []


class TestImport:
    @pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "-"])
    def test_what_was_exported(self, stored, tmp_path, monkeypatch, kind):
        suffix = "parquet" if kind == "parquet" else "csv"
        file = tmp_path / f"out.{suffix}"
        run("exportreadings", file)
        for model in (Journal, Block, TextReading, SeriesHead):
            model.objects.all().delete()
        Series.objects.all()._raw_delete("default")
        Device.objects.all().delete()
        given: object = file
        if kind == "csv.gz":
            given = tmp_path / "out.csv.gz"
            Path(str(given)).write_bytes(gzip.compress(file.read_bytes(), mtime=0))
        elif kind == "-":
            given = "-"
            content = io.TextIOWrapper(io.BytesIO(file.read_bytes()))
            monkeypatch.setattr(sys, "stdin", content)
        code, out, err = run("importreadings", given, "--create-devices")
        assert (code, out) == (0, "imported 6 readings, refused 0\n")
        assert "created the device pump" in err
        assert "created series: 2" in err
        # No hub keeps the history: it is sealed already.
        assert Journal.objects.count() == 0
        assert Block.objects.count() == 2
        again = tmp_path / f"again.{suffix}"
        run("exportreadings", again)
        assert again.read_bytes() == file.read_bytes()

    def test_another_process_keeps_the_history(self, stored, tmp_path):
        file = tmp_path / "in.csv"
        file.write_text(GOOD.replace("T10:", "T11:"))
        with lease.claimed():
            assert run("importreadings", file)[0] == 0
            assert Journal.objects.count() == 2
        assert not Writer.objects.filter(ended_at__isnull=False, folded_to=0).exists()

    def test_refused_lines_end_with_1(self, stored, tmp_path):
        file = tmp_path / "in.csv"
        bad = "pump,temp,number,K,2026-11-22T12:00:00Z,warm\n"
        file.write_text(GOOD + bad * 25 + GOOD[len(HEADER) :])
        code, out, err = run("importreadings", file)
        assert (code, out) == (1, "imported 10 readings, refused 25\n")
        lines = err.splitlines()
        assert lines[0] == "line 7: bad_type: expected a finite number, got “warm”"
        assert lines[20] == "and 5 more"
        assert lines[-1] == "expected to store every line, refused 25"

    @pytest.mark.parametrize(
        ("name", "content", "word"),
        [
            ("in.txt", b"", ".csv, .csv.gz or .parquet"),
            ("in.csv", b"time,value\n", "metric"),
            ("in.csv", b"", "header"),
            ("in.csv", b"metric,time,value\nn,2026-11-22T10:00:00Z,1\n", "device"),
            ("in.csv.gz", b"no gzip", "gzip"),
            ("in.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-12], "gzip"),
            ("in.parquet", b"PAR1", "Parquet"),
            ("gone.csv", None, "No such file"),
        ],
    )
    def test_wrong_file(self, stored, tmp_path, name, content, word):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        code, _out, err = run("importreadings", tmp_path / name)
        assert code == 2
        assert "xpected" in err
        assert word in err

    def test_wrong_slug(self, stored, tmp_path):
        code, _out, err = run("importreadings", "in.csv", "--device", "Pump 7")
        assert (code, "Pump 7" in err) == (2, True)

    def test_a_device_that_is_none_is_not_made_unasked(self, stored, tmp_path):
        file = tmp_path / "in.csv"
        file.write_text(GOOD.replace("pump", "nobody"))
        code, _out, err = run("importreadings", file)
        assert code == 1
        assert "line 2: unknown_device: expected the slug of a device" in err
        assert err.count("--create-devices") == 1
        assert "this hub has no device nobody: make it, or give --create-devices" in err
        assert not Device.objects.filter(slug="nobody").exists()

    def test_a_full_journal_is_sealed_first(self, stored, tmp_path, monkeypatch):
        def small(journal_bytes: int, reserve_bytes: int) -> Room:
            return Room(50, 0)

        monkeypatch.setattr(importreadings, "Room", small)
        file = tmp_path / "in.csv"
        file.write_text(GOOD)
        code, _out, err = run("importreadings", file)
        assert code == 0
        assert "waits for room: the journal holds" in err

    def test_a_full_disk_ends_it(self, stored, tmp_path, monkeypatch):
        def full(journal_bytes: int, reserve_bytes: int) -> Room:
            return Room(10**9, 1_000, free=lambda: 10)

        monkeypatch.setattr(importreadings, "Room", full)
        file = tmp_path / "in.csv"
        file.write_text(GOOD)
        code, out, err = run("importreadings", file)
        assert code == 1
        assert "expected room for more readings, but the disk has" in err


@pytest.mark.parametrize(
    "command", [["exportreadings", "-"], ["importreadings", "-"], ["prunereadings"]]
)
def test_without_tables_one_sentence_says_what_to_do(tmp_path, command):
    done = manage(tmp_path / "var", *command)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) <= 2, done.stderr
    assert "manage.py migrate" in done.stderr


def test_a_package_that_is_missing_is_named(tmp_path):
    # What an older virtual environment lacks.
    (tmp_path / "pcodec.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'pcodec'\", name='pcodec')"
    )
    done = manage(tmp_path / "var", "check", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "the package pcodec" in done.stderr
    assert "make setup" in done.stderr


def test_as_processes_on_a_pipe(tmp_path, set_up_data_dir):
    import shutil

    data_dir = tmp_path / "var"
    shutil.copytree(set_up_data_dir, data_dir)
    file = tmp_path / "in.csv"
    file.write_text(GOOD)
    done = manage(data_dir, "importreadings", str(file), "--create-devices")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "imported 5 readings, refused 0\n"
    done = manage(data_dir, "exportreadings", "-")
    assert (done.returncode, done.stdout) == (0, GOOD)
    done = manage(data_dir, "exportreadings", "-", "--device", "nobody")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
