"""Log lines that a hostile client can neither forge nor flood.

A record is one line (a traceback follows indented, so it cannot pass for one), and
one line of code speaks at most `BURST` times in ten minutes; what is left out is
counted. Of a key or an access token, as in the address of a screen's link, only the
prefix is written.
"""

from __future__ import annotations

import logging
import re
import threading
import time

from telemetry import counters

LINE_CHARACTERS = 1_000
BURST = 20
WINDOW_SECONDS = 600.0
# Also a part of one, or one with something behind it: whoever mistyped has the rest.
SECRET = re.compile(r"(hubt?_[A-Za-z0-9]{8}_)[A-Za-z0-9_-]+")


class LineFormatter(logging.Formatter):
    """`2026-01-01T00:00:00Z WARNING telemetry.ingest: message`, one line, bounded.

    process: what this process is called where there are several: it comes before the
    logger's name, as `[worker-1]`.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self, process: str = "") -> None:
        place = f"[{process}] %(name)s" if process else "%(name)s"
        super().__init__(
            f"%(asctime)s %(levelname)s {place}: %(message)s", "%Y-%m-%dT%H:%M:%SZ"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = escape(super().formatMessage(record))
        if len(line) > LINE_CHARACTERS:
            line = line[:LINE_CHARACTERS] + "…"
        left_out = getattr(record, "left_out", 0)
        return f"{line} ({left_out} more were left out)" if left_out else line

    def formatException(self, ei: object) -> str:
        return indent(super().formatException(ei))  # type: ignore[arg-type]

    def formatStack(self, stack_info: str) -> str:
        return indent(stack_info)


def escape(text: str) -> str:
    """`text` without secrets, what is not printable written as an escape."""
    text = SECRET.sub(r"\1…", text)
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )


def indent(text: str) -> str:
    return "\n".join(f"    {escape(line)}" for line in text.splitlines())


class RateFilter(logging.Filter):
    """Lets each line of code (at each level) speak `BURST` times a window."""

    def __init__(self, burst: int = BURST, window_seconds: float = WINDOW_SECONDS):
        super().__init__()
        self.burst = burst
        self.window_seconds = window_seconds
        # (file, line, level) → when its window began, spoken, left out. As many
        # entries as the code has log calls.
        self.spoken: dict[tuple[str, int, int], tuple[float, int, int]] = {}
        self.lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.pathname, record.lineno, record.levelno)
        now = time.monotonic()
        with self.lock:
            began, spoken, left_out = self.spoken.get(key, (now, 0, 0))
            if now - began >= self.window_seconds:
                record.left_out = left_out
                began, spoken, left_out = now, 0, 0
            is_heard = spoken < self.burst
            self.spoken[key] = (
                (began, spoken + 1, left_out)
                if is_heard
                else (began, spoken, left_out + 1)
            )
        if not is_heard:
            counters.LOG_RECORDS_LEFT_OUT.inc()
        return is_heard


def without_peers_faults(record: logging.LogRecord) -> bool:
    """No traceback for what a peer did wrong and a library logs as if it were ours."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, UnicodeDecodeError) and "Invalid UTF-8" in str(record.msg):
        # uvicorn closes the socket with 1007, as it must.
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    # servestatic: a peer leaves amid a file, the iterator is collected, and closes
    # the file through the executor that went with it. The file is closed all the same.
    is_left_file = (
        record.name == "asyncio"
        and isinstance(error, RuntimeError)
        and str(error) == "cannot schedule new futures after shutdown"
        and isinstance(error.__context__, GeneratorExit)
    )
    return not is_left_file
