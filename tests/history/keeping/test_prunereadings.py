"""`manage.py prunereadings`: what it says, what it does, and whom it waits for."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from telemetry.devices.models import Device, DeviceGroup
from telemetry.history import lease, space
from telemetry.history.journal import open_writer
from telemetry.history.models import Block, Lease

from ..rows import NOW_US, write
from ..thinning import (
    DAY_US,
    OLD_US,
    damage,
    hold,
    make_head,
    make_series,
    raw,
    regular,
    save,
    tier,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def clock(transactional_db, monkeypatch):
    """The hub's clock shows the moment of the tests; readings came until then."""
    monkeypatch.setattr("telemetry.protocol.clock.now_us", lambda: NOW_US)
    make_head(10_000)


def prune(*arguments: str) -> tuple[str, str]:
    """What it says on stdout and on stderr."""
    out, err = StringIO(), StringIO()
    call_command("prunereadings", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_dry_run_says_by_group_what_would_go_and_changes_nothing():
    plant = DeviceGroup.objects.create(slug="plant", name="Plant A", raw_days=90)
    save(make_series(plant), *regular(OLD_US, 1_000))
    save(make_series(slug="alone"), *regular(OLD_US, 2_000))
    gone = make_series(slug="gone")
    save(gone, [OLD_US], [1.0])
    Device.objects.get(slug="gone").delete()
    hold()
    out, _ = prune("--dry-run")
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for line in out.splitlines()
        if len(cells := line.split("│")) > 5
    }
    assert rows["Plant A"][:3] == ["90", "1,826", "1,000"]
    assert rows["Plant A"][5:7] == ["0", "0"]
    assert rows["no group"][:3] == ["30", "1,826", "2,000"]
    assert rows["no group"][5:7] == ["2,000", "0"]
    assert rows["deleted devices"][6] == "1"
    assert rows["in all"][5:7] == ["2,000", "1"]
    assert "The database takes" in out
    assert Block.objects.filter(resolution_seconds=0).count() == 3


def test_the_dry_run_says_that_the_budget_is_exceeded(settings):
    settings.TELEMETRY_DISK_BUDGET_BYTES = 1_000
    out, _ = prune("--dry-run")
    assert "over its budget of 1000 bytes" in out
    assert "Nothing can go for it" in out


def test_the_dry_run_says_how_much_is_old_enough_for_the_budget(settings):
    settings.TELEMETRY_DISK_BUDGET_BYTES = 1_000
    series = make_series()
    make_head(series)
    save(series, *regular(NOW_US - 2 * DAY_US, 5_000))
    out, _ = prune("--dry-run")
    assert "what is older takes about" in out
    assert "Nothing can go" not in out


def test_what_is_not_sealed_is_told():
    series = make_series()
    write(open_writer(NOW_US).pk, 1, (series, NOW_US, 1.0), (series, NOW_US + 1, 2.0))
    told = "2 readings are not sealed yet and not counted here."
    out, err = prune("--dry-run")
    assert told in out
    assert prune()[1].strip().endswith(told)


def test_it_thins_out_removes_and_gives_back():
    series = make_series()
    save(series, *regular(OLD_US, 9_000))
    young = save(series, [NOW_US - DAY_US], [1.0])
    gone = make_series(slug="gone")
    save(gone, [OLD_US], [1.0])
    Device.objects.get(slug="gone").delete()
    out, err = prune()
    assert out.startswith("thinned out 9,000 readings, deleted 1 and 0 texts; ")
    assert raw(series) == [(young.start_us, 1.0)]
    assert sum(block.count for block in tier(series)) == 9_000
    assert not Block.objects.filter(series_id=gone).exists()
    assert space.free_pages() == 0
    assert err == ""
    assert lease.claim() is not None


def test_it_may_be_repeated():
    save(make_series(), *regular(OLD_US, 100))
    prune()
    assert prune()[0].startswith("thinned out 0 readings, deleted 0 and 0 texts; ")


def test_it_says_who_has_the_lease_and_ends_with_2():
    save(make_series(), [OLD_US], [1.0])
    held = hold()
    with pytest.raises(CommandError, match="a hub or another command holds") as error:
        prune("--wait", "0")
    assert error.value.returncode == 2
    assert Block.objects.filter(resolution_seconds=0).exists()
    held.touch()


def test_it_waits_until_the_lease_is_free(monkeypatch):
    save(make_series(), [OLD_US], [1.0])
    held = hold()
    monkeypatch.setattr(
        "telemetry.management.commands.prunereadings.time.sleep",
        lambda seconds: held.release(),
    )
    out, err = prune()
    assert "thinned out 1 readings" in out
    assert err.startswith("Waiting")


def test_a_lost_lease_stops_it(monkeypatch):
    for at in range(3):
        save(make_series(name=f"s{at}"), [OLD_US], [1.0])
    claim = lease.claim

    def claim_and_lose(*args, **kwargs):
        held = claim(*args, **kwargs)
        Lease.objects.update(token=99)
        return held

    monkeypatch.setattr(lease, "claim", claim_and_lose)
    with pytest.raises(CommandError, match="another process has taken over"):
        prune()
    assert Block.objects.filter(resolution_seconds=0).count() == 3


def test_damaged_blocks_are_named_and_stay():
    bad = save(make_series(), [OLD_US], [1.0])
    damage(bad)
    _, err = prune()
    assert "1 block could not be read and stays" in err
    assert Block.objects.get() == bad


@pytest.mark.parametrize("seconds", ["-1", "86401", "nan"])
def test_a_wait_that_makes_no_sense_is_refused(seconds):
    with pytest.raises(CommandError, match="--wait: expected") as error:
        prune(f"--wait={seconds}")
    assert error.value.returncode == 2
