"""RFC 6455, by Autobahn's cases (kosoku), against an echo on serve's own settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, free_port, is_open, wait_until

# Case → why it is the server library's own.
KNOWN = {
    "7.1.5": "uvicorn answers a close that comes inside a fragmented message with 1002 "
    "instead of 1000: the peer has left anyway",
}
# 9: messages of up to 16 MiB, which the hub refuses by design. 12, 13: compression,
# which it does not offer.
EXCLUDED = ("9.*", "12.*", "13.*")
CASES = 247
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}


@pytest.fixture
def echo_port(tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "tests.server.echo", str(port)]
    with (tmp_path / "echo.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            wait_until(lambda: is_open(port), "the echo listens")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def test_every_case_passes_but_the_librarys_own(echo_port, tmp_path):
    # A process of its own: kosoku brings a stand-in for autobahn, and Daphne the
    # real one.
    kosoku = str(Path(sys.executable).with_name("kosoku"))
    excluded = [part for case in EXCLUDED for part in ("-x", case)]
    command = [kosoku, *excluded, "-p", "4", "-o", str(tmp_path / "report")]
    subprocess.run(
        [*command, f"127.0.0.1:{echo_port}"], capture_output=True, timeout=100
    )
    (cases,) = json.loads((tmp_path / "report" / "index.json").read_text()).values()
    failed = {
        case
        for case, result in cases.items()
        if not {result["behavior"], result["behaviorClose"]} <= PASSED
    }
    assert len(cases) == CASES
    assert failed == set(KNOWN)
