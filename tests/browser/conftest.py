"""A real hub, a real device, a real browser (the system's Chromium).

These tests run in a pytest process of their own: the browser's event loop and that of
the async tests do not mix, and nothing here touches the ORM.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.once import made_once
from tests.processes import HubProcess, manage, missing

from . import tour

PASSWORD = "of-the-browser-tests"
# Sessions as a log-in makes them, for that takes a second; how one signs in by the
# form is test_pages.py's.
PEOPLE = f"""
from django.contrib.auth.models import User
from django.test import Client
ada = User.objects.create_superuser("ada", "a@b.example", {PASSWORD!r})
for _ in range(100):
    client = Client()
    client.force_login(ada)
    print(client.session.session_key)
"""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Hub:
    """A hub in a process, an admin "ada", and the keys of its devices by slug."""

    process: HubProcess
    keys: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Sessions of "ada" that nobody uses yet.
        self.sessions = iter(
            (self.process.data_dir / "sessions").read_text("utf-8").split()
        )

    @property
    def url(self) -> str:
        return self.process.url

    def add_devices(self, group: str, *names: str) -> list[str]:
        return self.know(self.process.manage("createdevice", *names, "--group", group))

    def know(self, said: str) -> list[str]:
        """The slugs of what `createdevice` said that it made."""
        pairs = [line.split("\t") for line in said.splitlines() if "\t" in line]
        self.keys.update((slug, key) for slug, key in pairs)
        return [slug for slug, _key in pairs]

    def send(self, slug: str, *messages: dict[str, Any]) -> None:
        """Readings of one device, on disk when this returns."""
        request = Request(
            f"{self.url}/api/v1/ingest",
            json.dumps(list(messages)).encode(),
            {
                "Authorization": f"Bearer {self.keys[slug]}",
                "Content-Type": "application/json",
            },
        )
        with urlopen(request, timeout=10) as response:
            assert response.status == 200


@pytest.fixture(scope="session")
def set_up_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a database, static files and the admin "ada"."""

    def make(folder: Path) -> None:
        data_dir = folder / "var"
        run(data_dir, "migrate", "-v0")
        run(data_dir, "collectstatic", "--noinput", "-v0")
        sessions = run(data_dir, "shell", "--no-imports", "-v0", "-c", PEOPLE)
        (data_dir / "sessions").write_text(sessions, "utf-8")

    return made_once(tmp_path_factory, "hub", make) / "var"


@pytest.fixture(scope="session")
def set_up_with_boiler(
    set_up_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same with a device "boiler" in the group "plant"."""

    def make(folder: Path) -> None:
        data_dir = folder / "var"
        shutil.copytree(set_up_once, data_dir)
        said = run(data_dir, "createdevice", "boiler", "--group", "plant")
        (data_dir / "boiler").write_text(said, "utf-8")

    return made_once(tmp_path_factory, "hub-with-boiler", make) / "var"


def run(data_dir: Path, *command: str) -> str:
    done = manage(data_dir, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hub]:
    """A hub of this test's own; it has a boiler if the test wants one."""
    has_boiler = "boiler" in request.fixturenames
    name = "set_up_with_boiler" if has_boiler else "set_up_once"
    shutil.copytree(request.getfixturevalue(name), tmp_path / "var")
    process = HubProcess(tmp_path / "var", "serve")
    process.start()
    yield Hub(process)
    process.end()


@pytest.fixture
def boiler(hub: Hub) -> str:
    """The slug of a device in the group "plant" that has sent nothing yet."""
    (slug,) = hub.know((hub.process.data_dir / "boiler").read_text("utf-8"))
    return slug


@pytest.fixture(scope="session")
def furnished(
    set_up_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    """One hub with something on every page (tour.py), for tests that only look."""
    data_dir = tmp_path_factory.mktemp("furnished") / "var"
    shutil.copytree(set_up_once, data_dir)
    process = HubProcess(data_dir, "serve")
    process.start()
    hub = Hub(process)
    tour.furnish(hub)
    yield hub
    process.end()


@dataclass
class Visitor:
    """A signed-in page, and what the browser complained of."""

    page: Page
    problems: list[str]
    hub: Hub

    def open(self, path: str) -> None:
        self.page.goto(self.hub.url + path)

    def wait(self, condition: str, seconds: float = 15) -> None:
        """Until the JavaScript expression is true, also across a change of page."""
        # Not wait_for_function: it evaluates in the page, which the policy forbids.
        until = time.monotonic() + seconds
        while not self._holds(condition):
            if time.monotonic() > until:
                text = self.page.inner_text("body")
                pytest.fail(
                    f"{condition} within {seconds} s; {self.problems}; page: {text}"
                )
            self.page.wait_for_timeout(50)

    def until(
        self, read: Callable[[], Any], expected: Any, seconds: float = 15
    ) -> None:
        """Until `read` gives what is expected, and still does a moment later."""
        until = time.monotonic() + seconds
        while read() != expected and time.monotonic() < until:
            self.page.wait_for_timeout(50)
        self.page.wait_for_timeout(200)
        assert read() == expected

    def _holds(self, condition: str) -> bool:
        """Of a page that is just being loaded nothing holds yet."""
        try:
            return bool(self.page.evaluate(condition))
        except PlaywrightError as error:
            parts = ("of null", "of undefined", "context was destroyed", "navigation")
            if any(part in error.message for part in parts):
                return False
            raise


@pytest.fixture
def visit(browser: Browser, hub: Hub) -> Iterator[Callable[..., Visitor]]:
    with ExitStack() as stack:
        yield lambda **options: sign_in(browser, hub, stack, **options)


def sign_in(browser: Browser, hub: Hub, stack: ExitStack, **options: Any) -> Visitor:
    """A page of "ada", in a context of its own until the stack ends."""
    context = browser.new_context(
        **{"viewport": {"width": 1280, "height": 900}, **options}
    )
    stack.callback(context.close)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("console", lambda entry: _note(problems, entry))
    # By its port: hubs on one machine share the host, and so its cookies.
    name = f"hub_session_{hub.process.port}"
    context.add_cookies(
        [{"name": name, "value": next(hub.sessions), "url": hub.url, "httpOnly": True}]
    )
    return Visitor(page, problems, hub)


def _note(problems: list[str], entry: Any) -> None:
    # A hub that was killed refuses connections: the browser says so by itself.
    expected = ("net::ERR_CONNECTION_", "net::ERR_EMPTY_", "WebSocket connection to")
    if entry.type == "error" and not any(word in entry.text for word in expected):
        problems.append(entry.text)


def now_ms() -> int:
    return int(time.time() * 1000)
