"""The page of one device in a real browser: it moves, and its parts fail alone."""

from __future__ import annotations

import time

from .conftest import now_ms
from .test_group import sending

SENTENCE = "document.querySelector('#sentence').innerText"
TILES = "document.querySelector('#tiles').innerText"
TAB = "document.querySelector('#parts').dataset.tab"
# What of this page claims to be live now: the sentence, the icon, the link.
CLAIMS = """() => [
  /^(Live|Connected)/.test(document.querySelector('#sentence').innerText),
  document.querySelector('#state-icon').classList.contains('state-live'),
  /^Connected/.test(document.querySelector('#link-text').innerText),
].filter(Boolean).length"""


def seen(page, selector: str) -> bool:
    return page.is_visible(selector)


def test_its_tiles_charts_and_events_move(hub, visit, boiler):
    visitor = visit()
    visitor.open(f"/d/{boiler}")
    page = visitor.page
    visitor.wait(f"{SENTENCE}.startsWith('New: no reading yet')")
    assert seen(page, "#first-reading")
    values = {"temp": 21.5, "power": 100, "load": 1, "door": True, "mode": "hot"}
    hub.send(boiler, {"values": values})
    visitor.wait(f"{TILES}.includes('21.5') && {TILES}.includes('hot')")
    assert not seen(page, "#first-reading")
    visitor.wait(f"{SENTENCE}.startsWith('Live: last reading')")
    hub.send(boiler, {"values": {"temp": 22.75, "door": False}})
    visitor.wait(f"{TILES}.includes('22.75') && /off\\s+changed/.test({TILES})")
    # Two charts here, all of them and the lists in the history.
    visible = (
        "[...document.querySelectorAll('hub-chart')].filter((one) => one.offsetParent)"
    )
    visitor.wait(f"{visible}.length === 2")
    visitor.wait(
        "document.querySelector('#event-list').innerText.includes('first time')"
    )
    page.keyboard.press("2")
    assert page.evaluate(f"[{visible}.length, {TAB}]") == [3, "history"]
    assert not seen(page, "#tiles")
    page.click("button[value=now-1h]")
    assert "tab=history" in page.url
    assert "from=now-1h" in page.url
    page.click("#tabs a[data-tab=link]")
    assert seen(page, "#strip")
    assert not seen(page, "#charts")
    page.go_back()
    visitor.wait(f"{TAB} === 'history'")
    page.reload()
    visitor.wait(f"{TAB} === 'history' && {visible}.length === 3")
    assert page.get_attribute("button[value=now-1h]", "aria-pressed") == "true"
    assert visitor.problems == []


def test_a_dead_hub_is_never_taken_for_a_live_device(hub, visit, boiler):
    visitor = visit()
    visitor.open(f"/d/{boiler}")
    with sending(hub, boiler):
        visitor.wait(f"{SENTENCE}.startsWith('Live')")
        hub.process.kill()
        killed = time.monotonic()
        while visitor.page.evaluate(CLAIMS):
            assert time.monotonic() - killed < 3
        assert "Was live: nothing newer than" in visitor.page.inner_text("#sentence")
        assert seen(visitor.page, "hub-link")
        hub.process.start()
        visitor.wait("/Back\\. \\d+ missed/.test(document.body.innerText)", 40)
        visitor.wait(f"{SENTENCE}.startsWith('Live')")
    assert visitor.problems == []


def test_an_error_in_one_part_leaves_the_others_working(hub, visit, boiler):
    hub.send(boiler, {"time": now_ms() - 1_000, "values": {"temp": 21.5, "on": True}})
    visitor = visit()
    page = visitor.page
    address = f"**/d/{boiler}/changes.json"
    page.route(address, lambda route: route.fulfill(status=500, body="broken"))
    visitor.open(f"/d/{boiler}")
    problem = "#values .panel-problem"
    visitor.wait(f"!document.querySelector('{problem}').hidden")
    assert "could not be loaded" in page.inner_text(problem)
    hub.send(boiler, {"values": {"temp": 22.75}})
    visitor.wait(f"{TILES}.includes('22.75')")
    assert page.inner_text("#connection [data-quality=lost]") == "none"
    visitor.wait(
        "document.querySelector('#event-list').innerText.includes('first time')"
    )
    page.unroute(address)
    page.click(f"{problem} button")
    visitor.wait(f"document.querySelector('{problem}').hidden")
    visitor.wait(f"{TILES}.includes('the same for')")


def test_a_page_that_never_hears_the_hub_claims_nothing(hub, visit, boiler):
    visitor = visit()
    visitor.page.route_web_socket("**/ws/live", lambda socket: socket.close())
    hub.send(boiler, {"values": {"temp": 21.5}})
    visitor.open(f"/d/{boiler}")
    visitor.wait(f"{SENTENCE}.startsWith('Was live: nothing newer than')")
    assert visitor.page.evaluate(CLAIMS) == 0
    assert "21.5" in visitor.page.inner_text("#tiles")
