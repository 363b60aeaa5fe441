"""A process says that it lives, whatever its other threads are waiting for."""

from __future__ import annotations

import pytest
from django.db import DatabaseError

from telemetry.history import watermarks
from telemetry.history.journal import open_writer
from telemetry.history.models import Writer
from telemetry.ingest import heartbeat
from telemetry.protocol import clock
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_writer_is_heard_again_and_again_until_it_stops(monkeypatch):
    monkeypatch.setattr(heartbeat, "SECONDS", 0.05)
    writer = open_writer(clock.now_us() - 60_000_000)
    heart = heartbeat.Heartbeat(writer.id)
    heart.start()
    for _ in range(2):
        before = Writer.objects.get(id=writer.id).heartbeat_at
        wait_until(
            lambda before=before: (
                Writer.objects.get(id=writer.id).heartbeat_at > before
            ),
            "a beat came",
        )
    heartbeat.SECONDS = 30.0
    heart.stop()
    last = Writer.objects.get(id=writer.id).heartbeat_at
    heart.stop()
    assert Writer.objects.get(id=writer.id).heartbeat_at == last


def test_a_beat_that_fails_is_not_the_last(monkeypatch):
    monkeypatch.setattr(heartbeat, "SECONDS", 0.05)
    writer = open_writer(clock.now_us() - 60_000_000)
    show_life, tries = watermarks.show_life, []

    def fail_once(*arguments):
        tries.append(arguments)
        if len(tries) == 1:
            raise DatabaseError("away")
        show_life(*arguments)

    monkeypatch.setattr(watermarks, "show_life", fail_once)
    heart = heartbeat.Heartbeat(writer.id)
    heart.start()
    before = writer.heartbeat_at
    wait_until(
        lambda: Writer.objects.get(id=writer.id).heartbeat_at > before, "a beat came"
    )
    heartbeat.SECONDS = 30.0
    heart.stop()
    assert len(tries) >= 2
