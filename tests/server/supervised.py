"""A supervisor in a process of its own, with children that are small programs.

Arguments: how long a child may take to end, and to get ready; a directory, in which
`events` tells what the children did and `address` where it listens; and the name of
each child's program in it, that of the jobs first.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from hub_project.child import Program
from hub_project.server import listen
from hub_project.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent.parent


def program(directory: Path, name: str, script: str) -> Program:
    arguments = ("{line}", name, str(directory))
    return Program(name, directory / script, arguments, {"PYTHONPATH": str(ROOT)})


def main() -> int:
    stop_seconds, ready_seconds = float(sys.argv[1]), float(sys.argv[2])
    directory = Path(sys.argv[3])
    jobs, *workers = sys.argv[4:]
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    listener = listen("127.0.0.1", 0)
    (directory / "address").write_text(str(listener.getsockname()[1]))

    def on_started() -> None:
        with (directory / "events").open("a") as events:
            events.write("all ready\n")

    supervisor = Supervisor(
        listener,
        [
            program(directory, f"worker-{number}", script)
            for number, script in enumerate(workers, 1)
        ],
        program(directory, "jobs", jobs),
        backlog=128,
        worker_stop_seconds=stop_seconds,
        jobs_stop_seconds=stop_seconds,
        ready_seconds=ready_seconds,
        on_started=on_started,
    )
    return asyncio.run(supervisor.run())


if __name__ == "__main__":
    sys.exit(main())
