"""The scripts as browsers get them: how much they are, and what is said of a fault."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import CommandError, call_command
from django.test import Client

from hub_project import bundles

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "telemetry" / "static" / bundles.FOLDER
PACKAGES = ROOT / "node_modules"
# What a browser fetches for one page, the chart library included.
MOST_A_PAGE_BYTES = 60_000
# Nobody opens all pages at once; but what grows is to be seen.
MOST_IN_ALL_BYTES = 82_000


def packed(content: bytes) -> int:
    return len(gzip.compress(content, 9, mtime=0))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    target = tmp_path_factory.mktemp("bundles")
    names = bundles.entries(ROOT / "templates")
    written = bundles.bundle(SOURCES, names, target, PACKAGES)
    return {name: (target / name).read_bytes() for name in written}


@pytest.fixture(scope="module")
def sizes(made) -> dict[str, int]:
    """Bytes of each script, packed; the library and the words for it among them."""
    sizes = {name: packed(content) for name, content in made.items()}
    library = finders.find("vendor/uplot/uPlot.iife.min.js")
    sizes["uPlot"] = packed(Path(str(library)).read_bytes())
    sizes["words"] = packed(Client().get("/jsi18n/").content)
    return sizes


def loaded_with(name: str, made: dict[str, bytes]) -> set[str]:
    """A script and all that it imports."""
    found: set[str] = set()
    waiting = {name}
    while waiting:
        found |= waiting
        imported = {
            target.decode()
            for each in waiting
            for target in re.findall(rb"""["']\./([\w-]+\.js)["']""", made[each])
        }
        waiting = imported - found
    return found


def pages() -> dict[str, set[str]]:
    """The scripts that each template names, and the chart library."""
    found = {}
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if names := set(bundles.NAMED.findall(text)):
            found[path.name] = names | ({"uPlot"} if "uPlot.iife" in text else set())
    return found


@pytest.mark.parametrize("page", sorted(pages()))
def test_what_a_page_loads_is_within_its_budget(page, made, sizes):
    scripts = {"theme.js", "words"} | pages()[page]
    for name in scripts & made.keys():
        scripts = scripts | loaded_with(name, made)
    total = sum(sizes[name] for name in scripts)
    assert total <= MOST_A_PAGE_BYTES, {name: sizes[name] for name in scripts}


def test_all_scripts_of_all_pages_do_not_grow_unseen(sizes):
    total = sum(sizes.values())
    assert total <= MOST_IN_ALL_BYTES, f"{total:,} bytes: {sizes}"


def test_every_script_that_a_template_names_is_a_bundle(made):
    assert {"main.js", "theme.js", "group.js"} <= made.keys()
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
        bundles.bundle(SOURCES, ["main.js"], tmp_path, tmp_path)


@pytest.fixture
def static_root(settings, tmp_path: Path) -> Path:
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "hub_project.storage.HubStaticFilesStorage"},
    }
    return Path(settings.STATIC_ROOT)


def collect() -> None:
    # The admin's take ten seconds, and none of them is a bundle.
    call_command(
        "collectstatic", interactive=False, verbosity=0, ignore_patterns=["admin"]
    )


def test_collected_twice_it_is_the_same(static_root: Path):
    collect()
    manifest = json.loads((static_root / "staticfiles.json").read_text())["paths"]
    scripts = {name for name in manifest if name.startswith(bundles.FOLDER)}
    assert f"{bundles.FOLDER}main.js" in scripts
    # A module that no template names comes inside of others alone.
    assert f"{bundles.FOLDER}dom.js" not in scripts
    collect()
    again = json.loads((static_root / "staticfiles.json").read_text())["paths"]
    assert again == manifest
    # Compressed once, when they are collected.
    group = static_root / manifest[f"{bundles.FOLDER}group.js"]
    assert gzip.decompress(Path(f"{group}.gz").read_bytes()) == group.read_bytes()


def test_a_fault_ends_the_command_with_a_sentence(static_root: Path, monkeypatch):
    def refuse(*_arguments: object) -> list[str]:
        raise bundles.CannotBundle("esbuild refuses a script: because")

    monkeypatch.setattr(bundles, "bundle", refuse)
    with pytest.raises(CommandError, match="because"):
        collect()


def test_development_serves_the_modules_themselves():
    assert finders.find(f"{bundles.FOLDER}dom.js") == str(SOURCES / "dom.js")
    assert settings.BASE_DIR == ROOT
