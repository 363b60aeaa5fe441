"""The link check in a browser: measures, says what it means, and what it cannot."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from .conftest import Hub, Visitor

Visit = Callable[..., Visitor]
RESULTS = ("connect", "p50", "p99", "jitter", "rate")


def result(visitor: Visitor, name: str) -> str:
    return visitor.page.inner_text(f"#result-{name}")


def measure(visitor: Visitor) -> None:
    visitor.page.select_option("#seconds", "3")
    visitor.page.click("#start-button")


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_it_measures_and_says_what_it_means(
    hub: Hub, visit: Visit, width: int, scheme: str
):
    visitor = visit(viewport={"width": width, "height": 800}, color_scheme=scheme)
    visitor.open("/link")
    assert [result(visitor, name) for name in RESULTS] == ["–"] * len(RESULTS)
    measure(visitor)
    visitor.wait("document.getElementById('result-p50').textContent !== '–'")
    visitor.wait("document.getElementById('verdict').textContent !== ''")
    assert "These round trips are those of" in visitor.page.inner_text("#verdict")
    for name in RESULTS:
        assert re.fullmatch(r"[\d.,]+ (ms|[kM]bit/s)", result(visitor, name)), name
    assert re.search(r"\d+ round trips", visitor.page.inner_text("#trips-note"))
    assert visitor.page.is_visible("#copy-result")
    wide = visitor.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    assert visitor.problems == []


def test_a_hub_that_goes_away_is_told_with_what_was_measured(hub: Hub, visit: Visit):
    visitor = visit()
    visitor.open("/link")
    measure(visitor)
    visitor.wait("document.getElementById('result-p50').textContent !== '–'")
    hub.process.kill()
    visitor.wait("document.querySelector('#verdict.is-problem') !== null")
    assert "The connection was lost" in visitor.page.inner_text("#verdict")
    assert result(visitor, "p50") != "–"
    assert result(visitor, "rate") == "–"
    measure(visitor)
    visitor.wait(
        "document.getElementById('trips-message').textContent.startsWith('Nothing')"
    )
    assert visitor.problems == []


def test_without_a_script_it_names_the_command(hub: Hub, visit: Visit):
    visitor = visit(java_script_enabled=False)
    visitor.open("/link")
    text = visitor.page.inner_text("main")
    assert "needs JavaScript" in text
    assert f"manage.py checklink {hub.url}" in text
    assert not visitor.page.is_visible("#start")
