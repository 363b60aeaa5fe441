"""hub_project.last_resort: a process that hangs ends, and says where it hung."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.processes import ROOT

PROGRAM = """
import logging, os, sys, threading
from hub_project.last_resort import LastResort
logging.basicConfig()
before, is_drained = sys.argv[1:]
exec(before)
resort = LastResort(0.2)
resort.begin()
resort.is_drained = is_drained == "True"
threading.Thread(target=threading.Event().wait, name="writer").start()
"""
# The pipe is full, and nobody reads: who logs waits.
NOBODY_READS = """
os.set_blocking(2, False)
try:
    while os.write(2, bytes(4096)): pass
except BlockingIOError:
    os.set_blocking(2, True)
"""


def run(before: str, is_drained: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, before, str(is_drained)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("is_drained, code", [(False, 1), (True, 0)])
def test_a_process_with_a_thread_that_hangs_ends_and_says_so(is_drained, code):
    with run("", is_drained) as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode == code
    assert "did not end within 0.2 s and is ended now; it waits for: " in told
    assert "writer in " in told and "(wait)" in told


def test_it_ends_although_its_last_words_hang_too():
    with run(NOBODY_READS, True) as process:
        assert process.wait(60) == 0


def test_a_process_that_is_done_is_not_kept():
    program = (
        "from hub_project.last_resort import LastResort\nLastResort(3600).begin()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ, timeout=60
    )
    assert done.returncode == 0
