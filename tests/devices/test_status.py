from __future__ import annotations

import pytest

from telemetry.devices.status import Link, Status, status_of

TABLE = [
    # online, changed, seen, period, status
    (False, None, None, None, Status.NEW),
    # Nobody said how often it speaks.
    (True, 3.0, 1.0, None, Status.CONNECTED),
    (True, 900.0, 64.0, None, Status.CONNECTED),
    (True, 900.0, 66.0, None, Status.LATE),
    (True, 3.0, None, None, Status.CONNECTED),
    (True, 3.0, 9e5, 1.0, Status.LIVE),
    (True, 900.0, 9.0, 1.0, Status.LIVE),
    (True, 900.0, 11.0, 1.0, Status.LATE),
    (True, 900.0, 60.0, 20.0, Status.LIVE),
    (True, 900.0, 66.0, 20.0, Status.LATE),
    # A socket that closed just now is about to come back.
    (False, 4.0, 4.5, None, Status.LIVE),
    (False, 6.0, 6.0, None, Status.LATE),
    (False, 10.0, 11.0, None, Status.LATE),
    (False, 10.0, 30.0, 1.0, Status.LATE),
    (False, 16.0, 17.0, None, Status.OFFLINE),
    # It sleeps between readings, or posts since its socket ended.
    (False, 100.0, 100.0, 60.0, Status.LIVE),
    (False, 200.0, 200.0, 60.0, Status.OFFLINE),
    (False, 16.0, 1.0, 60.0, Status.LIVE),
    # It only ever posts.
    (False, None, 10.0, None, Status.LIVE),
    (False, None, 66.0, None, Status.OFFLINE),
    (False, None, 170.0, 60.0, Status.LIVE),
    (False, None, 190.0, 60.0, Status.OFFLINE),
]


@pytest.mark.parametrize(("is_online", "changed", "seen", "period", "status"), TABLE)
def test_table(is_online, changed, seen, period, status):
    link = Link(is_online, changed, seen)
    assert status_of(link, expected_period_seconds=period) is status


def test_what_people_decided_goes_before_what_is_measured():
    link = Link(True, 1.0, 1.0)
    assert status_of(link, is_paused=True) is Status.PAUSED
    assert status_of(link, is_paused=True, is_enabled=False) is Status.DISABLED
