"""The strict policy proved: every page is clicked through, and no breach is reported.

Reports go to the hub's own endpoint, and each is a line in its log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .conftest import Visitor, sign_in
from .tour import OUTSIDE, PAGES

# Everything that can be pressed without leaving the page.
PRESS = """() => [...document.querySelectorAll(
    'main button[type=button], main summary, main th button, main [role=tab]')]
  .filter((one) => one.checkVisibility() && !one.disabled)
  .slice(0, 30).forEach((one) => one.click())"""
LINKS = """(within) => [...new Set([...document.querySelectorAll(within)]
  .map((link) => link.getAttribute('href'))
  .filter((path) => path && path.startsWith('/admin/') && !path.includes('logout')))]"""
# Rows that are added, calendars, lists to choose from, fields that complete.
WIDGETS = """() => [...document.querySelectorAll(
    '.add-row a, .datetimeshortcuts a, .selector a, summary, .select2-selection')]
  .forEach((one) => {
    one.click();
    one.dispatchEvent(new MouseEvent('mousedown', { bubbles: true }));
  })"""
BREACH = """() => {
  const style = document.createElement('style');
  style.textContent = 'main { color: red }';
  document.head.append(style);
}"""


@pytest.fixture
def visitor(browser, furnished) -> Iterator[Visitor]:
    """Ends with the proof that a breach would have been reported."""
    with ExitStack() as stack:
        visitor = sign_in(browser, furnished, stack)
        visitor.page.set_default_timeout(15_000)
        before = len(reports(visitor))
        yield visitor
        breaches = [one for one in visitor.problems if "Content Security" in one]
        assert breaches == []
        assert reports(visitor)[before:] == []
        visitor.open("/search")
        visitor.page.evaluate(BREACH)
        for _ in range(100):
            if len(reports(visitor)) > before:
                break
            visitor.page.wait_for_timeout(50)
        assert "style-src-elem blocked inline on /search" in reports(visitor)[before]


def reports(visitor: Visitor) -> list[str]:
    lines = visitor.hub.process.output.splitlines()
    return [line for line in lines if "content security policy" in line]


def test_no_page_breaks_the_policy(visitor):
    page = visitor.page
    for path in [*PAGES.values(), "/g/plant?kiosk=1"]:
        visitor.open(path)
        page.wait_for_timeout(100)
        page.evaluate(PRESS)
        page.keyboard.press("Escape")
    visitor.open("/search?q=nothing")
    page.click("h1")
    for keys in ("?", "Escape", "t", "t", "t"):
        page.keyboard.press(keys)
    for zone in ("Europe/Berlin", "UTC"):
        page.click(".menu-button")
        page.fill(".menu-other input[required]", zone)
        page.click(".menu-other button")
        visitor.wait(f"document.querySelector('.menu-zone').innerText === '{zone}'")
    with page.context.browser.new_context() as stranger:
        outside = stranger.new_page()
        for path in OUTSIDE.values():
            outside.goto(visitor.hub.url + path)


def test_the_admin_keeps_to_the_policy(visitor):
    visitor.open("/admin/")
    paths = set(visitor.page.evaluate(LINKS, "#content a, #user-tools a"))
    assert "/admin/telemetry/device/" in paths
    for path in sorted(paths):
        visitor.open(path)
        visitor.page.evaluate("document.querySelector('#action-toggle')?.click()")
        first = visitor.page.evaluate(LINKS, "#result_list tbody tr:first-child th a")
        for each in first:
            visitor.open(each)
            visitor.page.evaluate(WIDGETS)
            for more in visitor.page.evaluate(LINKS, ".object-tools a, .deletelink"):
                visitor.open(more)
    visitor.open("/admin/storage/?preview=1")
