"""telemetry.checks: `check --deploy` names each unsafe setting of a production hub."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from telemetry import checks
from tests.processes import ROOT, environment

SAFE = {
    "HUB_URL": "https://hub.example.org",
    "HUB_TRUSTED_PROXIES": "127.0.0.1,10.1.0.0/16,fd00::/64",
}
# Nothing listens there: only the names are looked at.
ELSEWHERE = "postgresql://u:p@db.invalid:1/x"
HERE = "postgresql://u:p@127.0.0.1:1/x"


def deploy_check(data_dir: Path, **variables: str) -> list[str]:
    """The ids that `manage.py check --deploy` names, the hub's own and Django's."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=ROOT,
        env=environment(data_dir, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return re.findall(r"\?: \((\S+)\)", done.stderr)


def test_safe_settings_give_no_warning(tmp_path: Path) -> None:
    assert deploy_check(tmp_path / "var", **SAFE) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables, ids",
    [
        ({"HUB_TRUSTED_PROXIES": "10.0.0.0/15"}, ["W107"]),
        ({"HUB_TRUSTED_PROXIES": "::/0"}, ["W107"]),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, ["W103"]),
        (
            {"DATABASE_URL": HERE, "REDIS_URL": "redis://10.0.0.1,redis://:p@10.0.0.2"},
            ["W104"],
        ),
        ({"DATABASE_URL": HERE, "REDIS_URL": "redis://:p@10.0.0.1:1/0"}, []),
        ({"DATABASE_URL": HERE, "REDIS_URL": "unix:///run/redis.sock"}, []),
        ({"DATABASE_URL": HERE, "REDIS_URL": "sentinel://10.0.0.1/hub"}, ["W104"]),
        ({"DATABASE_URL": HERE, "REDIS_URL": "sentinel://:p@10.0.0.1/hub"}, []),
        ({"DATABASE_URL": ELSEWHERE}, ["W106"]),
        ({"DATABASE_URL": ELSEWHERE, "SECRET_KEY": "x" * 50}, []),
        ({"DATABASE_URL": HERE}, []),
    ],
    ids=lambda each: str(each).replace("/", "|")[:60],
)
def test_unsafe_setting_is_named(
    tmp_path: Path, variables: dict[str, str], ids: list[str]
) -> None:
    found = deploy_check(tmp_path / "var", **{**SAFE, **variables})
    # Django's own word for a key of one character is its own affair.
    ours = [each for each in found if each.startswith("telemetry")]
    assert ours == [f"telemetry.{each}" for each in ids]


def test_debug_and_no_https_are_named_beside_djangos_own(tmp_path: Path) -> None:
    found = deploy_check(tmp_path / "var", HUB_DEBUG="1")
    assert {"telemetry.W101", "telemetry.W102", "security.W018"} <= set(found)


def test_files_that_others_may_open_are_named(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    assert deploy_check(data_dir, **SAFE) == []
    # As a proxy's group may enter it.
    data_dir.chmod(0o710)
    assert deploy_check(data_dir, **SAFE) == []
    data_dir.chmod(0o711)
    (data_dir / "secret_key").chmod(0o640)
    assert deploy_check(data_dir, **SAFE) == ["telemetry.W108", "telemetry.W109"]


@pytest.mark.django_db
class TestDurability:
    def test_database_as_it_comes_is_durable(self) -> None:
        assert checks.check_durability(None) == []

    def test_postgresql_that_does_not_wait_for_the_disk_is_named(self) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has no such setting: the hub sets it itself")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
        (found,) = checks.check_durability(None)
        assert found.id == "telemetry.W105"
        assert found.msg == "PostgreSQL has synchronous_commit = off."


def test_server_that_is_away_is_no_finding(tmp_path: Path) -> None:
    assert deploy_check(tmp_path / "var", **SAFE, DATABASE_URL=HERE) == []
