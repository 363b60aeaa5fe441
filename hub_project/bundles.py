"""The pages' scripts as browsers get them: bundled and minified by esbuild.

The modules stay small and are served as they are in development. Here each script
that a template names becomes one file, and what several of them share becomes common
ones: a page asks for a few files instead of thirty, and all together are less than
half of what the modules are. esbuild comes with the chart library by npm.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

FOLDER = "telemetry/js/"
NAMED = re.compile(r"""\{%\s*static\s+["']telemetry/js/([\w/-]+\.js)["']""")
# What browsers of the last three years know.
TARGET = "es2022"
SECONDS = 60


class CannotBundle(Exception):
    """There is no esbuild, or it refuses a module; says which and why."""


def entries(templates: Path) -> list[str]:
    """The scripts that templates name: the modules with which a page begins."""
    return sorted(
        {
            name
            for path in templates.rglob("*.html")
            for name in NAMED.findall(path.read_text(encoding="utf-8"))
        }
    )


def bundle(
    sources: Path, names: Iterable[str], target: Path, packages: Path
) -> list[str]:
    """Write the bundles of `names`, modules in `sources`, into `target`.

    packages: the folder node_modules. Returns the names of the files that were
    written: those of `names`, and `chunk-*.js` that they import. Raises CannotBundle.
    """
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "outputs.json"
        command = [
            str(_program(packages)),
            *(str(sources / name) for name in names),
            "--bundle",
            "--splitting",
            "--minify",
            "--format=esm",
            "--charset=utf8",
            f"--target={TARGET}",
            f"--outdir={target}",
            f"--outbase={sources}",
            "--chunk-names=chunk-[hash]",
            f"--metafile={listing}",
            "--log-level=warning",
        ]
        _run(command)
        outputs = json.loads(listing.read_text(encoding="utf-8"))["outputs"]
    # Paths relative to where this process stands. Those of other times stay: a hub
    # that still runs serves them.
    return sorted(os.path.relpath(path, target) for path in outputs)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a program of this project, no shell
            command, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBundle(f"esbuild does not run: {error}") from error
    if done.returncode:
        raise CannotBundle(f"esbuild refuses a script: {done.stderr.strip()}")


def _program(packages: Path) -> Path:
    """esbuild itself: npm installs the one package that fits the machine.

    Not node_modules/.bin/esbuild: where npm runs no scripts of packages, that one
    needs node.
    """
    found = next(packages.glob("@esbuild/*/bin/esbuild"), None)
    if found is None:
        raise CannotBundle(
            f"expected esbuild in {packages}, found none: run “make setup”"
        )
    return found
