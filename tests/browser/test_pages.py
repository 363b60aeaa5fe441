"""Every page in light, dark and on a phone: within the width, by keys, without scripts.

Whether they keep to the policy is test_csp.py's.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from hub_project import bundles

from .conftest import PASSWORD, sign_in
from .tour import PAGES

SIZES = ((3840, 2160), (1440, 900), (768, 900), (360, 780))


@pytest.fixture
def look(browser, furnished):
    """Sign in to the hub that has something on every page."""
    with ExitStack() as stack:
        yield lambda **options: sign_in(browser, furnished, stack, **options)


def test_one_signs_in_by_the_form(browser, furnished):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{furnished.url}/d/boiler")
        page.fill("#id_username", "ada")
        page.fill("#id_password", PASSWORD)
        page.click(".sign-in .primary")
        page.wait_for_url(f"{furnished.url}/d/boiler")


def test_no_page_scrolls_sideways(look):
    visitor = look()
    for path in PAGES.values():
        visitor.open(path)
        for width, height in SIZES:
            visitor.page.set_viewport_size({"width": width, "height": height})
            visitor.page.wait_for_timeout(50)
            wide = visitor.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (path, width)
    assert [one for one in visitor.problems if "404" not in one] == []


def test_pages_are_readable_without_a_script(look):
    visitor = look(java_script_enabled=False)
    for path, words in (
        ("/", ["boiler", "21.5"]),
        ("/groups", ["plant", "Empty hall"]),
        ("/g/plant", ["boiler", "21.5", "need JavaScript"]),
        ("/d/boiler", ["boiler", "21.5"]),
        ("/search?q=l", ["boiler", "Empty hall"]),
    ):
        visitor.open(path)
        text = visitor.page.inner_text("body")
        assert [word for word in words if word not in text] == [], path


def test_search_and_time_zone_work_without_a_script(look):
    visitor = look(java_script_enabled=False)
    page = visitor.page
    visitor.open("/groups")
    page.fill(".top .search input", "boiler")
    page.press(".top .search input", "Enter")
    page.wait_for_url("**/d/boiler")
    visitor.open("/d/nope")
    assert "nothing here" in page.inner_text("main")
    page.fill("main .search input", "plant")
    page.click("main .search button")
    page.wait_for_url("**/g/plant")
    visitor.open("/groups?x=1")
    page.click(".menu-button")
    page.fill(".menu-other input[required]", "Asia/Tokyo")
    page.click(".menu-other button")
    page.wait_for_url("**/groups?x=1")
    assert page.inner_text(".menu-zone") == "Asia/Tokyo"
    page.click(".menu-button")
    page.click("button[value=UTC]")
    page.wait_for_url("**/groups?x=1")
    assert page.inner_text(".menu-zone") == "UTC"


def test_the_zone_of_the_browser_is_offered(look):
    visitor = look(timezone_id="Africa/Nairobi")
    visitor.open("/")
    visitor.page.click(".menu-button")
    assert "Africa/Nairobi" in visitor.page.inner_text("#browser-zone")


def test_the_theme_can_be_switched_and_stays(look):
    visitor = look(color_scheme="light")
    visitor.open("/groups")
    theme = "document.documentElement.dataset.theme"
    visitor.page.click(".menu-button")
    for expected in ("light", "dark"):
        visitor.page.click("#theme")
        assert visitor.page.evaluate(theme) == expected
    assert "Theme: dark" in visitor.page.inner_text("#theme")
    visitor.page.reload()
    assert visitor.page.evaluate(theme) == "dark"
    background = "getComputedStyle(document.body).backgroundColor"
    assert visitor.page.evaluate(background) == "rgb(15, 20, 26)"
    # Paper stays light.
    visitor.page.emulate_media(media="print")
    assert visitor.page.evaluate(background) == "rgb(255, 255, 255)"
    assert not visitor.page.is_visible(".top")


def test_the_keys_of_the_frame(look):
    visitor = look()
    page = visitor.page
    visitor.open("/search?q=l")
    page.click("h1")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    # In an input they are letters.
    page.keyboard.type("gg?")
    assert page.input_value("main .search input") == "gg?"
    page.click("h1")
    page.keyboard.press("?")
    sheet = page.inner_text("dialog")
    assert "Keyboard shortcuts" in sheet and "Groups" in sheet
    page.keyboard.press("Escape")
    visitor.wait("!document.querySelector('dialog')")
    page.keyboard.type("gg")
    page.wait_for_url("**/groups")
    page.keyboard.type("gf")
    page.wait_for_url(f"{visitor.hub.url}/")


def test_the_keys_can_be_switched_off_and_stay_off(look):
    visitor = look()
    page = visitor.page
    visitor.open("/search")
    page.click("h1")
    page.keyboard.press("?")
    page.uncheck("#shortcuts-on")
    page.click("dialog button")
    page.reload()
    page.click("h1")
    page.keyboard.press("?")
    assert page.query_selector("dialog") is None
    # The way back is a button.
    page.click(".menu-button")
    page.click("#shortcuts")
    page.check("#shortcuts-on")
    page.click("dialog button")
    page.keyboard.press("?")
    assert page.is_visible("dialog")


def test_a_phone_has_the_ways_at_the_bottom(look):
    visitor = look(viewport={"width": 360, "height": 780}, has_touch=True)
    page = visitor.page
    visitor.open("/groups")
    for selector in (".tabs a[aria-current]", ".tabs .on-phone", ".menu-button"):
        box = page.locator(selector).bounding_box()
        assert box["y"] > 700 and box["height"] >= 44
    page.tap(".tabs .on-phone")
    page.wait_for_url("**/search")
    page.tap(".menu-button")
    box = page.locator("#menu").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 360 and box["y"] > 0


def test_no_name_that_is_shortened_in_the_bundles_is_the_browsers(look):
    """Those of the hub and of the chart library: tests/test_bundles.py."""
    visitor = look()
    # On a page of the hub: a browser has more there than on an empty one.
    visitor.open("/")
    known = visitor.page.evaluate(
        """(names) => {
          const [found, seen] = [new Set(), new Set()];
          const walk = (thing, depth) => {
            if (!thing || seen.has(thing) || depth > 3) return;
            seen.add(thing);
            for (const name of Object.getOwnPropertyNames(thing)) {
              found.add(name);
              let value = null;
              try { value = thing[name]; } catch {}
              if (typeof value === 'function' || typeof value === 'object') {
                walk(value, depth + 1);
              }
            }
            walk(Object.getPrototypeOf(thing), depth);
          };
          walk(window, 0);
          return names.filter((name) => found.has(name));
        }""",
        bundles.own_names(),
    )
    assert known == []
