"""History and live as one line: what the page shows is what the hub has stored."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import pairwise

import pytest

from .conftest import Hub, now_ms

TEXT = "document.body.innerText"
NOTE = "(document.querySelector('hub-chart .figure-note')?.innerText ?? '')"
FIGURE = "document.querySelector('hub-chart')"
MINUTE_MS = 60_000
DAY_MS = 86_400_000
Sent = list[tuple[int, float]]


def iso(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat()


def seed(hub: Hub, slug: str, readings: Sent, metric: str = "temp,number") -> None:
    """History as a file that is imported while the hub is down."""
    path = hub.process.data_dir / "seed.csv"
    lines = [f"{metric},{iso(ms)},{value}\n" for ms, value in readings]
    path.write_text("metric,kind,time,value\n" + "".join(lines))
    hub.process.stop()
    hub.process.manage("importreadings", str(path), "--device", slug)
    hub.process.start()


def minutes(days: float) -> Sent:
    """A reading a minute up to a minute ago, with a spike in the middle."""
    end = now_ms() // MINUTE_MS * MINUTE_MS
    count = int(days * 1440)
    found = [(end - at * MINUTE_MS, 20 + at % 7 / 10) for at in range(count, 0, -1)]
    found[count // 2] = (found[count // 2][0], 95.0)
    return found


@contextmanager
def sending(hub: Hub, slug: str, seconds: float = 0.2) -> Iterator[Sent]:
    """A device that sends while the hub takes it; what is on disk."""
    sent: Sent = []
    is_over = threading.Event()

    def run() -> None:
        number = 0
        while not is_over.wait(seconds):
            number += 1
            reading = (now_ms(), 20 + number % 50 / 10)
            try:
                hub.send(slug, {"time": reading[0], "values": {"temp": reading[1]}})
            except OSError:
                continue
            sent.append(reading)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield sent
    finally:
        is_over.set()
        thread.join(10)


def buckets(readings: Sent, width_ms: float) -> dict[int, list[float]]:
    """[highest, lowest, mean, count] of each bucket."""
    found: dict[int, list[float]] = {}
    for ms, value in readings:
        found.setdefault(int(ms // width_ms), []).append(value)
    return {
        bucket: [max(each), min(each), round(sum(each) / len(each), 4), len(each)]
        for bucket, each in found.items()
    }


def shown_buckets(visitor) -> dict[int, list[float]]:
    found = visitor.page.evaluate(
        f"""() => {{
          const {{ grid }} = {FIGURE};
          const [high, low, mean] = grid.of(0);
          return grid.counts[0].map((count, at) => (
            count ? [grid.first + at, high[at], low[at], mean[at], count] : null
          )).filter(Boolean);
        }}"""
    )
    return {bucket: [*rest[:2], round(rest[2], 4), rest[3]] for bucket, *rest in found}


def shown_readings(visitor) -> list[float]:
    """The values that a chart of readings draws, in order."""
    found: list[float] = visitor.page.evaluate(
        f"{FIGURE}.grid.columns[1].filter((value) => typeof value === 'number')"
    )
    return found


def width_of(visitor) -> int:
    width: int = visitor.page.evaluate(f"{FIGURE}.widthMs")
    return width


def whole_buckets(found: dict[int, list[float]], since: int) -> dict[int, list[float]]:
    return {bucket: each for bucket, each in found.items() if bucket >= since}


def drag(visitor, start: float, end: float) -> None:
    """Over the first chart, in parts of its width."""
    visitor.wait("document.querySelector('hub-chart .u-over') !== null")
    box = visitor.page.query_selector("hub-chart .u-over").bounding_box()
    y = box["y"] + box["height"] / 2
    visitor.page.mouse.move(box["x"] + start * box["width"], y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + end * box["width"], y, steps=4)
    visitor.page.mouse.up()
    visitor.page.mouse.move(5, 5)


def test_a_drag_zooms_in_and_keeps_the_picture_until_the_finer_one_is_there(
    hub, visit, boiler
):
    seed(hub, boiler, minutes(30))
    visitor = visit()
    visitor.open("/g/plant")
    # By the keyboard alone.
    visitor.page.focus("button[value='now-30d']")
    visitor.page.keyboard.press("Enter")
    visitor.wait(f"{NOTE} === '30 min, min–max'")
    assert visitor.page.url.endswith("?from=now-30d&to=now")
    width = width_of(visitor)
    shown = shown_buckets(visitor)
    assert max(each[0] for each in shown.values()) == 95.0
    assert sum(each[3] for each in shown.values()) in range(43_100, 43_201)

    held: list = []
    visitor.page.route("**/readings.json*", lambda route: held.append(route))
    visitor.page.evaluate(f"() => {{ window.before = {FIGURE}.grid; }}")
    drag(visitor, 0.4, 0.6)
    visitor.wait(f"{NOTE} === '30 min, min–max · loading…'")
    assert visitor.page.evaluate(f"window.before === {FIGURE}.grid")
    assert visitor.page.evaluate(f"{FIGURE}.querySelectorAll('canvas').length") == 1
    assert "Paused at" in visitor.page.inner_text("#range-state")
    assert "from=20" in visitor.page.url
    for route in held:
        route.continue_()
    visitor.page.unroute("**/readings.json*")
    visitor.wait(f"/^(\\d+) min, min–max$/.test({NOTE}) && {FIGURE}.widthMs < {width}")
    assert max(each[0] for each in shown_buckets(visitor).values()) == 95.0

    drag(visitor, 0.3, 0.34)
    visitor.wait(f"{NOTE} === 'raw'")
    assert len(shown_readings(visitor)) > 100
    visitor.page.go_back()
    visitor.wait(f"/^(\\d+) min, min–max$/.test({NOTE})")
    visitor.page.go_back()
    visitor.wait(f"{NOTE} === '30 min, min–max'")
    assert visitor.page.url.endswith("?from=now-30d&to=now")
    assert not visitor.page.is_visible("#range-state")
    visitor.page.go_forward()
    visitor.wait("document.body.classList.contains('is-paused')")
    visitor.page.dblclick("hub-chart .u-over")
    visitor.wait(f"{NOTE} === '30 min, min–max'")
    assert visitor.problems == []


def test_live_readings_join_raw_history_once_each(hub, visit, boiler):
    start = now_ms()
    history = [(start - at * 1_000, 10 + at % 9 / 10) for at in range(200, 0, -1)]
    seed(hub, boiler, history)
    visitor = visit()
    with sending(hub, boiler, 0.25) as sent:
        visitor.open("/g/plant?from=now-5m&to=now")
        visitor.wait(f"{NOTE} === 'raw'")
        while len(sent) < 20:
            time.sleep(0.05)
    visitor.page.wait_for_timeout(1_500)
    # Of more than two in a bucket of 0.5 s the extremes are drawn.
    step = visitor.page.evaluate(f"{FIGURE}.grid.stepMs")
    expected = [
        value
        for _, each in sorted(buckets([*history, *sent], step).items())
        for value in {each[0], each[1]}
    ]
    assert sorted(shown_readings(visitor)) == sorted(expected)
    assert visitor.problems == []


def test_live_readings_fold_into_the_newest_bucket_once_each(hub, visit, boiler):
    history = minutes(7)
    seed(hub, boiler, history)
    visitor = visit()
    with sending(hub, boiler, 0.3) as sent:
        visitor.open("/g/plant?from=now-7d&to=now")
        visitor.wait(f"/min, min–max$/.test({NOTE})")
        while len(sent) < 20:
            time.sleep(0.05)
    visitor.page.wait_for_timeout(1_500)
    width = width_of(visitor)
    # The first bucket is cut by the beginning of the range.
    shown = shown_buckets(visitor)
    expected = whole_buckets(buckets([*history, *sent], width), min(shown) + 1)
    assert whole_buckets(shown, min(shown) + 1) == expected
    assert visitor.problems == []


@pytest.mark.parametrize("view", ["now-5m", "now-7d"])
def test_after_a_cut_connection_nothing_is_missing_or_doubled(hub, visit, boiler, view):
    history = minutes(7)
    seed(hub, boiler, history)
    visitor = visit()
    visitor.open(f"/g/plant?from={view}&to=now")
    with sending(hub, boiler, 0.25) as sent:
        visitor.wait(f"/1\\s*live/.test({TEXT}) && /raw|min–max/.test({NOTE})")
        while len(sent) < 8:
            time.sleep(0.05)
        hub.process.kill()
        before = len(sent)
        visitor.wait("document.body.classList.contains('is-stale')", 10)
        hub.process.start()
        visitor.wait("!document.body.classList.contains('is-stale')", 40)
        while len(sent) < before + 12:
            time.sleep(0.05)
    visitor.page.wait_for_timeout(2_500)
    step = visitor.page.evaluate(f"{FIGURE}.grid.stepMs")
    stored = buckets([*history, *sent], step)
    since = int(sent[0][0] // step)
    if view == "now-7d":
        shown = shown_buckets(visitor)
        assert whole_buckets(shown, since - 50) == whole_buckets(stored, since - 50)
    else:
        expected = [
            value
            for bucket, each in stored.items()
            if bucket >= since
            for value in {each[0], each[1]}
        ]
        # A reading of each minute is older than what was sent.
        shown_all = shown_readings(visitor)
        assert sorted(shown_all[-len(expected) :]) == sorted(expected)
        assert len(shown_all) <= len(expected) + 6
    assert visitor.problems == []


def test_a_hub_that_stood_still_leaves_no_hole(hub, visit, boiler):
    visitor = visit()
    hub.send(boiler, {"values": {"temp": 20}})
    visitor.open("/g/plant?from=now-5m&to=now")
    with sending(hub, boiler, 0.25) as sent:
        visitor.wait(f"/1\\s*live/.test({TEXT})")
        os.kill(hub.process.pid, signal.SIGSTOP)
        time.sleep(4)
        os.kill(hub.process.pid, signal.SIGCONT)
        visitor.wait("!document.body.classList.contains('is-stale')", 40)
        before = len(sent)
        while len(sent) < before + 8:
            time.sleep(0.05)
    visitor.page.wait_for_timeout(2_500)
    step = visitor.page.evaluate(f"{FIGURE}.grid.stepMs")
    wanted = buckets(sent, step)
    drawn = set(
        visitor.page.evaluate(
            f"""() => {{
              const {{ grid }} = {FIGURE};
              return grid.columns[1].map((value, at) => (
                typeof value === 'number' ? grid.first + Math.floor(at / 2) : -1
              ));
            }}"""
        )
    )
    assert set(wanted) - drawn == set()
    assert visitor.problems == []


def test_a_paused_range_says_so_and_takes_nothing_that_comes_now(hub, visit, boiler):
    history = minutes(0.2)
    seed(hub, boiler, history)
    visitor = visit()
    end = history[-1][0]
    visitor.open(f"/g/plant?from={end - 3_600_000}&to={end}")
    visitor.wait(f"{NOTE} === 'raw'")
    assert "Paused at" in visitor.page.inner_text("#range-state")
    before = shown_readings(visitor)
    assert len(before) == 60
    with sending(hub, boiler) as sent:
        while len(sent) < 10:
            time.sleep(0.05)
    visitor.page.wait_for_timeout(1_000)
    assert shown_readings(visitor) == before
    # The table is of now, and so are the states.
    assert f"{sent[-1][1]:.1f}" in visitor.page.inner_text("#device-table")
    # The end of a range is not in it.
    last = f"{history[-2][1]:.1f}"
    assert visitor.page.inner_text("hub-chart .legend b") == last
    visitor.page.keyboard.press("l")
    visitor.wait("!document.body.classList.contains('is-paused')")
    visitor.wait(f"{FIGURE}.grid.columns[1].length > 0")
    assert visitor.problems == []


def test_readings_that_come_late_appear_in_a_paused_range(hub, visit, boiler):
    history = minutes(0.1)
    seed(hub, boiler, history)
    hub.send(boiler, {"values": {"temp": 20}})
    visitor = visit()
    end = history[-1][0]
    visitor.open(f"/g/plant?from={end - 3_600_000}&to={end}")
    visitor.wait(f"{NOTE} === 'raw'")
    hub.send(boiler, {"time": end - 600_500, "values": {"temp": 77.5}})
    visitor.wait(f"{FIGURE}.grid.columns[1].includes(77.5)")
    assert visitor.problems == []


@pytest.mark.parametrize(
    ("search", "shown", "word"),
    [
        ("from=banana&to=now", "from=now-15m&to=now", "“banana”"),
        ("from=now-90000d", "from=now-3650d&to=now", "10 years"),
        ("from=2026-01-02T00:00Z&to=2026-01-01T00:00Z", "from=2026-01-01", "exchanged"),
        ("from=<script>alert(1)</script>", "from=now-15m", "<script>"),
        ("from=now-20y&to=now", "from=now-15m&to=now", "so this is the usual range"),
        ("from=now-1h&to=2190-01-01", "&to=20", "ends in the future"),
    ],
)
def test_a_bad_range_is_the_nearest_good_one_and_a_word(
    hub, visit, boiler, search, shown, word
):
    seed(hub, boiler, minutes(0.1))
    hub.process.manage(
        *("shell", "--no-imports", "-c"),
        "from telemetry.devices.models import Series; from datetime import timedelta;"
        "from django.utils import timezone as t;"
        "Series.objects.update(created_at=t.now() - timedelta(days=9))",
    )
    visitor = visit()
    visitor.open(f"/g/plant?{search}")
    visitor.wait(f"{NOTE} !== '' && !{NOTE}.includes('loading')")
    assert shown in visitor.page.url
    assert word in visitor.page.inner_text("#range-state")
    assert "2190" not in visitor.page.url
    assert visitor.problems == []


def test_a_device_is_in_the_same_state_in_every_range(hub, visit, boiler):
    """Its fast series fell silent; of it long ranges hold buckets, of a slow one
    readings."""
    silent, now = now_ms() - 4 * MINUTE_MS, now_ms()
    temps = [(silent - at * 20_000, 20.0) for at in range(8 * 4_320, -1, -1)]
    energy = [(silent - at * 15 * MINUTE_MS, 5.0 + at) for at in range(8 * 96, -1, -1)]
    seed(hub, boiler, temps)
    seed(hub, boiler, energy, "energy,number")
    visitor = visit()
    ranges = ["now-5m", "now-24h", "now-7d", "now-30d"]
    ranges = [f"from={each}&to=now" for each in ranges]
    ranges.append(f"from={now - 3 * DAY_MS}&to={now - 2 * DAY_MS}")
    for each in ranges:
        visitor.open(f"/g/plant?{each}")
        visitor.wait(f"{NOTE} !== '' && !{NOTE}.includes('loading')")
        cell = "document.querySelector('#device-table td')?.title ?? ''"
        visitor.wait(f"({cell}).includes('one expected every 20 s (estimated)')")
        visitor.wait(f"/1\\s*offline/.test({TEXT}) && /0\\s*live/.test({TEXT})")
    assert visitor.problems == []


def test_a_paused_range_shows_no_text_that_came_after_it(hub, visit, boiler):
    now = now_ms()
    hub.send(boiler, {"time": now - 2 * 3_600_000, "values": {"mode": "eco"}})
    visitor = visit()
    texts = "(document.querySelector('hub-texts')?.innerText ?? '')"
    visitor.open(f"/g/plant?from={now - 3_600_000}&to={now - 60_000}")
    visitor.wait(f"{texts}.includes('eco')")
    assert "ago" not in visitor.page.inner_text("hub-texts")
    hub.send(boiler, {"values": {"mode": "boost"}})
    visitor.wait(f"{texts}.includes('not shown for past ranges')")
    assert "boost" not in visitor.page.inner_text("hub-texts")
    visitor.page.keyboard.press("l")
    visitor.wait(f"{texts}.includes('boost')")
    assert visitor.problems == []


def test_what_is_stored_and_cannot_be_read_is_named(hub, visit, boiler):
    history = minutes(0.2)
    seed(hub, boiler, history)
    from_us, to_us = history[40][0] * 1000, history[60][0] * 1000
    hub.process.manage(
        *("shell", "--no-imports", "-c"),
        "from telemetry.devices.models import Series;"
        "from telemetry.history.models import Block;"
        f"Block.objects.create(series_id=Series.objects.get(name='temp').pk, "
        f"start_us={from_us}, end_us={to_us}, length=20, count=20, minimum=0, "
        "maximum=1, sum=1, first=0, last=1, increase=1, integral=1, is_open=False, "
        "data=b'broken')",
    )
    visitor = visit()
    visitor.open("/g/plant?from=now-6h&to=now")
    visitor.wait(f"{TEXT}.includes('A part is missing: stored readings of boiler')")
    assert len(shown_readings(visitor)) == len(history)
    assert visitor.problems == []


def test_an_isolated_reading_is_seen(hub, visit, boiler):
    now = now_ms()
    # One every minute, then a lonely one: gaps on both sides.
    history = [(now - 5 * 3_600_000 + at * MINUTE_MS, 20.0) for at in range(30)]
    lonely = (now - 2 * 3_600_000, 21.0)
    seed(hub, boiler, [*history, lonely])
    visitor = visit()
    visitor.open(f"/g/plant?from={now - 6 * 3_600_000}&to={now - 60_000}")
    visitor.wait(f"{NOTE} === 'raw'")
    visitor.page.wait_for_timeout(1_200)
    # A dot of the line's colour around its place on the canvas.
    painted = visitor.page.evaluate(
        f"""() => {{
          const {{ plot }} = {FIGURE};
          const x = Math.round(plot.valToPos({lonely[0]} / 1000, 'x', true));
          const y = Math.round(plot.valToPos(21, 'y', true));
          const context = plot.root.querySelector('canvas').getContext('2d');
          const {{ data }} = context.getImageData(x - 2, y - 1, 5, 3);
          return data.filter((value, at) => at % 4 === 3 && value > 200).length;
        }}"""
    )
    assert painted >= 6
    assert visitor.problems == []


def test_a_boolean_is_the_share_of_time_on_and_says_so(hub, visit, boiler):
    end = now_ms() // MINUTE_MS * MINUTE_MS
    values: Sent = [(end - at * 10_000, int(at % 4 < 2)) for at in range(8_640, 0, -1)]
    seed(hub, boiler, values, "door,boolean")
    visitor = visit()
    visitor.open("/g/plant?from=now-24h&to=now")
    note = "(document.querySelector('hub-states .figure-note')?.innerText ?? '')"
    visitor.wait(f"{note}.includes('share of time on')")
    shares = visitor.page.evaluate(
        "document.querySelector('hub-states').grid.of(0)[2].filter(Number)"
    )
    assert 0.4 < sum(shares) / len(shares) < 0.6
    visitor.page.click("button[value='now-5m']")
    visitor.wait(f"/raw$/.test({note})")
    assert visitor.problems == []


def test_a_gap_of_a_boolean_is_hatched_and_off_is_a_line(hub, visit, boiler):
    """A picture of its lane: what the ink at the foot and above it is."""
    end = now_ms() // MINUTE_MS * MINUTE_MS
    days = [(20, 30), (0, 10)]
    values: Sent = [
        (end - int(at * 5 * MINUTE_MS), 0)
        for to, since in days
        for at in range(since * 288, to * 288, -1)
    ]
    seed(hub, boiler, values, "door,boolean")
    visitor = visit(viewport={"width": 360, "height": 740})
    visitor.open("/g/plant?from=now-30d&to=now")
    note = "(document.querySelector('hub-states .figure-note')?.innerText ?? '')"
    visitor.wait(f"{note}.includes('share of time on')")
    # On a narrow display a lane is as wide as its card.
    assert (
        visitor.page.evaluate("document.querySelector('.lanes canvas').clientWidth")
        > 300
    )
    visitor.page.wait_for_timeout(1_200)
    painted = """(share) => {
      const canvas = document.querySelector('.lanes canvas');
      const left = Math.round(canvas.width * share);
      const context = canvas.getContext('2d');
      const { data } = context.getImageData(left, 0, 24, canvas.height / 2);
      return data.filter((value, at) => at % 4 === 3 && value > 0).length;
    }"""
    off, gap = (visitor.page.evaluate(painted, share) for share in (0.1, 0.5))
    assert (off, gap > 100) == (0, True)
    assert visitor.problems == []


def test_without_a_script_the_form_still_says_what_was_chosen(hub, visit, boiler):
    hub.send(boiler, {"values": {"temp": 21.5}})
    signed_in = visit()
    context = signed_in.page.context.browser.new_context(java_script_enabled=False)
    context.add_cookies(signed_in.page.context.cookies())
    page = context.new_page()
    page.goto(f"{hub.url}/g/plant")
    page.click("button[value='now-6h']")
    assert page.url.endswith("?to=now&from=now-6h")
    chosen = page.get_attribute("button[value='now-6h']", "aria-pressed")
    assert chosen == "true"
    page.click("summary")
    page.fill("#dates [name=from]", "2026-11-20T10:00:00")
    page.fill("#dates [name=to]", "2026-11-20T12:00:00")
    page.click("#dates .primary")
    assert page.input_value("#dates [name=from]").startswith("2026-11-20T10:00")
    context.close()


def test_steps_move_and_widen_the_range(hub, visit, boiler):
    seed(hub, boiler, minutes(1))
    visitor = visit()
    visitor.open("/g/plant?from=now-1h&to=now")
    visitor.wait(f"{NOTE} === 'raw'")
    visitor.page.click("#earlier")
    visitor.wait("document.body.classList.contains('is-paused')")
    urls = [visitor.page.url]
    for button in ("#zoom-out", "#zoom-in", "#earlier"):
        visitor.page.click(button)
        urls.append(visitor.page.url)
    assert len(set(urls)) == len(urls)
    while visitor.page.is_enabled("#later"):
        visitor.page.click("#later")
    visitor.wait("!document.body.classList.contains('is-paused')")
    assert visitor.page.url.endswith("&to=now")
    visitor.wait(f"{NOTE} !== '' && !{NOTE}.includes('loading')")
    times = visitor.page.evaluate(f"{FIGURE}.grid.columns[0]")
    assert all(one < two for one, two in pairwise(times))
    assert visitor.problems == []


@pytest.mark.slow
def test_a_tab_that_slept_shows_what_came_meanwhile(hub, visit, boiler):
    visitor = visit()
    hub.send(boiler, {"values": {"temp": 20}})
    visitor.open("/g/plant?from=now-5m&to=now")
    visitor.wait(f"/1\\s*live/.test({TEXT})")
    hide = """(isHidden) => {
      const hidden = { value: isHidden, configurable: true };
      Object.defineProperty(document, 'hidden', hidden);
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    with sending(hub, boiler, 0.5) as sent:
        visitor.page.evaluate(hide, True)
        time.sleep(35)
        asleep = len(shown_readings(visitor))
        visitor.page.evaluate(hide, False)
        visitor.wait(f"{FIGURE}.grid.columns[1].length > 0")
    visitor.page.wait_for_timeout(3_000)
    step = visitor.page.evaluate(f"{FIGURE}.grid.stepMs")
    expected = [
        value for each in buckets(sent, step).values() for value in {each[0], each[1]}
    ]
    shown = shown_readings(visitor)
    assert len(shown) > asleep + 5
    assert sorted(shown[1:]) == sorted(expected)
    assert visitor.problems == []
