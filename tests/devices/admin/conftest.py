from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", password="root")


@pytest.fixture
def browser(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def clerk(db: None) -> Client:
    """Staff with the permissions that a test gives to `clerk.user`."""
    user = User.objects.create_user("clerk", is_staff=True)
    client = Client()
    client.force_login(user)
    client.user = user  # type: ignore[attr-defined]
    return client


def allow(client: Client, *codenames: str) -> None:
    permissions = Permission.objects.filter(
        codename__in=codenames, content_type__app_label="telemetry"
    )
    assert permissions.count() == len(codenames)
    client.user.user_permissions.add(*permissions)  # type: ignore[attr-defined]


class _Fields(HTMLParser):
    """What a browser would send for a page's form, without a script."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value")
        if tag == "select":
            self._select = name
        elif tag == "option" and "selected" in given and self._select:
            self.sent[self._select] = value or ""
        elif tag == "textarea" and name:
            self.sent[name] = ""
        elif tag == "input" and name:
            self._put_input(name, value, given)

    def _put_input(
        self, name: str, value: str | None, given: dict[str, str | None]
    ) -> None:
        kind = given.get("type")
        if kind in ("checkbox", "radio"):
            if "checked" in given:
                self.sent[name] = value or "on"
        elif kind != "submit":
            self.sent[name] = value or ""


def fields_of(html: str) -> dict[str, str]:
    """The names and values of the form's fields in `html`."""
    parser = _Fields()
    parser.feed(
        html[
            html.index(
                '<div id="content-main"' if "content-main" in html else "<form"
            ) :
        ]
    )
    return parser.sent
