"""The live page in a real browser: it moves, never lies, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from .conftest import Hub, now_ms

TEXT = "document.body.innerText"
# What is on the screen that claims to be live now: the word, or the dot's colour.
CLAIMS = """() => [...document.querySelectorAll('.state, .chip, #link-text')]
  .filter((one) => one.offsetParent)
  .map((one) => one.innerText.trim())
  .filter((text) => /^(Live|Connected|\\d+\\s*live)/.test(text))"""


@contextmanager
def sending(hub: Hub, slug: str, metric: str = "temp") -> Iterator[list[int]]:
    """A device that sends every 200 ms while the hub takes it; the times on disk."""
    sent: list[int] = []
    is_over = threading.Event()

    def run() -> None:
        number = 0
        while not is_over.wait(0.2):
            number += 1
            at = now_ms()
            try:
                hub.send(slug, {"time": at, "values": {metric: 20 + number % 7}})
            except OSError:
                continue
            sent.append(at)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield sent
    finally:
        is_over.set()
        thread.join(10)


def drawn(visitor) -> int:
    """How many places of the first chart's line hold a value."""
    return visitor.page.evaluate(
        """() => document.querySelector('hub-chart').grid.columns[1]
          .filter((value) => value !== undefined && value !== null).length"""
    )


def test_a_value_and_its_chart_move(hub, visit, boiler):
    hub.send(boiler, {"values": {"temp": 21.5, "door": True, "mode": "hot water"}})
    visitor = visit()
    visitor.open("/g/plant")
    visitor.wait(f"{TEXT}.includes('21.5') && {TEXT}.includes('hot water')")
    hub.send(boiler, {"values": {"temp": 22.75, "door": False}})
    visitor.wait(f"{TEXT}.includes('22.75') && {TEXT}.includes('0 of 1 on')")
    before = drawn(visitor)
    with sending(hub, boiler):
        visitor.wait(
            f"""document.querySelector('hub-chart').grid.columns[1]
              .filter((value) => value !== undefined).length > {before + 4}"""
        )
        visitor.wait("document.querySelector('hub-chart canvas') !== null")
    assert visitor.page.evaluate(CLAIMS)
    assert visitor.problems == []


def test_a_new_device_and_a_new_metric_appear_without_a_reload(hub, visit, boiler):
    visitor = visit()
    visitor.open("/g/plant")
    visitor.wait(f"{TEXT}.includes('1 device') && {TEXT}.includes('New')")
    hub.send(boiler, {"values": {"power": 1200}})
    visitor.wait("document.querySelectorAll('hub-chart').length === 1")
    hub.add_devices("plant", "pump")
    visitor.wait(f"{TEXT}.includes('2 devices')")
    assert visitor.problems == []


def test_a_dead_hub_is_never_taken_for_live_and_nothing_is_missing_afterwards(
    hub, visit, boiler
):
    visitor = visit()
    visitor.open("/g/plant")
    with sending(hub, boiler) as sent:
        visitor.wait(f"{TEXT}.includes('1\\nlive') || /1\\s*live/.test({TEXT})")
        hub.process.kill()
        killed = time.monotonic()
        while visitor.page.evaluate(CLAIMS):
            assert time.monotonic() - killed < 3
        assert visitor.page.is_visible("hub-link")
        assert "Connection lost" in visitor.page.inner_text("hub-link")
        assert "Was live" in visitor.page.inner_text("#device-table")
        before = len(sent)
        hub.process.start()
        # Some readings come in before the page is back: those are the missed ones.
        visitor.wait(f"/Back\\. \\d+ missed/.test({TEXT})", 40)
        visitor.wait("!document.body.classList.contains('is-stale')")
        while len(sent) < before + 10:
            time.sleep(0.1)
    time.sleep(1)
    missing = visitor.page.evaluate(
        """(times) => {
          const { grid } = document.querySelector('hub-chart');
          return times.filter((time) => {
            const at = 2 * (Math.floor(time / grid.stepMs) - grid.first);
            return typeof grid.columns[1][at] !== 'number';
          });
        }""",
        sent,
    )
    assert missing == []
    assert visitor.problems == []


