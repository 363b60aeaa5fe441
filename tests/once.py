"""What takes long to make and is only copied: made once for all workers of a run."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Path:
    """The folder that `make` filled for the first worker; the others wait for it.

    Made elsewhere and then renamed: one that failed on its way is made again.
    """
    shared = factory.getbasetemp()
    # A worker's folder is within that of the run.
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    made, making = shared / name, shared / f"{name}-making"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            make(making)
            making.rename(made)
    return made
