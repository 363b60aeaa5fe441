"""Tables for people and RESULTS.md, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def machine() -> str:
    """This machine in a line: processor, cores, kernel, Python."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model}, {cores} cores (shared with the generator), "
        f"Linux {platform.release()}, Python {platform.python_version()}"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is also readable as it stands."""
    widths = [max(len(row[at]) for row in [header, *rows]) for at in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def percentile(ranked: Sequence[float], part: float) -> float:
    """Of sorted values; 0 if there are none."""
    if not ranked:
        return 0.0
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


def publish(
    title: str,
    body: str,
    figures: dict[str, Any],
    *,
    record: bool,
    json_file: str | None,
) -> None:
    """Print; append to RESULTS.md and write JSON if asked."""
    moment = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    command = "python -m " + " ".join(
        [f"benchmarks.{Path(sys.argv[0]).stem}".replace(".__main__", ""), *sys.argv[1:]]
    )
    text = f"### {title}, {moment}\n\n{machine()}  \n`{command}`\n\n{body}\n"
    print(text)
    if record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"\n{text}")
    if json_file:
        whole = {"title": title, "at": moment, "machine": machine(), **figures}
        Path(json_file).write_text(json.dumps(whole, indent=2) + "\n")
