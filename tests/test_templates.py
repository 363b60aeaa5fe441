"""Every template compiles, and names only static files that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import get_template

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(
    str(path.relative_to(ROOT / "templates"))
    for path in (ROOT / "templates").rglob("*.*")
    if path.suffix in (".html", ".txt", ".xml", ".json", ".svg")
)
STATIC = re.compile(r"""{%\s*static\s+["']([^"']+)["']""")
# What the strict Content-Security-Policy blocks without a word on the page.
INLINE = re.compile(r"""\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)""", re.I)


def source(name: str) -> str:
    return (ROOT / "templates" / name).read_text(encoding="utf-8")


def test_there_are_templates():
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_template_compiles(name):
    get_template(name)


@pytest.mark.parametrize("name", NAMES)
def test_static_files_exist(name):
    missing = [
        each for each in STATIC.findall(source(name)) if finders.find(each) is None
    ]
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_inline(name):
    assert INLINE.findall(source(name)) == []
