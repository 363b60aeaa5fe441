"""What commands say where no hub was ever started, and what they leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import manage


@pytest.mark.parametrize(
    "command",
    [
        ("createdevice", "boiler"),
        ("createtoken", "screen", "--user", "admin", "--kind", "script"),
        ("simulate", "--seconds", "1"),
    ],
    ids=lambda command: command[0],
)
def test_command_without_tables_names_the_database_and_makes_none(tmp_path, command):
    data_dir: Path = tmp_path / "var"
    done = manage(data_dir, *command)
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("CommandError: the database lacks its tables, ")
    assert f"({data_dir / 'hub.sqlite3'})" in line
    assert done.returncode == 2
    # Root's would be in the way of the hub, which has a user of its own.
    assert [each.name for each in data_dir.iterdir()] == ["secret_key"]
