"""The fleet page with a thousand devices, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.processes import HubProcess

from .conftest import Hub, Visitor, now_ms, sign_in

# 998 devices besides two that tests send for: 7 are offline, 5 new, all others live.
MAKE = """
from django.utils import timezone
from telemetry.devices.models import *
from telemetry.history.models import SeriesHead
group = DeviceGroup.objects.get(slug="plant")
Device.objects.update(expected_period_seconds=3600)
now = timezone.now()
us = int(now.timestamp() * 1e6)
devices = Device.objects.bulk_create(
    Device(slug=f"pump-{at:04}", name=f"Pump {at}", tags="north" if at % 2 else "",
           serial=f"SN-{at}", expected_period_seconds=3600 if at >= 7 else 1)
    for at in range(998))
Device.groups.through.objects.bulk_create(
    Device.groups.through(device=each, devicegroup=group) for each in devices)
DevicePresence.objects.bulk_create(
    DevicePresence(device=each, is_online=False, changed_at=now, last_seen_at=now)
    for each in devices[:993])
series = Series.objects.bulk_create(
    Series(device=each, name=name, unit=unit)
    for each in devices[:993] for name, unit in (("temp", "°C"), ("hum", "%")))
SeriesHead.objects.bulk_create(
    SeriesHead(series_id=each.pk, time_us=us - (at // 14 < 1) * 10**9,
               effective_us=us - (at // 14 < 1) * 10**9,
               received_us=us - (at // 14 < 1) * 10**9, value=at % 700 / 10)
    for at, each in enumerate(series))
DevicePresence.objects.filter(device__in=[each.pk for each in devices[:7]]).update(
    changed_at=now - timezone.timedelta(seconds=1000))
"""
NODES = "document.querySelectorAll('*').length"
ROWS = "document.querySelectorAll('#fleet-table tbody tr:not(.spacer)')"
NAMES = f"[...{ROWS}].map((row) => row.querySelector('th').innerText)"
CONNECTED = "document.querySelector('#link-text').innerText.startsWith('Connected')"
WATCH = """
addEventListener("DOMContentLoaded", () => { window.shifts = []; });
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) {
    if (!one.hadRecentInput) (window.shifts ??= []).push(one.sources.map(({ node }) => (
      `${node?.nodeName} ${node?.id} ${node?.className} ${node?.textContent}`
    )));
  }
}).observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.lcp = one.startTime;
}).observe({ type: "largest-contentful-paint", buffered: true });
"""


@pytest.fixture(scope="module")
def fleet(set_up_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all tests here: it takes a while to fill."""
    data_dir = tmp_path_factory.mktemp("fleet") / "var"
    shutil.copytree(set_up_once, data_dir)
    process = HubProcess(data_dir, "serve")
    hub = Hub(process)
    hub.add_devices("plant", "Aardvark", "Zebra")
    process.manage("shell", "--no-imports", "-c", MAKE)
    process.start()
    for slug in ("aardvark", "zebra"):
        hub.send(slug, {"values": {"temp": 500}})
    yield hub
    process.end()


@pytest.fixture
def visit(browser: Browser, fleet: Hub) -> Iterator[Callable[..., Visitor]]:
    with ExitStack() as stack:
        yield lambda **options: sign_in(browser, fleet, stack, **options)


def opened(visit, path: str = "/", **options) -> Visitor:
    visitor = visit(**options)
    visitor.page.add_init_script(WATCH)
    visitor.open(path)
    visitor.wait(CONNECTED, 30)
    return visitor


def test_a_thousand_devices_are_light_and_nothing_jumps(fleet, visit):
    visitor = opened(visit)
    page = visitor.page
    assert page.inner_text("#device-count") == "1,000 devices"
    assert "Offline 7" in " ".join(page.inner_text("#chips").split())
    assert "New 5" in " ".join(page.inner_text("#chips").split())
    assert page.evaluate(f"{NAMES}.slice(0, 8)") == [
        *(f"Pump {at}" for at in range(7)),
        "Aardvark",
    ]
    assert page.evaluate(f"{ROWS}.length") <= 60
    assert page.evaluate(NODES) <= 1_500
    height = page.evaluate("document.documentElement.scrollHeight")
    # All of it can be scrolled through, a window at a time.
    assert height > 36 * 1_000
    page.evaluate("scrollTo(0, 36 * 700)")
    visitor.wait(f"{NAMES}.includes('Pump 700')")
    assert page.evaluate(f"{ROWS}.length") <= 60
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    visitor.wait(f"{NAMES}.at(-1) === 'Pump 997'")
    page.evaluate("scrollTo(0, 0)")
    visitor.wait(f"{NAMES}[0] === 'Pump 0'")
    assert page.evaluate("window.shifts") == []
    assert visitor.problems == []


