"""What people configure, call or receive has its entry in docs/reference/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver, get_resolver
from msgspec import inspect

from hub_project import env
from telemetry import checks, conf, counters
from telemetry.ingest import batch
from telemetry.protocol import close_codes, errors, messages
from telemetry.routing import websocket_urlpatterns

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
SECRETS = ("SECRET_KEY", "DATABASE_URL", "REDIS_URL")
# The admin and the pages explain themselves; what programs call is documented.
NOT_FOR_PROGRAMS = ("admin/", "static/")


def page(name: str) -> str:
    path = REFERENCE / name
    assert path.is_file(), f"docs/reference/{name} is missing"
    return path.read_text(encoding="utf-8")


def every_page() -> str:
    return "\n".join(path.read_text("utf-8") for path in REFERENCE.glob("*.md"))


def settings_row(setting: conf.Setting) -> str:
    """The line of a setting in docs/reference/settings.md."""
    default = f"{setting.default:,}"
    allowed = f"{setting.minimum:,} to {setting.maximum:,}"
    return (
        f"| `{setting.variable}` | {default} | {setting.unit} | {allowed} "
        f"| {setting.help} {setting.reason} |"
    )


@pytest.mark.parametrize("setting", conf.SETTINGS, ids=lambda each: each.name)
def test_setting_has_its_row(setting):
    assert settings_row(setting) in page("settings.md").splitlines()


@pytest.mark.parametrize(
    "name", [*env.NAMES, *SECRETS, *(f"{each}_FILE" for each in SECRETS)]
)
def test_variable_has_its_row(name):
    assert f"| `{name}` |" in page("settings.md")


@pytest.mark.parametrize("error", errors.ERRORS, ids=lambda each: each.code)
def test_error_has_its_row(error):
    start = f"| `{error.code}` | {'yes' if error.retryable else 'no'} "
    row = f"{start}| {error.http_status} | {error.close_code} |"
    assert row in page("errors.md")


def rows_below(heading: str, name: str) -> list[str]:
    """The names in the first column of the tables below a heading of a page."""
    section = page(name).split(f"# {heading}\n")[1].split("\n#")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("Reasons for refused readings", "errors.md"),
        ("Refused readings", "protocol.md"),
    ],
)
def test_reasons_for_refused_readings_have_their_rows(heading, name):
    reasons = [
        value
        for constant, value in vars(batch).items()
        if constant.isupper() and isinstance(value, str)
    ]
    assert len(reasons) >= 5
    assert sorted(rows_below(heading, name)) == sorted(reasons)


def test_counters_have_their_rows():
    source = Path(counters.__file__).read_text("utf-8")
    names = re.findall(r'"(telemetry_\w+)"', source)
    assert len(names) >= 18
    assert sorted(rows_below("Counters", "errors.md")) == sorted(names)


@pytest.mark.parametrize("code", close_codes.CATALOGUE)
def test_close_code_has_its_row(code):
    assert f"| {code} |" in page("errors.md")


def test_system_checks_have_their_rows():
    source = Path(checks.__file__).read_text("utf-8")
    ids = set(re.findall(r"telemetry\.[EW]\d{3}", source))
    assert ids
    text = page("errors.md")
    assert [each for each in sorted(ids) if f"| `{each}` |" not in text] == []


def message_types() -> list[str]:
    """The `type` of every message that either side sends."""
    found = set()
    for value in vars(messages).values():
        is_message = isinstance(value, type) and issubclass(value, messages.Message)
        if is_message and value is not messages.Message:
            tag = inspect.type_info(value).tag  # type: ignore[attr-defined]
            if tag is not None:
                found.add(str(tag))
    return sorted(found)


@pytest.mark.parametrize("name", message_types())
def test_message_is_in_the_protocol(name):
    assert f"`{name}`" in page("protocol.md")


def endpoints() -> list[str]:
    """Every address of the hub, as its route."""

    def walk(resolver: URLResolver, before: str) -> list[str]:
        found = []
        for each in resolver.url_patterns:
            route = before + str(each.pattern)
            if isinstance(each, URLPattern):
                found.append(route)
            elif not route.startswith(NOT_FOR_PROGRAMS):
                found += walk(each, route)
        return found

    routes = [
        *walk(get_resolver(), ""),
        *(str(each.pattern) for each in websocket_urlpatterns),
    ]
    # `<slug:slug>` is written `<slug>` in the documents.
    return [re.sub(r"<\w+:(\w+)>", r"<\1>", route) for route in routes]


@pytest.mark.parametrize("route", endpoints())
def test_endpoint_is_documented(route):
    assert f"`/{route}`" in every_page() or f" /{route}`" in every_page()


@pytest.mark.parametrize(
    "command", sorted(n for n, app in get_commands().items() if app == "telemetry")
)
def test_command_is_documented(command):
    assert f"manage.py {command}" in page("commands.md")


def test_modules_that_the_page_on_the_dashboard_names_exist():
    root = REFERENCE.parent.parent
    text = (root / "docs" / "topics" / "dashboard.md").read_text("utf-8")
    modules = {path.name for path in (root / "telemetry" / "static").rglob("*.js")}
    named = set(re.findall(r"`(\w+\.js)`", text))
    assert len(named) >= 20
    assert sorted(named - modules) == []
