"""A disk that gets full while the sealer works: all waits, and goes on with room."""

from __future__ import annotations

import pytest

from tests.processes import wait_until

from .forks import Forks
from .prepared import LEASE_SECONDS, Prepared

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("more_pages", [0, 2, 4])
def test_sealing_stops_and_loses_nothing_and_goes_on_when_there_is_room(
    forks: Forks, more_pages: int
):
    prepared = Prepared(forks, seed=more_pages, values=None)
    prepared.feed(rows=40, readings=200)
    prepared.seal()
    forks.run("give_back")
    prepared.feed(rows=40, readings=200)
    forks.faults.on("most_pages", forks.run("pages") + more_pages)
    for _ in range(3):
        ended = forks.run("seal_all", lease_seconds=LEASE_SECONDS, most_readings=10**6)
        assert ended["end"] == "database"
        assert "full" in ended["error"]
        assert prepared.assert_as_model()["journal"]
    forks.faults.off("most_pages")
    prepared.seal()
    prepared.assert_sealed()


def test_the_upkeep_says_so_and_goes_on_by_itself(forks: Forks):
    prepared = Prepared(forks, seed=1, values=None)
    prepared.feed(rows=40, readings=200)
    prepared.seal()
    forks.run("give_back")
    prepared.feed(rows=40, readings=200)
    journal = prepared.assert_as_model()["journal"]
    forks.faults.on("most_pages", forks.run("pages"))
    keeper = forks.start("keep_up", seal_readings=10**6)
    told = "upkeep waits for the database: database or disk is full"
    wait_until(lambda: forks.output.count(told) >= 3, "the upkeep says that it waits")
    assert prepared.assert_as_model()["journal"] == journal
    forks.faults.off("most_pages")
    wait_until(
        lambda: not prepared.assert_as_model()["journal"], "all is sealed in the end"
    )
    forks.faults.on("end", 1)
    assert keeper.wait() == 0
    assert "Traceback" not in forks.output
    prepared.assert_sealed()
