"""telemetry.management.waiting: how a command waits, and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from telemetry.management.waiting import End
from tests.processes import ROOT, environment


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_before_they_are_given_back_is_the_end(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    end = End(None)
    os.kill(os.getpid(), number)
    assert end.within(30)
    assert end.leave()
    assert signal.getsignal(number) == before


def test_signals_that_did_not_come_are_given_back() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    end = End(None)
    assert not end.leave()
    after = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    assert after == before


def test_process_ends_whatever_its_threads_wait_for(tmp_path: Path) -> None:
    program = """
import concurrent.futures, threading, django
django.setup()
from telemetry.management import waiting
executor = concurrent.futures.ThreadPoolExecutor(1)
executor.submit(threading.Event().wait)
print("has stopped")
waiting.no_longer(0.1)
"""
    variables = environment(tmp_path, DJANGO_SETTINGS_MODULE="hub_project.settings")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "has stopped\n"), done.stderr
