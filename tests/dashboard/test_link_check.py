"""The page of the link check: to whom it comes, and what it says without a script."""

from __future__ import annotations

from django.conf import settings


def test_a_stranger_is_sent_to_sign_in(plant, client):
    answer = client.get("/link")
    assert answer.status_code == 302
    assert answer["Location"] == "/login?next=/link"


def test_whoever_is_signed_in_finds_the_command_as_well(people, sign_in):
    charlie = sign_in(people.charlie)
    answer = charlie.get("/link")
    assert answer.status_code == 200
    text = answer.content.decode()
    assert f"manage.py checklink {settings.HUB_URL}" in text
    assert '"echo": "/ws/echo"' in text
    assert charlie.post("/link").status_code == 405
