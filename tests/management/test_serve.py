"""What `serve` says once it is ready; the rest is tests/server."""

from __future__ import annotations

import os
from io import StringIO

import pytest

from telemetry.management.commands.serve import Command


def said() -> str:
    out = StringIO()
    Command(stdout=out, no_color=True)._welcome("first-password", None)
    return out.getvalue()


# Whose child it is says nothing: a terminal may have been started by systemd, too.
@pytest.mark.parametrize("pid", [None, os.getppid()])
def test_somebody_at_a_terminal_is_told_what_to_do_next(monkeypatch, pid):
    monkeypatch.delenv("SYSTEMD_EXEC_PID", raising=False)
    if pid is not None:
        monkeypatch.setenv("SYSTEMD_EXEC_PID", str(pid))
    text = said()
    assert "first-password" in text
    assert "manage.py createdevice" in text
    assert "Ctrl+C" in text


def test_journal_of_systemd_gets_no_commands_that_would_not_work_there(monkeypatch):
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    text = said()
    assert text.startswith("The hub is ready: ")
    assert "first-password" in text
    assert "manage.py" not in text and "Ctrl+C" not in text
