"""The scripts as browsers get them: how much they are, and what is said of a fault."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zopfli.gzip  # type: ignore[import-untyped]
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import CommandError, call_command
from django.test import override_settings

from hub_project import bundles

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "telemetry" / "static" / bundles.FOLDER
PACKAGES = ROOT / "node_modules"
# What a browser fetches for all pages together, the chart library included.
MOST_IN_ALL_BYTES = 60_000


def packed(content: bytes) -> int:
    """As `collectstatic` packs it."""
    return len(zopfli.gzip.compress(content))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    target = tmp_path_factory.mktemp("bundles")
    names = bundles.entries(ROOT / "templates")
    written = bundles.bundle(SOURCES, names, target, PACKAGES)
    return {name: (target / name).read_bytes() for name in written}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("library") / "uPlot.js"
    bundles.bundle_library(target, PACKAGES)
    return target.read_bytes()


@pytest.fixture(scope="module")
def sizes(made, library) -> dict[str, int]:
    """Bytes of each script, packed; the library among them."""
    sizes = {name: packed(content) for name, content in made.items()}
    sizes["uPlot"] = packed(library)
    return sizes


def test_all_scripts_of_all_pages_are_within_their_budget(sizes):
    total = sum(sizes.values())
    assert total <= MOST_IN_ALL_BYTES, f"{total:,} bytes: {sizes}"


def test_every_script_that_a_template_names_is_a_bundle(made):
    assert {"app.js", "theme.js"} <= made.keys()
    for content in made.values():
        for target in re.findall(rb"""from\s*["']\./([^"']+)["']""", content):
            assert target.decode() in made


def test_a_script_before_the_first_paint_needs_no_other(made):
    assert b"import" not in made["theme.js"]
    assert len(made["theme.js"]) < 300


def test_a_fault_in_a_module_is_named(tmp_path: Path):
    (tmp_path / "page.js").write_text('import { none } from "./gone.js";\nnone();\n')
    with pytest.raises(bundles.CannotBundle, match=r"gone\.js"):
        bundles.bundle(tmp_path, ["page.js"], tmp_path / "out", PACKAGES)


def test_without_the_program_it_is_said_what_to_do(tmp_path: Path):
    with pytest.raises(bundles.CannotBundle, match="run “make setup”"):
        bundles.bundle(SOURCES, ["app.js"], tmp_path, tmp_path)


@contextmanager
def collecting(folder: Path) -> Iterator[None]:
    """Static files go there, as the hub stores them."""
    backend = "hub_project.storage.HubStaticFilesStorage"
    storages = {**settings.STORAGES, "staticfiles": {"BACKEND": backend}}
    with override_settings(STATIC_ROOT=folder, STORAGES=storages):
        yield


def collect() -> None:
    # The admin's take ten seconds, and none of them is a bundle.
    call_command(
        "collectstatic", interactive=False, verbosity=0, ignore_patterns=["admin"]
    )


def manifest_in(folder: Path) -> dict[str, str]:
    paths: dict[str, str] = json.loads((folder / "staticfiles.json").read_text())[
        "paths"
    ]
    return paths


@pytest.fixture(scope="module")
def static_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was collected into once."""
    folder = tmp_path_factory.mktemp("collected") / "static"
    with collecting(folder):
        collect()
    return folder


def test_collected_twice_it_is_the_same(static_root: Path):
    manifest = manifest_in(static_root)
    scripts = {name for name in manifest if name.startswith(bundles.FOLDER)}
    assert f"{bundles.FOLDER}app.js" in scripts
    # A module that no template names comes inside of others alone.
    assert f"{bundles.FOLDER}dom.js" not in scripts
    with collecting(static_root):
        collect()
    assert manifest_in(static_root) == manifest
    # Compressed once, when they are collected.
    script = static_root / manifest[f"{bundles.FOLDER}app.js"]
    squeezed = Path(f"{script}.gz").read_bytes()
    assert gzip.decompress(squeezed) == script.read_bytes()
    assert len(squeezed) == packed(script.read_bytes())


def test_of_the_chart_library_only_what_is_used_is_collected(static_root, library):
    collected = static_root / manifest_in(static_root)[bundles.LIBRARY]
    assert collected.read_bytes() == library
    # Its licence wants to be named.
    assert b"MIT" in library[:100]
    whole = Path(str(finders.find(bundles.LIBRARY))).read_bytes()
    assert len(library) < len(whole)
    assert b"stepped" in whole and b"stepped" not in library


def test_nothing_is_called_that_is_left_out_of_the_chart_library():
    for path in SOURCES.glob("*.js"):
        found = re.findall(r"uPlot\.\w+", path.read_text(encoding="utf-8"))
        assert not found, path.name


def test_of_another_chart_library_it_is_said_that_it_is_another(tmp_path: Path):
    dist = tmp_path / "uplot" / "dist"
    dist.mkdir(parents=True)
    (dist / "uPlot.esm.js").write_text("export default 1;\n")
    with pytest.raises(bundles.CannotBundle, match="another version"):
        bundles.bundle_library(tmp_path / "out.js", tmp_path)
    with pytest.raises(bundles.CannotBundle, match="expected the chart library"):
        bundles.bundle_library(tmp_path / "out.js", tmp_path / "nowhere")


def test_without_node_it_is_said_what_to_do(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_arguments, **_options: None)
    with pytest.raises(bundles.CannotBundle, match="node"):
        bundles.bundle(SOURCES, ["theme.js"], tmp_path, PACKAGES)


def test_a_fault_ends_the_command_with_a_sentence(tmp_path: Path, monkeypatch):
    def refuse(*_arguments: object) -> list[str]:
        raise bundles.CannotBundle("esbuild refuses a script: because")

    monkeypatch.setattr(bundles, "bundle", refuse)
    with collecting(tmp_path), pytest.raises(CommandError, match="because"):
        collect()


def test_development_serves_the_modules_themselves():
    assert finders.find(f"{bundles.FOLDER}dom.js") == str(SOURCES / "dom.js")
    assert settings.BASE_DIR == ROOT


def words_of(*patterns: str) -> set[str]:
    return {
        word
        for pattern in patterns
        for path in ROOT.glob(pattern)
        for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
    }


def test_no_name_is_shortened_that_anybody_but_the_scripts_knows():
    """The browser's own are looked up in a browser: tests/browser/test_storage.py."""
    names = set(bundles.own_names())
    assert sorted(names) == bundles.own_names()
    others = words_of(
        "telemetry/**/*.py",
        "templates/**/*.html",
        "tests/browser/*.py",
        "benchmarks/**/*.py",
        "telemetry/static/telemetry/bench/*.js",
        "node_modules/uplot/dist/uPlot.esm.js",
    )
    assert names & others == set()
    for path in SOURCES.glob("*.js"):
        code = path.read_text(encoding="utf-8")
        as_texts = set(re.findall(r"""["'`](\w+)["'`]""", code))
        as_texts |= set(re.findall(r"dataset\.(\w+)", code))
        assert names & as_texts == set(), path.name
