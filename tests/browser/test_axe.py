"""Every page by axe-core, in light and dark: no violation of WCAG and good practice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import Visitor, sign_in
from .tour import OUTSIDE, PAGES

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async (rules) => {
  const options = { resultTypes: ["violations"] };
  if (rules) options.runOnly = { type: "rule", values: rules };
  const { violations } = await axe.run(document, options);
  return violations.map(({ id, nodes }) => [
    id,
    nodes.map((node) => [node.html.slice(0, 200), node.failureSummary.slice(0, 300)]),
  ]);
}"""
# What another theme may change.
COLOURS = ["color-contrast", "link-in-text-block"]


@pytest.fixture(scope="module")
def visitor(browser, furnished) -> Iterator[Visitor]:
    with ExitStack() as stack:
        yield sign_in(browser, furnished, stack, reduced_motion="reduce")


def check(visitor: Visitor, path: str, rules: list[str] | None = None) -> None:
    """The page in light by these rules, or all, and in dark by those of colours."""
    page = visitor.page
    page.emulate_media(color_scheme="light")
    visitor.open(path)
    page.wait_for_timeout(200)
    # By the debugger's way: the page's own policy lets no script of others in.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate(RUN, rules) == []
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(RUN, COLOURS) == []


@pytest.mark.parametrize("name", PAGES)
def test_no_violation(visitor, name):
    check(visitor, PAGES[name])


def test_no_violation_in_menu_and_sheet(visitor):
    visitor.open("/search")
    visitor.page.click(".menu-button")
    visitor.page.evaluate(AXE.read_text(encoding="utf-8"))
    assert visitor.page.evaluate(RUN) == []
    visitor.page.click("#shortcuts")
    assert visitor.page.evaluate(RUN) == []


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_violation_outside(browser, furnished, name):
    with browser.new_context() as context:
        check(Visitor(context.new_page(), [], furnished), OUTSIDE[name])


def test_no_violation_on_a_phone(browser, furnished):
    with ExitStack() as stack:
        size = {"width": 360, "height": 780}
        visitor = sign_in(browser, furnished, stack, viewport=size, has_touch=True)
        for path in ("/", "/g/plant", "/d/boiler"):
            check(visitor, path)
