"""The endpoint for reports of breaches: what it says, and what it lets pass."""

from __future__ import annotations

import json
import logging

import pytest
from django.conf import settings

from telemetry import counters
from telemetry.dashboard.frame import csp

REPORT = {
    "csp-report": {
        "document-uri": "http://testserver/g/plant?from=now-5m",
        "effective-directive": "script-src-elem",
        "violated-directive": "script-src-elem",
        "blocked-uri": "inline",
        "source-file": "http://testserver/g/plant",
        "line-number": 12,
    }
}
MODERN = [
    {
        "type": "csp-violation",
        "body": {
            "documentURL": "http://testserver/k/hub_secret",
            "effectiveDirective": "style-src-attr",
            "blockedURL": "inline",
        },
    }
]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A bucket of this test's own."""
    monkeypatch.setattr(csp, "_reports", None)


def send(client, body: object, content_type: str = "application/csp-report"):
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return client.post("/csp", text, content_type=content_type)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (REPORT, "script-src-elem blocked inline on /g/plant (/g/plant:12)"),
        (MODERN, "style-src-attr blocked inline on /k/…"),
        ({"csp-report": {}}, "? blocked ? on ?"),
        ({"csp-report": {"blocked-uri": 5, "document-uri": []}}, "? blocked ? on ?"),
        ({"csp-report": {"document-uri": "http://["}}, "? blocked ? on ?"),
        ({"csp-report": []}, None),
        ([], None),
        ([5], None),
        (5, None),
        ("{", None),
        (b"\xff\xfe", None),
        ("[" * 10_000, None),
    ],
)
def test_a_report_is_one_short_sentence(body, expected):
    raw = body if isinstance(body, bytes) else None
    text = body if isinstance(body, str) else json.dumps(body) if raw is None else ""
    assert csp.read(raw or text.encode()) == expected


def test_a_report_is_counted_and_logged_in_one_line(client, db, caplog):
    before = counters.CSP_REPORTS._value.get()
    with caplog.at_level(logging.WARNING, "telemetry.dashboard.frame.csp"):
        assert send(client, REPORT).status_code == 204
    assert counters.CSP_REPORTS._value.get() == before + 1
    assert [each.getMessage() for each in caplog.records] == [
        "content security policy: script-src-elem blocked inline on /g/plant "
        "(/g/plant:12)"
    ]


def test_the_words_of_a_stranger_are_cut(client, db, caplog):
    long = {"csp-report": {"blocked-uri": "x" * 5_000, "document-uri": "y" * 5_000}}
    with caplog.at_level(logging.WARNING, "telemetry.dashboard.frame.csp"):
        send(client, long)
    assert len(caplog.records[0].getMessage()) < 500


@pytest.mark.parametrize(("more", "status"), [(0, 204), (1, 413)])
def test_a_report_may_be_so_long_and_no_longer(client, db, settings, more, status):
    settings.TELEMETRY_CSP_REPORT_BYTES = 1_024
    body = json.dumps(REPORT)
    assert send(client, body + " " * (1_024 + more - len(body))).status_code == status


def test_so_many_a_minute_are_read_and_no_more(settings):
    reports = csp.Reports(per_minute=3)
    assert [reports.may_come(1.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert not reports.may_come(20.9)
    assert reports.may_come(21.0)
    assert not reports.may_come(21.0)
    assert [reports.may_come(1e6) for _ in range(4)] == [True] * 3 + [False]


def test_too_many_are_turned_away(client, db, settings, monkeypatch):
    monkeypatch.setattr(csp, "_reports", csp.Reports(per_minute=1))
    statuses = [send(client, REPORT).status_code for _ in range(2)]
    assert statuses == [204, 429]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/csp-report", 204),
        ("application/json; charset=utf-8", 204),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
def test_other_kinds_are_refused(client, db, content_type, status):
    assert send(client, REPORT, content_type).status_code == status


def test_what_is_no_report_is_a_bad_request(client, db):
    assert send(client, "null").status_code == 400
    assert client.get("/csp").status_code == 405


def test_every_page_names_the_policy_and_where_to_report(client, db):
    policy = client.get("/login")["Content-Security-Policy"]
    directives = dict(each.strip().split(" ", 1) for each in policy.split(";") if each)
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    assert directives["style-src"] == "'self'"
    assert directives["report-uri"] == "/csp"
    assert "unsafe" not in policy
    assert "nonce" not in policy
    assert "'unsafe-inline'" not in str(settings.CONTENT_SECURITY_POLICY)
