"""The ten-line devices of docs/snippets are what the protocol page shows, and work."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from .processes import ROOT, HubProcess

SNIPPETS = ROOT / "docs" / "snippets"
PROTOCOL = ROOT / "docs" / "reference" / "protocol.md"
# Of MicroPython itself, and `aiohttp` of micropython-lib.
MICROPYTHON_MODULES = {"asyncio", "os", "aiohttp"}
READINGS = 3


def shown(language: str) -> list[str]:
    """The blocks of the protocol page in this language."""
    page = PROTOCOL.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", sorted(SNIPPETS.iterdir()), ids=lambda path: path.name)
def test_page_shows_the_snippet_as_it_is(path: Path):
    language = "javascript" if path.suffix == ".mjs" else "python"
    assert path.read_text("utf-8") in shown(language)


def test_micropython_device_needs_only_what_micropython_has():
    tree = ast.parse((SNIPPETS / "device_micropython.py").read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    names = {alias.name for node in imports for alias in node.names}
    assert names == MICROPYTHON_MODULES


def test_python_device_has_its_readings_acknowledged(shared_hub: HubProcess):
    command = [sys.executable, str(SNIPPETS / "device.py")]
    with device(shared_hub, "in-python", command) as lines:
        assert '"type":"welcome"' in next(lines)
        for seq in range(1, READINGS + 1):
            assert next(lines).startswith(f"on disk: {seq} ")


def test_javascript_device_has_its_readings_acknowledged(shared_hub: HubProcess):
    with device(shared_hub, "in-javascript", [*node(), "device.mjs"]) as lines:
        assert '"type":"welcome"' in next(lines)
        for seq in range(1, READINGS + 1):
            assert next(lines).strip() == f'{{"type":"ack","seq":{seq}}}'


def node() -> list[str]:
    """Node with a WebSocket of its own: 22 has it, 20.10 behind a flag."""
    beside = Path(sys.executable).with_name("node")
    program = shutil.which("node") or (str(beside) if beside.is_file() else None)
    if program is None:
        pytest.skip("node is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True)
    major, minor = map(int, version.stdout.strip().lstrip("v").split(".")[:2])
    if (major, minor) < (20, 10):
        pytest.skip(f"node {version.stdout.strip()} has no WebSocket; 20.10 has")
    return [program] if major >= 22 else [program, "--experimental-websocket"]


@contextmanager
def device(
    hub: HubProcess, name: str, command: Sequence[str]
) -> Iterator[Iterator[str]]:
    """Run a snippet as a device of this hub; gives the lines that it prints."""
    key = hub.manage("createdevice", name).split("\t")[1].strip()
    url = f"ws://127.0.0.1:{hub.port}/ws/device"
    process = subprocess.Popen(
        [*command, url],
        cwd=SNIPPETS,
        env={**os.environ, "HUB_KEY": key},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process:
        try:
            yield iter(process.stdout)
        finally:
            process.kill()
