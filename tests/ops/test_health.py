"""/healthz and /readyz: alive, and ready or why not."""

from __future__ import annotations

import json

import pytest
from django.db import DatabaseError, OperationalError
from django.test import AsyncClient, AsyncRequestFactory, Client

from telemetry.ops import health


class StillHub:
    """A hub as this room sees it."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)

    def troubles(self) -> list[str]:
        return list(self.reasons)


async def readyz(hub: StillHub | None) -> tuple[int, dict[str, object]]:
    request = AsyncRequestFactory().get("/readyz")
    if hub is not None:
        request.scope = {**request.scope, "telemetry.hub": hub}
    response = await health.readyz(request)
    return response.status_code, json.loads(response.content)


class TestHealthz:
    async def test_answers_without_database_or_hub(self):
        response = await AsyncClient().get("/healthz")
        assert response.status_code == 200
        assert response.json() == {"status": "alive"}
        assert response["Cache-Control"] == "no-store"

    async def test_sets_no_cookie(self):
        response = await AsyncClient().get("/healthz")
        assert not response.cookies

    async def test_only_safe_methods(self):
        response = await AsyncClient().post("/healthz")
        assert response.status_code == 405


@pytest.mark.django_db(transaction=True)
class TestReadyz:
    async def test_ready(self):
        assert await readyz(StillHub()) == (200, {"status": "ready", "reasons": []})

    async def test_hub_that_has_not_started_is_told(self):
        status, answer = await readyz(None)
        assert status == 503
        assert answer["reasons"] == ["The hub has not started in this process."]

    async def test_what_a_balancer_asks_for_is_no_error_in_the_log(self, caplog):
        response = await AsyncClient().get("/readyz")
        assert response.status_code == 503
        assert caplog.messages == []

    async def test_hubs_own_reasons_are_told(self):
        status, answer = await readyz(StillHub("The clock is behind."))
        assert status == 503
        assert answer["reasons"] == ["The clock is behind."]

    async def test_database_away_is_told(self, monkeypatch):
        def away(connection: object) -> None:
            raise DatabaseError("secret host name")

        monkeypatch.setattr("telemetry.ops.health.MigrationExecutor", away)
        status, answer = await readyz(StillHub())
        assert status == 503
        assert answer["reasons"] == ["The database does not answer."]

    async def test_database_that_takes_no_connection_is_told(self, monkeypatch):
        async def away(function: object) -> list[str]:
            raise OperationalError("secret host name")

        monkeypatch.setattr("telemetry.ops.health.on_database_thread", away)
        status, answer = await readyz(StillHub())
        assert status == 503
        assert answer["reasons"] == ["The database does not answer."]

    async def test_missing_migration_is_told(self, monkeypatch):
        plan = "telemetry.ops.health.MigrationExecutor.migration_plan"
        monkeypatch.setattr(plan, lambda *_: ["0002"])
        status, answer = await readyz(StillHub())
        assert status == 503
        assert "manage.py migrate" in str(answer["reasons"])


class TestPolicy:
    """What every answer of the hub carries."""

    @pytest.mark.django_db
    @pytest.mark.parametrize("path", ["/healthz", "/login", "/admin/login/"])
    def test_content_security_policy_is_strict(self, path):
        response = Client().get(path)
        assert response.status_code == 200
        policy = dict(
            directive.strip().split(" ", 1)
            for directive in response["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["connect-src"].startswith("'self' ws://127.0.0.1:8000")
        assert policy["frame-ancestors"] == "'none'"
        assert not any("unsafe" in sources for sources in policy.values())
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["X-Frame-Options"] == "DENY"

    @pytest.mark.django_db
    def test_foreign_host_is_refused(self):
        assert Client().get("/login", HTTP_HOST="evil.example").status_code == 400