def test_a_cut_network_is_noticed_though_the_socket_stays_open(hub, visit, boiler):
    hub.send(boiler, {"values": {"temp": 21.5}})
    visitor = visit()
    visitor.open("/g/plant")
    visitor.wait(f"{TEXT}.includes('Connected')")
    # A stopped process keeps its sockets and answers nothing, as a cut cable does.
    os.kill(hub.process.pid, signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        while visitor.page.evaluate(CLAIMS):
            assert time.monotonic() - stopped < 4
        assert visitor.page.is_visible("hub-link")
    finally:
        os.kill(hub.process.pid, signal.SIGCONT)
    visitor.wait("!document.body.classList.contains('is-stale')", 40)


def test_signing_out_elsewhere_keeps_the_page_and_says_so(hub, visit, boiler):
    hub.send(boiler, {"values": {"temp": 21.5}})
    visitor = visit()
    visitor.open("/g/plant")
    visitor.wait(f"{TEXT}.includes('21.5')")
    visitor.page.evaluate(
        """async () => {
          const form = document.querySelector('.sign-out');
          await fetch(form.action, { method: 'POST', body: new FormData(form) });
        }"""
    )
    hub.process.stop()
    hub.process.start()
    visitor.wait(f"{TEXT}.includes('Signed out')", 40)
    assert visitor.page.evaluate(CLAIMS) == []
    assert "21.5" in visitor.page.inner_text("main")
    assert visitor.page.url.endswith("/g/plant")


HOSTILE = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=document.title='owned'>",
    "</bdi></script>\u202e\u2067fdp.exe",
    "مضخة ١",
    "👩‍🔬" * 16,
]


def test_hostile_names_are_shown_as_text(hub, visit):
    """Of devices and groups, on every page that names them; text values as well."""
    slugs = [
        hub.add_devices(f"plant {at}", f"boiler {at}")[0] for at in range(len(HOSTILE))
    ]
    # By the ORM: a name that a command would refuse may come from an older row.
    hub.process.manage(
        *("shell", "--no-imports", "-c"),
        "from telemetry.devices.models import *\n"
        f"for at, name in enumerate({HOSTILE!r}):\n"
        "    Device.objects.filter(slug=f'boiler-{at}').update(name=name)\n"
        "    DeviceGroup.objects.filter(slug=f'plant-{at}').update(name=name)\n",
    )
    for slug, name in zip(slugs, HOSTILE, strict=True):
        hub.send(slug, {"values": {"temp": 21.5, "note": name[:200]}})
    visitor = visit()
    page = visitor.page
    body = "document.body.textContent"
    all_shown = f"{json.dumps(HOSTILE)}.every((name) => {body}.includes(name))"

    def look(path: str, shown: str) -> None:
        visitor.open(path)
        visitor.wait(shown, 30)
        # What a name might do, it would have done by now.
        page.wait_for_timeout(300)
        assert page.title() != "owned"
        assert page.evaluate("document.querySelector('main img')") is None

    look("/", f"{all_shown} && document.querySelectorAll('tr a bdi').length === 5")
    look("/groups", all_shown)
    for at, name in enumerate(HOSTILE):
        here = f"{body}.includes({json.dumps(name)})"
        look(f"/g/plant-{at}", f"{here} && {body}.includes('21.5')")
        look(f"/d/boiler-{at}", f"{here} && {body}.includes('21.5')")
        query = quote(name[:16])
        look(f"/search?q={query}", here)
    look("/?view=tiles", "document.querySelector('#tiles canvas').height > 20")
    page.focus("#tiles [role=grid]")
    said = set()
    for key in ("Home", *["ArrowRight"] * (len(HOSTILE) - 1)):
        page.keyboard.press(key)
        visitor.page.wait_for_timeout(200)
        # Each part isolated: what is written from right to left turns nothing else.
        said.add(page.evaluate("document.querySelector('.tile-line bdi').textContent"))
    assert said == set(HOSTILE)
    assert visitor.problems == []


def test_many_devices_are_one_band_with_the_outliers_named(hub, visit):
    slugs = hub.add_devices("plant", *(f"pump-{at}" for at in range(24)))
    for at, slug in enumerate(slugs):
        hub.send(slug, {"values": {"power": 100 + at}})
    hub.send(slugs[5], {"values": {"power": 900}})
    visitor = visit()
    visitor.open("/g/plant")
    visitor.wait(f"{TEXT}.includes('24 devices: median')")
    visitor.wait(f"/highest\\s*pump-5\\s*900/.test({TEXT})")
    assert visitor.problems == []


def test_a_value_that_stays_away_grows_old_though_its_device_is_live(
    hub, visit, boiler
):
    hub.send(boiler, {"time": now_ms() - 240_000, "values": {"valve": True}})
    visitor = visit()
    visitor.open("/g/plant")
    with sending(hub, boiler):
        visitor.wait(f"/1\\s*live/.test({TEXT})")
        visitor.wait(f"/on\\s*4 min ago/.test({TEXT})")
        old = "document.querySelectorAll('#device-table td.is-old').length"
        visitor.wait(f"{old} === 1")
    assert visitor.problems == []


