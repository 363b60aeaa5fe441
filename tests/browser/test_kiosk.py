"""A screen on a wall: opened by its link, live, moving on, and told when it ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from .conftest import Hub, Visitor, _note, now_ms

END_MS = 5_000


class Screen:
    """A browser that nobody has signed in at, and all that it asks for."""

    def __init__(self, page: Page, hub: Hub) -> None:
        self.page = page
        self.hub = hub
        self.requests: list[Request] = []
        self.problems: list[str] = []
        page.on("request", lambda request: self.requests.append(request))
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", lambda entry: _note(self.problems, entry))

    def is_clean(self, secret: str) -> bool:
        """No login was asked for, and the secret went out in the link alone."""
        assert not [each.url for each in self.requests if "/login" in each.url]
        told = [each for each in self.requests if secret in each.url]
        # Opened by its link, and the page of one that has ended looks again.
        for each in told:
            assert each.is_navigation_request() or each.method == "HEAD"
        for each in self.requests:
            # What was really sent: of a redirect `headers` is a guess.
            if secret in each.headers.get("referer", ""):
                assert secret not in each.all_headers().get("referer", "")
        return True


@pytest.fixture
def screens(browser: Browser, hub: Hub) -> Iterator[Callable[[], Screen]]:
    contexts = []

    def screen() -> Screen:
        context = browser.new_context(viewport={"width": 1920, "height": 1080})
        contexts.append(context)
        return Screen(context.new_page(), hub)

    yield screen
    for context in contexts:
        context.close()


def make_link(ada: Visitor, **fields: Any) -> str:
    ada.open("/g/plant")
    ada.page.click("text=Kiosk")
    ada.page.fill("[name=name]", "Hall 2")
    for name, value in fields.items():
        if name == "groups":
            ada.page.select_option("[name=groups]", label=value)
        else:
            ada.page.fill(f"[name={name}]", value)
    ada.page.click("text=Make the link")
    return ada.page.inner_text("#kiosk-link")


def test_a_screen_is_live_by_its_link_until_that_is_ended(
    hub: Hub, visit: Callable[..., Visitor], screens: Callable[[], Screen]
) -> None:
    [pump] = hub.add_devices("plant", "Pump")
    hub.send(pump, {"time": now_ms(), "values": {"temp": 21.5}})
    ada = visit()
    link = make_link(ada)
    secret = secret_of(link)
    screen = screens()
    screen.page.goto(link)
    assert screen.page.url == f"{hub.url}/g/plant?kiosk=1"
    body = screen.page.locator("body")
    expect(body).to_have_class("is-kiosk")
    frame = screen.page.locator(".top:visible, .range:visible, a.button:visible")
    expect(frame).to_have_count(0)
    expect(screen.page.locator("#device-table")).to_contain_text("21.5")
    hub.send(pump, {"time": now_ms(), "values": {"temp": 47.25}})
    expect(screen.page.locator("#device-table")).to_contain_text("47.25")
    expect(screen.page.locator("hub-link")).to_be_hidden()
    # Someone passes by and touches what would be a link.
    screen.page.locator("#device-table th[scope=row]").click(force=True)
    screen.page.goto(f"{hub.url}/d/{pump}")
    assert screen.page.url == f"{hub.url}/g/plant?kiosk=1"
    expect(screen.page.locator("#device-table")).to_contain_text("47.25")

    ada.page.click("text=All your links to it")
    ada.page.click("text=End…")
    ada.page.click("text=End “Hall 2” for good")
    said = screen.page.get_by_role("heading", name="This screen's link has ended")
    expect(said).to_be_visible(timeout=END_MS)
    # By the link as well, and for ever: nobody is asked to sign in.
    screen.page.goto(link)
    expect(said).to_be_visible()
    assert screen.is_clean(secret)
    # The page that says so is no error; the browser notes its status all the same.
    assert [each for each in screen.problems if "404" not in each] == []
    assert secret not in hub.process.output


def test_a_screen_moves_on_and_comes_back_when_its_link_is_given_more_time(
    hub: Hub, visit: Callable[..., Visitor], screens: Callable[[], Screen]
) -> None:
    hub.add_devices("plant", "Pump")
    hub.add_devices("Works", "Fan")
    ada = visit()
    link = make_link(ada, groups="Works", rotate="5")
    assert link.endswith("?rotate=5")
    screen = screens()
    screen.page.goto(link)
    assert screen.page.url == f"{hub.url}/g/works?kiosk=1&rotate=5"
    screen.page.wait_for_url(f"{hub.url}/g/plant?kiosk=1&rotate=5", timeout=15_000)
    expect(screen.page.get_by_role("heading", level=1)).to_have_text("plant")

    set_end(hub, "2020-01-01")
    other = screens()
    other.page.clock.install()
    other.page.goto(link)
    said = other.page.get_by_role("heading", name="This screen's link has ended")
    expect(said).to_be_visible()
    set_end(hub, "2090-01-01")
    with other.page.expect_navigation(url=f"{hub.url}/g/*?kiosk=1&rotate=5"):
        other.page.clock.run_for(61_000)
    assert other.is_clean(secret_of(link))


def secret_of(link: str) -> str:
    """What is behind the prefix, which logs may name."""
    return link.partition("/k/hubt_")[2].partition("?")[0][9:]


def set_end(hub: Hub, day: str) -> None:
    """Give all tokens another end, as the admin would but for one that is over."""
    with closing(
        sqlite3.connect(hub.process.data_dir / "hub.sqlite3", timeout=30)
    ) as database:
        database.execute(
            "UPDATE telemetry_accesstoken SET expires_at = ?", [f"{day} 00:00:00"]
        )
        database.commit()
