"""The demo's fleet: `manage.py simulate` beside the hub, as a process of its own.

A process of its own, because its devices are real clients on real sockets: they
must not share the hub's event loop.
"""

from __future__ import annotations

import subprocess
import sys

from django.conf import settings

GROUP = "demo"
STOP_SECONDS = 5.0


class Demo:
    """Starts the fleet once the hub listens, and ends it with the hub."""

    page = f"/g/{GROUP}"

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        manage = str(settings.BASE_DIR / "manage.py")
        url = "ws" + settings.HUB_URL.removeprefix("http")
        command = [sys.executable, manage, "simulate", "--demo", "--url", url]
        # Only our own program and settings: nothing in it comes from outside.
        self.process = subprocess.Popen(command)  # noqa: S603

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