def test_charts_out_of_sight_are_drawn_too(hub, visit, boiler):
    hub.send(boiler, {"values": {f"metric_{at:02}": at for at in range(14)}})
    visitor = visit()
    visitor.open("/g/plant")
    visitor.wait("document.querySelectorAll('hub-chart .uplot canvas').length === 14")
    assert visitor.page.evaluate("scrollY") == 0
    assert visitor.page.get_attribute("button[value=now-5m]", "aria-pressed") == "true"
    assert visitor.problems == []


def test_the_first_reading_takes_the_place_of_how_to_send_one(hub, visit, boiler):
    visitor = visit()
    visitor.open("/g/plant")
    assert "Bearer KEY" in visitor.page.inner_text("#first-reading")
    hub.send(boiler, {"values": {"total": 1_990_000_123}})
    visitor.wait("document.querySelector('#first-reading').hidden")
    visitor.wait(f"{TEXT}.includes('1,990,000,123')")
    assert visitor.problems == []


def test_the_list_of_groups_renews_itself(hub, visit, boiler):
    visitor = visit()
    visitor.open("/groups")
    # A link that has the focus keeps it, and does not hold the page up.
    visitor.page.focus("#groups a")
    hub.add_devices("Attic", "fan")
    visitor.wait(f"{TEXT}.includes('Attic')")
    focused = visitor.page.evaluate("document.activeElement.getAttribute('href')")
    assert focused == "/g/plant"
    # Nobody knows who is connected once the hub is gone.
    hub.process.kill()
    visitor.wait("document.querySelector('#groups').classList.contains('is-old')", 4)
    assert "these numbers are old" in visitor.page.inner_text("#groups")
    assert visitor.page.is_visible("hub-link")
    hub.process.start()
    visitor.wait("!document.querySelector('#groups').classList.contains('is-old')", 40)
    assert "these numbers are old" not in visitor.page.inner_text("#groups")
    assert visitor.problems == []


@pytest.mark.parametrize(("width", "wide"), [(1280, 1), (1700, 0), (900, 3)])
def test_an_odd_number_of_charts_leaves_no_empty_half_row(
    hub, visit, boiler, width, wide
):
    hub.send(boiler, {"values": {"a": 1, "b": 2, "c": 3}})
    visitor = visit(viewport={"width": width, "height": 900})
    visitor.open("/g/plant")
    visitor.wait("document.querySelectorAll('hub-chart').length === 3")
    widths = visitor.page.evaluate(
        """() => {
          const whole = document.querySelector('#charts').clientWidth;
          const charts = [...document.querySelectorAll('hub-chart')];
          return charts.map((chart) => chart.offsetWidth > 0.9 * whole);
        }"""
    )
    assert sum(widths) == wide
    assert visitor.problems == []


def press(visitor, *keys: str) -> None:
    for key in keys:
        visitor.page.keyboard.press(key)


def pick(visitor, at: int, words: str) -> None:
    """Choose from the menu of a chart."""
    chart = visitor.page.locator("hub-chart").nth(at)
    chart.locator(".figure-menu summary").click()
    chart.locator(".fold").get_by_text(words).click()


@pytest.fixture
def two_devices(hub):
    """Two devices with two metrics of one unit and one of another, 6 s of readings."""
    slugs = hub.add_devices("plant", "boiler", "pump")
    now = now_ms()
    for at, slug in enumerate(slugs):
        hub.send(
            slug,
            *(
                {
                    "time": now - 6_000 + second * 1_000,
                    "values": {"temp": 20 + at + second, "power": 5.5 + second},
                }
                for second in range(6)
            ),
        )
    return slugs


def test_charts_by_metric_or_by_device_as_the_address_says(hub, visit, two_devices):
    visitor = visit()
    visitor.open("/g/plant?from=now-5m&to=now&m=temp&by=device")
    titles = (
        "[...document.querySelectorAll('hub-chart h2')]"
        ".map((one) => one.innerText.trim())"
    )
    visitor.wait(f'JSON.stringify({titles}) === \'["boiler","pump"]\'')
    visitor.wait("document.querySelectorAll('hub-chart canvas').length === 2")
    visitor.wait("/temp\\s*25/.test(document.querySelector('hub-chart').innerText)")
    visitor.page.click("#by-metric")
    visitor.wait(f"JSON.stringify({titles}) === '[\"temp\"]'")
    assert "m=temp" in visitor.page.url and "by=" not in visitor.page.url
    visitor.page.go_back()
    visitor.wait(f'JSON.stringify({titles}) === \'["boiler","pump"]\'')
    visitor.page.click("button[value=now-15m]")
    assert "by=device" in visitor.page.url and "m=temp" in visitor.page.url
    assert visitor.problems == []


