"""telemetry.history.faults: a fault is noted once and stops nobody."""

from __future__ import annotations

import pytest
from django.db import connection

from telemetry.history import faults
from telemetry.history.models import Fault

pytestmark = pytest.mark.django_db


def test_a_fault_is_noted_once():
    faults.note(7, 300, 10, 20, "expected a checksum, got another")
    noticed_at = Fault.objects.get().noticed_at
    faults.note(7, 300, 10, 20, "once more")
    fault = Fault.objects.get()
    assert (fault.series_id, fault.resolution_seconds) == (7, 300)
    assert (fault.start_us, fault.end_us, fault.noticed_at) == (10, 20, noticed_at)
    assert fault.reason == "expected a checksum, got another"


def test_an_old_fault_is_not_written_again(django_assert_num_queries):
    faults.note(7, 0, 10, 20, "expected")
    with django_assert_num_queries(1):
        faults.note(7, 0, 10, 20, "expected")


@pytest.mark.parametrize("length", [256, 257])
def test_a_reason_has_a_longest_length(length: int):
    faults.note(7, 0, 10, 20, "x" * length)
    assert len(Fault.objects.get().reason) == 256


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_stops_nobody(caplog):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE telemetry_fault RENAME TO away")
    try:
        faults.note(7, 0, 10, 20, "expected")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO telemetry_fault")
    assert "could not be noted" in caplog.text
    assert not Fault.objects.exists()
