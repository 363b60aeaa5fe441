"""A hub whose system calls are written down, and those of its PostgreSQL beside it.

As a program it starts a server, waits until it listens, and becomes the hub: so one
tracer sees both, and writes what they did in the one order in which they did it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT, HubProcess, environment, is_open, missing, wait_until

from .calls import CALLS, SHOWN_BYTES


class TracedHub(HubProcess):
    """Give it a `trace` before it starts.

    server: a database server to start before it: its command, port and owner.
    """

    trace: Path
    server: tuple[list[str], int, Mapping[str, Any]] | None = None

    def start(self) -> HubProcess:
        strace = shutil.which("strace")
        if strace is None:
            missing("strace")
        # -D: the hub is our child, the tracer is not. Other calls are not slowed.
        tracer = [str(strace), "-D", "-f", "--seccomp-bpf", "-y", "-xx"]
        tracer += ["-s", str(SHOWN_BYTES), "-o", str(self.trace)]
        tracer += ["-e", f"trace={','.join(CALLS)}", sys.executable]
        hub = ["manage.py", *self.command]
        if self.server is not None:
            first = json.dumps(self.server)
            hub = ["-m", "tests.faults.traced", first, sys.executable, *hub]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*tracer, *hub],
                cwd=ROOT,
                env=environment(self.data_dir, **self.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_up, "the traced hub is up")
        if self.process.poll() is not None:
            pytest.fail(f"the hub ended with {self.process.returncode}: {self.output}")
        return self

    def lines(self, last_pid: int | None = None) -> Iterator[str]:
        """All that was done, once `last_pid` (the hub's own) has ended."""
        ended = re.compile(rb"^%d +\+\+\+ exited with" % (last_pid or self.pid), re.M)

        def is_written() -> bool:
            with self.trace.open("rb") as file:
                file.seek(max(0, self.trace.stat().st_size - 1_000))
                return ended.search(file.read()) is not None

        wait_until(is_written, "the tracer has written all")
        with self.trace.open(errors="replace") as file:
            yield from file


def main() -> None:
    command, port, owner = json.loads(sys.argv[1])
    subprocess.Popen(command, **owner)
    while not is_open(port):
        time.sleep(0.02)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