def test_filters_search_and_order_are_in_the_address(fleet, visit):
    visitor = opened(visit)
    page = visitor.page
    page.click("#chips a[data-value=offline]")
    visitor.wait(f"{NAMES}.length === 7")
    assert page.url.endswith("/?status=offline")
    page.fill("#filter input[name=q]", "NORTH")
    visitor.wait(f"{NAMES}.join() === 'Pump 1,Pump 3,Pump 5'")
    page.click("thead a[data-sort=name]")
    page.click("thead a[data-sort=name]")
    visitor.wait(f"{NAMES}.join() === 'Pump 5,Pump 3,Pump 1'")
    assert "3 of 1,000 match" in page.inner_text("#note")
    address = page.url
    assert address.endswith("/?q=NORTH&status=offline&sort=-name")
    # Who opens it sees the same, without a script as well.
    visitor.open(address.removeprefix(visitor.hub.url))
    visitor.wait(CONNECTED)
    assert page.evaluate(NAMES) == ["Pump 5", "Pump 3", "Pump 1"]
    page.go_back()
    page.fill("#filter input[name=q]", "no such thing")
    visitor.wait("!document.querySelector('#none').hidden")
    page.click("#none a")
    visitor.wait(f"{NAMES}.length === 60")
    assert visitor.problems == []


def test_the_order_waits_under_the_pointer_and_is_applied_on_demand(fleet, visit):
    visitor = opened(visit, "/?sort=-m1&q=a")
    page = visitor.page
    visitor.wait(f"{NAMES}.join() === 'Aardvark,Zebra'")
    page.hover("#fleet-table tbody tr:nth-child(3)")
    fleet.send("aardvark", {"values": {"temp": -500}})
    visitor.wait("document.querySelector('#moves').innerText.includes('1 row')")
    assert page.evaluate(NAMES) == ["Aardvark", "Zebra"]
    assert "−500" in page.inner_text("#fleet-table tbody tr:nth-child(2)")
    page.click("#apply")
    visitor.wait(f"{NAMES}.join() === 'Zebra,Aardvark'")
    assert page.is_hidden("#moves")
    assert page.evaluate("window.shifts") == []


def test_the_keyboard_goes_from_row_to_row_and_opens_one(fleet, visit):
    visitor = opened(visit)
    page = visitor.page
    focused = "document.activeElement.innerText"
    for keys, name in (("j", 0), ("jj", 2), ("k", 1), ("j" * 40, 41)):
        for key in keys:
            page.keyboard.press(key)
        # Aardvark comes after the seven that are offline.
        assert page.evaluate(focused) == f"Pump {name - (name > 7)}"
    box = page.evaluate("document.activeElement.getBoundingClientRect().bottom")
    assert 0 < box <= 900
    page.keyboard.press("Enter")
    page.wait_for_url("**/d/pump-0040")


def test_tiles_are_reached_by_arrows_and_say_what_they_are(fleet, visit):
    visitor = opened(visit, "/?view=tiles")
    page = visitor.page
    visitor.wait("document.querySelector('#tiles canvas').height > 200")
    assert page.evaluate(NODES) < 500
    page.focus("#tiles [role=grid]")
    page.keyboard.press("ArrowRight")
    visitor.wait("document.querySelector('#tile').innerText.startsWith('Pump 1 ·')")
    assert "Offline" in page.inner_text("#tile")
    page.keyboard.press("Enter")
    page.wait_for_url("**/d/pump-0001")


