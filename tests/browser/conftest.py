"""A real hub, a real device, a real browser (the system's Chromium).

These tests run in a pytest process of their own: the browser's event loop and that of
the async tests do not mix, and nothing here touches the ORM.
"""

from __future__ import annotations

import fcntl
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

from tests.processes import HubProcess, manage, missing

from . import tour

PASSWORD = "of-the-browser-tests"
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

    @property
    def url(self) -> str:
        return self.process.url

    def add_devices(self, group: str, *names: str) -> list[str]:
        lines = self.process.manage("createdevice", *names, "--group", group)
        pairs = [line.split("\t") for line in lines.splitlines() if "\t" in line]
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
def set_up_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A data directory with a database, static files and the admin "ada".

    One for all workers: the others wait for the first.
    """
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    data_dir = shared / "hub" / "var"
    with (shared / "hub.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not data_dir.is_dir():
            _set_up(shared / "making")
            (shared / "making").rename(data_dir.parent)
    return data_dir


def _set_up(folder: Path) -> None:
    data_dir = folder / "var"
    shutil.rmtree(folder, ignore_errors=True)
    data_dir.mkdir(parents=True)
    for command in (
        ("migrate", "-v0"),
        ("collectstatic", "--noinput", "-v0"),
        ("createsuperuser", "--noinput", "--username", "ada", "--email", "a@b.example"),
    ):
        done = manage(data_dir, *command, DJANGO_SUPERUSER_PASSWORD=PASSWORD)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def hub(set_up_once: Path, tmp_path: Path) -> Iterator[Hub]:
    shutil.copytree(set_up_once, tmp_path / "var")
    process = HubProcess(tmp_path / "var", "serve")
    process.start()
    yield Hub(process)
    if process.process is not None and process.process.poll() is None:
        process.kill()


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
    page.goto(f"{hub.url}/login")
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.click(".sign-in .primary")
    page.wait_for_url(f"{hub.url}/")
    return Visitor(page, problems, hub)


def _note(problems: list[str], entry: Any) -> None:
    # A hub that was killed refuses connections: the browser says so by itself.
    expected = ("net::ERR_CONNECTION_", "net::ERR_EMPTY_", "WebSocket connection to")
    if entry.type == "error" and not any(word in entry.text for word in expected):
        problems.append(entry.text)


def now_ms() -> int:
    return int(time.time() * 1000)
