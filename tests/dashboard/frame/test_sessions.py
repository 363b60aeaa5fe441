"""A cookie that no session can have: whoever shows it is signed out, and no more."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

pytestmark = pytest.mark.django_db

KEY = "a1b2c3d4" * 4
NONE = [
    f"\0{KEY[1:]}",
    f"{KEY}\0",
    "\x01" * 32,
    "\x7f" * 32,
    "ü" * 32,
    f"{KEY} ",
    f"{KEY[1:]}'",
    "\0",
    "",
]


def asked_with(client, cookie: str, value: str, path: str = "/"):
    """The answer, and what the database was asked for it."""
    client.cookies[cookie] = value
    with CaptureQueriesContext(
        connection,
    ) as asked:
        answer = client.get(path)
    return answer, [query["sql"] for query in asked.captured_queries]


@pytest.mark.parametrize("value", NONE)
def test_what_names_no_session_is_as_signed_out_and_asks_nothing(client, value):
    answer, asked = asked_with(client, settings.SESSION_COOKIE_NAME, value)
    assert answer.status_code == 302
    assert answer["Location"] == "/login?next=/"
    assert asked == []
    assert client.get("/login").status_code == 200


def test_its_cookie_is_taken_away(client):
    answer, _ = asked_with(client, settings.SESSION_COOKIE_NAME, NONE[0])
    assert answer.cookies[settings.SESSION_COOKIE_NAME]["max-age"] == 0


def test_one_can_log_in_over_it(client, django_user_model):
    user = django_user_model.objects.create_user("ada", password="of ada")
    client.cookies[settings.SESSION_COOKIE_NAME] = NONE[0]
    client.post("/login", {"username": "ada", "password": "of ada"})
    answer = client.get("/groups")
    assert answer.status_code == 200
    assert answer.wsgi_request.user == user


def test_a_session_that_has_ended_is_still_looked_for(client):
    answer, asked = asked_with(client, settings.SESSION_COOKIE_NAME, KEY)
    assert answer.status_code == 302
    assert any("django_session" in sql for sql in asked)


@pytest.mark.parametrize("value", NONE)
def test_a_screens_cookie_of_that_kind_is_none(client, value):
    answer, asked = asked_with(client, settings.KIOSK_COOKIE_NAME, value, "/groups")
    assert answer.status_code == 302
    assert not any("accesstoken" in sql for sql in asked)


async def test_the_same_holds_on_the_event_loop(async_client):
    async_client.cookies[settings.SESSION_COOKIE_NAME] = NONE[0]
    answer = await async_client.get("/")
    assert answer.status_code == 302
    assert answer["Location"] == "/login?next=/"