def test_pausing_stands_still_and_claims_nothing(fleet, visit):
    visitor = opened(visit, "/?q=zebra")
    page = visitor.page
    visitor.wait(f"{ROWS}[0].innerText.includes('Live')")
    page.keyboard.press("p")
    visitor.wait(f"{ROWS}[0].innerText.includes('Was live')")
    fleet.send("zebra", {"time": now_ms(), "values": {"temp": 501}})
    page.wait_for_timeout(1_500)
    assert "500" in page.inner_text("#fleet-table tbody")
    assert "Paused at" in page.inner_text("footer")
    page.click("#pause")
    visitor.wait(f"{ROWS}[0].innerText.includes('501')")
    visitor.wait(f"!{ROWS}[0].innerText.includes('Was')")


def test_who_comes_with_another_metric_is_followed_and_goes_when_deleted(fleet, visit):
    visitor = opened(visit, "/?q=newcomer")
    fleet.add_devices("plant", "Newcomer")
    fleet.send("newcomer", {"values": {"power": 1}})
    last = f"{ROWS}[0]?.lastElementChild.innerText"
    # What it sent before, as /fleet.json says it; then what comes live.
    visitor.wait(f"/^([3-9]\\.|\\d\\d )/.test({last})", 45)
    fleet.send("newcomer", {"values": {"power": 2}})
    visitor.wait(f"/^[01]\\./.test({last})")
    fleet.process.manage(
        *("shell", "--no-imports", "-c"),
        "from telemetry.devices.models import *\n"
        "Device.objects.get(slug='newcomer').delete()",
    )
    visitor.wait(f"{ROWS}.length === 0")
    assert visitor.problems == []


def test_on_paper_there_are_all_rows_or_how_many_more_there_are(fleet, visit):
    visitor = opened(visit, "/?q=north&sort=name")
    page = visitor.page
    for query, rows, more in (
        ("north", 499, ""),
        ("", 500, "500 more are not printed"),
    ):
        page.fill("#filter input[name=q]", query)
        visitor.wait(f"{ROWS}.length === 60")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        assert page.evaluate(f"{ROWS}.length") == rows
        assert page.is_visible("#unprinted") == bool(more)
        assert more in page.inner_text("main")
        spacers = "[...document.querySelectorAll('.spacer')]"
        assert page.evaluate(f"{spacers}.filter((one) => one.offsetHeight)") == []
        page.emulate_media(media="screen")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        visitor.wait(f"{ROWS}.length === 60")
        assert page.is_hidden("#unprinted")
    assert visitor.problems == []


def test_a_dead_hub_is_not_taken_for_live(fleet, visit):
    visitor = opened(visit)
    fleet.process.kill()
    visitor.wait("document.body.classList.contains('is-stale')", 4)
    page = visitor.page
    assert page.is_visible("hub-link")
    claims = """[...document.querySelectorAll('#fleet-table td, .chip, #link-text')]
      .map((one) => one.innerText.trim())
      .filter((text) => /^(Live|Connected)/.test(text))"""
    assert page.evaluate(claims) == []
    assert "as of" in page.inner_text("#device-count")
    fleet.process.start()
    visitor.wait("!document.body.classList.contains('is-stale')", 40)


def test_a_phone_has_a_card_for_each_device(fleet, visit):
    visitor = opened(visit, viewport={"width": 360, "height": 780})
    page = visitor.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    heights = f"[...new Set([...{ROWS}].map((row) => row.offsetHeight))]"
    assert page.evaluate(heights) == [84]
    page.evaluate("scrollTo(0, 84 * 500)")
    visitor.wait(f"{NAMES}.includes('Pump 500')")
    page.evaluate("scrollTo(0, 0)")
    visitor.wait(f"{NAMES}[0] === 'Pump 0'")
    assert page.evaluate("window.shifts") == []


def test_the_first_hundred_are_readable_without_a_script(fleet, visit):
    visitor = visit(java_script_enabled=False)
    visitor.open("/?sort=name")
    text = visitor.page.inner_text("main")
    for words in ("1,000 devices", "Pump 42", "plant", "first 100", "Offline"):
        assert words in text
    visitor.page.click("#chips a[data-value=offline]")
    assert visitor.page.locator("#fleet-table tbody tr").count() == 7
    visitor.page.fill("#filter input[name=q]", "pump-0003")
    visitor.page.click("#filter button")
    assert visitor.page.locator("#fleet-table tbody tr").count() == 1
