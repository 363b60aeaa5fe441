"""`/healthz`: the process answers. `/readyz`: it can do its work, or why not.

Both are for machines as well as people: plain JSON, no session, no database for
`/healthz`, so that a busy database never gets the process restarted.
"""

from __future__ import annotations

from typing import Protocol

from django.db import DatabaseError, InterfaceError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from ..threads import on_database_thread


class Troubled(Protocol):
    """What this room reads of the hub in an ASGI scope."""

    def troubles(self) -> list[str]:
        """Why the hub cannot take readings just now, in words; empty if it can."""


@require_safe
async def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the event loop turns."""
    return _answer({"status": "alive"})


@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """200 `ready`, or 503 with the reasons in words."""
    try:
        reasons = await on_database_thread(database_troubles)
    except (DatabaseError, InterfaceError):
        reasons = [_("The database does not answer.")]
    hub: Troubled | None = getattr(request, "scope", {}).get("telemetry.hub")
    if hub is None:
        reasons.append(_("The hub has not started in this process."))
    else:
        reasons += hub.troubles()
    if reasons:
        return _answer({"status": "not ready", "reasons": reasons}, status=503)
    return _answer({"status": "ready", "reasons": []})


def database_troubles() -> list[str]:
    """What is wrong with the database, in words; empty: nothing. Blocks.

    Raises DatabaseError and InterfaceError when it does not answer.
    """
    executor = MigrationExecutor(connections["default"])
    targets = executor.loader.graph.leaf_nodes()
    if executor.migration_plan(targets):
        return [_("The database is not migrated: run “manage.py migrate”.")]
    return []


def _answer(content: dict[str, object], status: int = 200) -> JsonResponse:
    response = JsonResponse(content, status=status)
    response["Cache-Control"] = "no-store"
    # Django would log each 503 as an error of the hub. A balancer asks every second or
    # two, and what is the matter is told once, where it begins.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
