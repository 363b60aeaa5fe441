"""Every page in light, dark and on a phone: within the policy, within the width."""

from __future__ import annotations

import pytest

SIZES = {"wide": {"width": 1440, "height": 900}, "phone": {"width": 360, "height": 780}}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_violates_the_policy_or_scrolls_sideways(hub, visit, size, scheme):
    (slug,) = hub.add_devices(
        "plant", "boiler with a name of some length, as people write"
    )
    hub.send(slug, {"values": {"temp": 21.5, "open": True, "mode": "x" * 200}})
    visitor = visit(viewport=SIZES[size], color_scheme=scheme)
    for path in ("/", "/g/plant", f"/d/{slug}"):
        visitor.open(path)
        visitor.page.wait_for_timeout(1500 if path == "/g/plant" else 200)
        wide = visitor.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= SIZES[size]["width"], path
    assert visitor.problems == []


def test_a_page_that_is_not_there_says_so_within_the_policy(hub, visit):
    visitor = visit()
    visitor.open("/g/nope")
    assert "nothing here" in visitor.page.inner_text("main")
    assert [one for one in visitor.problems if "404" not in one] == []


def test_pages_are_readable_without_a_script(hub, browser, visit):
    (slug,) = hub.add_devices("plant", "boiler")
    hub.send(slug, {"values": {"temp": 21.5}})
    visitor = visit(java_script_enabled=False)
    for path, words in (
        ("/", ["plant", "1"]),
        ("/g/plant", ["boiler", "21.5", "need JavaScript"]),
        (f"/d/{slug}", ["boiler", "21.5"]),
    ):
        visitor.open(path)
        text = visitor.page.inner_text("body")
        assert all(word in text for word in words)


def test_the_theme_can_be_switched_and_stays(hub, visit):
    visitor = visit(color_scheme="light")
    visitor.open("/")
    theme = "document.documentElement.dataset.theme"
    for expected in ("light", "dark"):
        visitor.page.click("#theme")
        assert visitor.page.evaluate(theme) == expected
    visitor.page.reload()
    assert visitor.page.evaluate(theme) == "dark"
    background = "getComputedStyle(document.body).backgroundColor"
    assert visitor.page.evaluate(background) == "rgb(15, 20, 26)"


def test_the_admin_keeps_to_the_policy(hub, visit):
    (slug,) = hub.add_devices("plant", "boiler")
    hub.send(slug, {"values": {"temp": 21.5}})
    visitor = visit()
    visitor.open("/admin/")
    paths = visitor.page.evaluate(
        """() => [...document.querySelectorAll('#content-main a')]
          .map((link) => link.getAttribute('href'))"""
    )
    assert "/admin/telemetry/device/" in paths
    for path in sorted(set(paths)):
        visitor.open(path)
        visitor.page.wait_for_load_state("networkidle")
    visitor.open("/admin/telemetry/device/")
    visitor.page.click("th.field-name a, th a")
    visitor.page.wait_for_load_state("networkidle")
    assert visitor.problems == []
