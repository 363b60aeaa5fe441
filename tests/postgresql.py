"""PostgreSQL as the database of this process, whatever the other tests run on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.utils import load_backend

from hub_project import env
from telemetry import threads

from .processes import manage


def new_database(postgres_url: str, data_dir: Path) -> str:
    """The address of a new database with all tables."""
    import psycopg  # Only machines with PostgreSQL need it.

    name = f"hub_{secrets.token_hex(8)}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    url = f"{postgres_url.rsplit('/', 1)[0]}/{name}"
    done = manage(data_dir, "migrate", "--verbosity", "0", DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    return url


@contextmanager
def as_default(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`default` is that database meanwhile, on this thread and on all that begin."""
    settings = {
        **connections.settings["default"],
        "OPTIONS": {},
        **env.read_database({"DATABASE_URL": url}, Path()),
        "ENGINE": "telemetry.patience",  # As in the project's settings.
    }
    others = connections["default"]
    executor = ThreadPoolExecutor(1, thread_name_prefix="database")
    with monkeypatch.context() as patch:
        patch.setitem(connections.settings, "default", settings)
        patch.setattr(threads, "_executor", executor)
        connections["default"] = wrapper(settings)
        try:
            yield
        finally:
            executor.submit(connections.close_all).result()
            executor.shutdown()
            connections["default"].close()
            connections["default"] = others


def wrapper(settings: dict[str, Any]) -> Any:
    """A connection of its own with these settings, not open yet."""
    return load_backend(settings["ENGINE"]).DatabaseWrapper(settings, "default")
