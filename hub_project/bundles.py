"""The pages' scripts as browsers get them: bundled by esbuild, made small by terser.

The modules stay small and are served as they are in development. Here each script
that a template names becomes one file, and what they share becomes a common one: a
page asks for a few files instead of fifty, and all together are less than half of
what the modules are. Of the chart library only what its charts need is left. All three
come by npm; terser needs the node that npm needs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

FOLDER = "telemetry/js/"
NAMED = re.compile(r"""\{%\s*static\s+["']telemetry/js/([\w/-]+\.js)["']""")
LIBRARY = "vendor/uplot/uPlot.iife.min.js"
# What browsers of the last three years know.
TARGET = "es2022"
# More passes find next to nothing. Nobody looks at a function's text or at how many
# arguments it has, and no property that is read does anything.
TERSER = (
    "passes=3,ecma=2020,unsafe_arrows,unsafe_methods,keep_fargs=false,pure_getters,"
    "hoist_props,sequences=false"
)
SECONDS = 60
# Where the chart library begins to hang on itself what its pages may call: bars, steps,
# splines, dates and joins, none of which is used here.
EXTRAS = "\nuPlot.assign = assign;\n"
# Properties that only the scripts know, and that may be shortened: none is of the
# browser, of the chart library or of what the hub sends (see tests/test_bundles.py).
NAMES = Path(__file__).with_name("script_names.txt")
NOTICE = "/*! uPlot (c) Leon Sorokin, MIT */"


class CannotBundle(Exception):
    """A program is missing, or refuses a module; says which and why."""


def entries(templates: Path) -> list[str]:
    """The scripts that templates name: the modules with which a page begins."""
    return sorted(
        {
            name
            for path in templates.rglob("*.html")
            for name in NAMED.findall(path.read_text(encoding="utf-8"))
        }
    )


def own_names() -> list[str]:
    return NAMES.read_text(encoding="utf-8").split()


def bundle(
    sources: Path, names: Iterable[str], target: Path, packages: Path
) -> list[str]:
    """Write the bundles of `names`, modules in `sources`, into `target`.

    packages: the folder node_modules. Returns the names of the files that were
    written: those of `names`, and `chunk-*.js` that they import. Raises CannotBundle.
    """
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "outputs.json"
        _esbuild(
            packages,
            *(str(sources / name) for name in names),
            "--splitting",
            "--format=esm",
            f"--outdir={target}",
            f"--outbase={sources}",
            "--chunk-names=chunk-[hash]",
            f"--metafile={listing}",
            f"--mangle-props=^({'|'.join(own_names())})$",
        )
        outputs = json.loads(listing.read_text(encoding="utf-8"))["outputs"]
    # Paths relative to where this process stands. Those of other times stay: a hub
    # that still runs serves them.
    written = sorted(os.path.relpath(path, target) for path in outputs)
    _terser(packages, *(target / name for name in written))
    return written


def bundle_library(target: Path, packages: Path) -> None:
    """Write the chart library to the file `target`. Raises CannotBundle."""
    whole = packages / "uplot" / "dist" / "uPlot.esm.js"
    try:
        code, found, _extras = whole.read_text(encoding="utf-8").partition(EXTRAS)
    except OSError as error:
        raise CannotBundle(f"expected the chart library in {whole}: {error}") from error
    if not found:
        raise CannotBundle(f"expected “{EXTRAS.strip()}” in {whole}: another version?")
    with tempfile.TemporaryDirectory() as folder:
        used = Path(folder) / "uPlot.js"
        used.write_text(f"{code}\nwindow.uPlot = uPlot;\n", encoding="utf-8")
        _esbuild(packages, str(used), "--format=iife", f"--outfile={target}")
    _terser(packages, target)
    target.write_text(NOTICE + target.read_text(encoding="utf-8"), encoding="utf-8")


def _esbuild(packages: Path, *arguments: str) -> None:
    # Not node_modules/.bin/esbuild: npm installs the one that fits the machine, and
    # where it runs no scripts of packages, that is not it.
    program = next(packages.glob("@esbuild/*/bin/esbuild"), None)
    if program is None:
        raise _missing("esbuild", packages)
    usual = ("--bundle", "--minify", "--charset=utf8", f"--target={TARGET}")
    _run("esbuild", [str(program), *arguments, *usual, "--log-level=warning"])


def _terser(packages: Path, *paths: Path) -> None:
    """Each file once more: esbuild is quick, terser thorough."""
    # The venv's is there only where the machine has none.
    node = shutil.which("node") or shutil.which("node", path=f"{sys.prefix}/bin")
    program = packages / "terser" / "bin" / "terser"
    if node is None or not program.is_file():
        raise _missing("terser and node", packages)
    for path in paths:
        ways = ["--module", "--mangle", "--compress", TERSER]
        command = [node, str(program), str(path), *ways]
        _run("terser", [*command, "--output", str(path)])


def _missing(what: str, packages: Path) -> CannotBundle:
    return CannotBundle(f"expected {what} in {packages}, found none: run “make setup”")


def _run(name: str, command: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a program of this project, no shell
            command, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBundle(f"{name} does not run: {error}") from error
    if done.returncode:
        raise CannotBundle(f"{name} refuses a script: {done.stderr.strip()}")