def test_the_keyboard_moves_all_charts_cursors_and_says_the_readings(
    hub, visit, two_devices
):
    visitor = visit()
    visitor.open("/g/plant?from=now-5m&to=now")
    visitor.wait("document.querySelectorAll('hub-chart .u-over').length === 2")
    visitor.wait("document.querySelectorAll('hub-chart')[1].hasLoaded")
    visitor.wait("!document.querySelectorAll('hub-chart')[1].grid.isEmpty()")
    # temp comes after power.
    visitor.page.locator("hub-chart .plot").nth(1).focus()
    press(visitor, "End")
    visitor.wait(
        "/: boiler 25, pump 26$/.test(document.getElementById('speak').innerText)"
    )
    press(visitor, "ArrowLeft", "ArrowLeft")
    visitor.wait(
        "/boiler 23, pump 24$/.test(document.getElementById('speak').innerText)"
    )
    # The other chart shows what it had at that time.
    visitor.wait("/8.5/.test(document.querySelector('hub-chart .legend').innerText)")
    press(visitor, "Home")
    visitor.wait(
        "/boiler 20, pump 21$/.test(document.getElementById('speak').innerText)"
    )
    press(visitor, "+")
    visitor.wait("document.body.classList.contains('is-paused')")
    press(visitor, "Escape", "l")
    visitor.wait("!document.body.classList.contains('is-paused')")
    press(visitor, "p")
    visitor.wait("document.body.classList.contains('is-paused')")
    assert visitor.page.get_attribute("#pause", "aria-pressed") == "true"
    visitor.page.click("#live")
    visitor.wait("!document.body.classList.contains('is-paused')")
    assert visitor.problems == []


def test_a_chart_is_taken_away_as_table_csv_picture_and_link(hub, visit, two_devices):
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    visitor.open("/g/plant?from=now-5m&to=now")
    visitor.wait("document.querySelectorAll('hub-chart canvas').length === 2")
    pick(visitor, 1, "View as table")
    table = "document.querySelector('.readings')?.innerText ?? ''"
    visitor.wait(f"/12 rows/.test({table})")
    # The newest first, in the reader's zone.
    rows = visitor.page.locator(".readings tbody tr").all_inner_texts()
    assert [row.split("\t")[1:] for row in rows[:3]] == [
        ["pump", "26"],
        ["boiler", "25"],
        ["pump", "25"],
    ]
    with visitor.page.expect_download() as caught:
        pick(visitor, 1, "CSV")
    lines = caught.value.path().read_text("utf-8-sig").splitlines()
    assert lines[0] == "time,device,name,metric,unit,value"
    assert len(lines) == 13
    assert lines[-1].endswith("Z,pump,pump,temp,,26")
    with visitor.page.expect_download() as caught:
        pick(visitor, 1, "PNG")
    assert caught.value.path().read_bytes().startswith(b"\x89PNG")
    assert caught.value.suggested_filename.startswith("plant-temp-")
    visitor.page.click("#copy summary")
    visitor.page.click("#copy-frozen")
    visitor.wait(f"{TEXT}.includes('Link copied')")
    frozen = visitor.page.evaluate("navigator.clipboard.readText()")
    assert "to=2" in frozen and frozen.startswith(f"{hub.url}/g/plant?from=2")
    visitor.page.locator("h1").click()
    press(visitor, "c")
    visitor.wait(
        "navigator.clipboard.readText()"
        ".then((text) => text.endsWith('from=now-5m&to=now'))"
    )
    assert visitor.problems == []


def test_thresholds_and_annotations_are_drawn_and_said(hub, visit, two_devices):
    visitor = visit()
    visitor.open("/g/plant?from=now-5m&to=now&m=temp")
    top = "document.querySelector('hub-chart')?.plot?.scales.y.max"
    visitor.wait(f"{top} === 26")
    visitor.page.evaluate(
        """() => document.querySelector('hub-chart').setMarks({
          levels: [{ value: 29.5, label: 'warm', kind: 'late' },
                   { value: 31, label: 'hot', kind: 'crit' }],
          moments: [{ from: Date.now() / 1000 - 60, label: 'restart' }],
        })"""
    )
    # The near one is on the axis; the far one does not press the lines flat.
    visitor.wait(f"{top} === 30")
    visitor.wait(
        "/Marked: warm, hot, restart/.test("
        "document.querySelector('hub-chart figcaption').textContent)"
    )
    assert visitor.problems == []
