"""telemetry.jobs: what is small beside the history, and all of it as one process."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from telemetry import jobs
from telemetry.history import rounds
from telemetry.history.journal import open_writer
from telemetry.history.models import Journal, Writer
from telemetry.jobs import Errands, Jobs
from telemetry.protocol import clock
from tests.history.rows import write

pytestmark = pytest.mark.django_db(transaction=True)


def make_sessions() -> None:
    """One that has expired a second ago, and one that ends in a minute."""
    for name, seconds in (("old", -1), ("young", 60)):
        store = SessionStore()
        store["name"] = name
        store.create()
        until = timezone.now() + timedelta(seconds=seconds)
        Session.objects.filter(pk=store.session_key).update(expire_date=until)


def names_of_sessions() -> list[str]:
    return [str(each.get_decoded()["name"]) for each in Session.objects.all()]


class TestErrands:
    def test_expired_sessions_are_cleared_away(self) -> None:
        make_sessions()
        jobs.clear_sessions()
        assert names_of_sessions() == ["young"]

    def test_it_is_done_later_and_then_again_and_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_sessions()
        Errands().look()
        assert sorted(names_of_sessions()) == ["old", "young"]
        monkeypatch.setattr(jobs, "FIRST_SESSIONS_SECONDS", 0.0)
        monkeypatch.setattr(jobs, "SESSIONS_SECONDS", 0.0)
        errands = Errands()
        for _ in range(2):
            errands.look()
            assert names_of_sessions() == ["young"]
            Session.objects.all().delete()
            make_sessions()


def test_all_jobs_run_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(jobs, "FIRST_SESSIONS_SECONDS", 0.0)
    make_sessions()
    writer = open_writer(clock.now_us()).id
    an_hour_ago = clock.now_us() - 3_601_000_000
    write(writer, 1, (1, an_hour_ago, 1.0), received_us=an_hour_ago)
    Writer.objects.filter(id=writer).update(folded_to=1)
    running = Jobs()
    running.start()
    until = time.monotonic() + 30
    while Journal.objects.exists() or len(names_of_sessions()) > 1:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert running.stop(30)
