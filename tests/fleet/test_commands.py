"""`simulate` and `replay` as people run them, against a real hub."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import bokeh_sampledata
import pytest
from django.core.management import CommandError, call_command

from telemetry.management.commands.replay import columns
from telemetry.management.commands.simulate import read_keys
from tests.processes import HubProcess, free_port, manage

KEY = "hub_abcdefgh_" + "x" * 43
SAMPLES = Path(bokeh_sampledata.__file__).parent / "_data"


@pytest.fixture(scope="module")
def hub(shared_hub: HubProcess) -> HubProcess:
    """One real hub for the module: its start is most of the time here."""
    return shared_hub


def run(hub: HubProcess, *arguments: str, **variables: str):
    return manage(hub.data_dir, *arguments, HUB_PORT=str(hub.port), **variables)


class TestWithAHub:
    def test_a_short_simulation_is_stored_exactly_once(self, hub: HubProcess) -> None:
        done = run(
            hub,
            *("simulate", "--devices", "3", "--rate", "20", "--batch", "5"),
            *("--seconds", "2", "--seed", "1"),
        )
        assert done.returncode == 0, done.stderr
        assert "every acked reading is stored exactly once" in done.stdout
        assert "hub_" not in done.stdout + done.stderr + hub.output

    def test_a_recording_arrives_whole(self, hub: HubProcess, tmp_path: Path) -> None:
        path = tmp_path / "ride.csv"
        path.write_text("time,power [W],on\n0,10,true\n1,11,false\n", encoding="utf-8")
        done = run(hub, "replay", str(path), "--device", "bike-1", "--backfill")
        assert done.returncode == 0, done.stderr
        assert "power [W] → power [W], number" in done.stdout
        assert "4 readings in 1 batches acked" in done.stdout
        assert "sent and acked 2 rows of ride.csv" in done.stdout

    def test_a_simulation_with_another_database_stops_at_the_first_refusal(
        self, hub: HubProcess, tmp_path: Path
    ) -> None:
        other = tmp_path / "other"
        assert manage(other, "migrate", "-v0").returncode == 0
        for _ in range(3):
            done = manage(other, "simulate", "--url", hub.url, "--devices", "30")
            assert done.returncode == 1
            (line,) = done.stderr.splitlines()
            assert "(4401)" in line and "HUB_DATA_DIR and DATABASE_URL" in line
            assert "exactly once" not in done.stdout
        # The address is not locked out: its good devices and bad keys are heard.
        test = self.test_a_short_simulation_is_stored_exactly_once
        test(hub)

    def test_a_wrong_key_stops_with_the_hub_s_reason(
        self, hub: HubProcess, tmp_path: Path
    ) -> None:
        path = tmp_path / "ride.csv"
        path.write_text("time,power\n0,10\n", encoding="utf-8")
        done = run(hub, "replay", str(path), "--device", "bike-1", HUB_KEY=KEY)
        assert done.returncode != 0
        assert "4401" in done.stderr
        assert KEY not in done.stdout + done.stderr

    @pytest.mark.slow
    def test_chaos_loses_nothing_and_stores_nothing_twice(
        self, hub: HubProcess
    ) -> None:
        done = run(
            hub,
            *("simulate", "--devices", "8", "--rate", "40", "--batch", "4"),
            *("--seconds", "40", "--chaos", "--seed", "7"),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "every acked reading is stored exactly once" in done.stdout
        assert "missing 0, twice 0" in done.stdout

    @pytest.mark.slow
    def test_a_year_of_sea_temperature_is_backfilled(self, hub: HubProcess) -> None:
        done = run(
            hub,
            *("replay", str(SAMPLES / "sea_surface_temperature.csv.gz")),
            *("--device", "buoy", "--backfill"),
        )
        assert done.returncode == 0, done.stderr
        assert "sent and acked 19,226 rows" in done.stdout


def test_a_simulation_without_a_hub_says_so_and_fails(tmp_path: Path) -> None:
    assert manage(tmp_path / "var", "migrate", "-v0").returncode == 0
    url = f"ws://127.0.0.1:{free_port()}"
    done = manage(tmp_path / "var", "simulate", "--url", url, "--seconds", "1")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"expected a hub at {url}/ws/device, got: " in line
    assert "HUB_PORT" in line
    assert "exactly once" not in done.stdout


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["nothing.csv", "--device", "a"], "expected a readable file"),
            (["x.csv", "--device", "A b"], "--device: expected a slug"),
            (["x.csv", "--device", "a", "--speed", "0"], "--speed: expected a number"),
            (
                ["x.csv", "--device", "a", "--speed", "2", "--backfill"],
                "expected it without --speed",
            ),
            (
                ["x.csv", "--device", "a", "--time-zone", "Mars/Base"],
                "--time-zone: expected a name such as",
            ),
        ],
    )
    def test_replay_says_what_it_expected(self, arguments, message) -> None:
        with pytest.raises(CommandError, match=message):
            call_command("replay", *arguments, stdout=io.StringIO())

    def test_a_bad_line_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "bad.csv"
        path.write_text("time,a\n0,1\nx,2\n", encoding="utf-8")
        expected = "bad.csv: line 3, column “time”: expected elapsed seconds, got “x”"
        with pytest.raises(CommandError, match=expected):
            call_command("replay", str(path), "--device", "a", stdout=io.StringIO())

    def test_chaos_needs_this_hub_s_database(self) -> None:
        with pytest.raises(CommandError, match="without --keys"):
            call_command("simulate", "--chaos", "--keys", "keys.txt")

    def test_an_authority_that_cannot_be_read_is_not_an_unreachable_hub(self) -> None:
        with pytest.raises(CommandError, match="--ca: expected a readable PEM file"):
            call_command("simulate", "--ca", "no-such.pem")

    def test_columns_are_chosen_and_named(self) -> None:
        assert columns("a, b c = speed") == {"a": "", "b c": "speed"}
        with pytest.raises(CommandError, match="expected a metric's name"):
            columns("a=1st")


class TestKeys:
    def test_lines_of_createdevice_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "keys"
        path.write_text(f"pump-3\t{KEY}\n\nhall-1\t{KEY}\n", encoding="utf-8")
        assert list(read_keys(path)) == ["pump-3", "hall-1"]

    def test_a_bad_line_is_named_and_not_shown(self, tmp_path: Path) -> None:
        path = tmp_path / "keys"
        path.write_text(f"pump-3\t{KEY}\n{KEY}\n", encoding="utf-8")
        with pytest.raises(CommandError, match="line 2: expected a slug") as caught:
            read_keys(path)
        assert KEY not in str(caught.value)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="--keys: "):
            read_keys(tmp_path / "none")


async def test_a_fleet_that_loses_its_hub_drains_when_it_is_back() -> None:
    """The whole of `simulation.run`, with a hub that drops everybody half-way."""
    import asyncio
    import random

    from telemetry.fleet import signals, simulation
    from telemetry.fleet.device import Device
    from telemetry.fleet.report import Report

    from .fake_hub import FakeHub, running

    report = Report()
    async with running(FakeHub()) as hub:
        rng = random.Random(1)
        device = Device(hub.account, observer=report, rng=rng)
        habits = simulation.Habits(rate_hz=100, batch_rows=5)
        machine = simulation.Machine(device, signals.hall(rng), habits, rng)
        fleet = asyncio.ensure_future(simulation.run([machine], 1.0, 20))
        await hub.until(lambda: len(hub.received) >= 5)
        with contextlib.suppress(IndexError):
            hub.sockets[0].transport.abort()
        await asyncio.wait_for(fleet, 30)
    assert not len(device.outbox)
    assert report.reconnects == 1
    assert hub.acked[device.session] == device.outbox.last_seq
