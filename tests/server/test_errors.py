"""hub_project.errors: what a visitor hears when a request failed."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import HttpRequest
from django.test import AsyncClient, Client
from django.urls import include, path


async def view(request: HttpRequest, kind: str) -> None:
    kinds = (OperationalError, InterfaceError, IntegrityError, KeyError)
    raise {each.__name__: each for each in kinds}[kind]("a secret")


urlpatterns = [
    path("fail/<str:kind>", view),  # type: ignore[arg-type]
    # Error pages have links.
    path("", include("hub_project.urls")),
]
handler500 = "hub_project.errors.failed"


@pytest.mark.urls(__name__)
@pytest.mark.django_db
@pytest.mark.parametrize(
    "kind, status",
    [
        ("OperationalError", 503),
        ("InterfaceError", 503),
        ("IntegrityError", 500),
        ("KeyError", 500),
    ],
)
class TestFailed:
    async def test_it_says_whether_to_try_again(self, kind: str, status: int) -> None:
        client = AsyncClient(raise_request_exception=False)
        response = await client.get(f"/fail/{kind}")
        assert response.status_code == status
        assert response.headers.get("Retry-After") == ("5" if status == 503 else None)
        assert b"secret" not in response.content
        words = b"The database does not answer" if status == 503 else b"went wrong"
        assert words in response.content

    def test_and_so_it_does_in_a_thread(self, kind: str, status: int) -> None:
        client = Client(raise_request_exception=False)
        assert client.get(f"/fail/{kind}").status_code == status


def test_the_project_answers_so() -> None:
    from hub_project import urls  # The others are this module's.

    assert urls.handler500 == handler500
