"""telemetry.threads: calls of the one database thread, also while nobody answers."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from django.db import OperationalError, connection

from telemetry import patience, threads
from telemetry.threads import on_database_thread

from .postgresql import as_default, new_database

pytestmark = pytest.mark.django_db(transaction=True)


def test_who_waits_behind_a_call_in_vain_does_not_wait_once_more(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_seconds", None)
    monkeypatch.setattr(threads, "VAIN_SECONDS", 0.1)
    asked = []
    stopped = []

    def ask(number: int) -> int:
        asked.append(number)
        if not stopped:
            stopped.append(connection.connection.info.backend_pid)
            os.kill(stopped[0], signal.SIGSTOP)
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::int", [number])
            return int(cursor.fetchone()[0])

    async def scenario() -> None:
        patience.begin(0.5)
        try:
            calls = [on_database_thread(ask, number) for number in range(5)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(each) for each in answers] == [OperationalError] * 5
            assert asked == [0]
            # Who asks later is not told what others were.
            assert await on_database_thread(ask, 5) == 5
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    with as_default(new_database(postgres_url, tmp_path / "var"), monkeypatch):
        asyncio.run(scenario())


async def test_who_waits_behind_a_call_that_fails_at_once_has_its_answer() -> None:
    def fail() -> None:
        raise OperationalError

    answers = await asyncio.gather(
        on_database_thread(fail),
        on_database_thread(lambda: 1),
        return_exceptions=True,
    )
    assert isinstance(answers[0], OperationalError)
    assert answers[1] == 1
