"""docs/howto/deploy.md and the files that it installs speak of the same places."""

from __future__ import annotations

import re

import pytest

from telemetry import conf
from tests.processes import ROOT

from .shipped import DEPLOY

HOWTO = ROOT / "docs" / "howto"
PAGE = (HOWTO / "deploy.md").read_text("utf-8")
BACKUP = (HOWTO / "backup.md").read_text("utf-8")
WORKERS = (HOWTO / "workers.md").read_text("utf-8")


def commands(page: str) -> list[str]:
    """The lines to type in a page's blocks, those of several lines as one."""
    blocks = re.findall(r"^```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    text = "".join(blocks).replace("\\\n", " ")
    found = re.findall(r"^[#$] (.+)$", text, re.MULTILINE)
    return [re.sub(r"\s+", " ", each) for each in found]


def shipped(path: str) -> str:
    return (DEPLOY / path).read_text("utf-8")


def value(unit: str, name: str) -> str:
    """Of one line `name=value` of a unit."""
    (found,) = re.findall(rf"^{name}=(.+)$", shipped(f"systemd/{unit}"), re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("page", [PAGE, BACKUP, WORKERS], ids=["deploy", "backup", ""])
def test_every_command_and_file_that_is_typed_is_there(page):
    files, names = set(), set()
    for line in commands(page):
        files |= set(re.findall(r"(?<![/\w])deploy/[\w./*-]+", line))
        names |= set(re.findall(r"(?:manage\.py|(?:^|&& )hub) ([a-z]+)", line))
    django = {"migrate", "collectstatic", "check"}
    ours = ROOT / "telemetry" / "management" / "commands"
    assert [each for each in files if not list(ROOT.glob(each))] == []
    assert [each for each in names - django if not (ours / f"{each}.py").exists()] == []
    assert files or names


def test_commands_run_as_the_hub_does():
    (made,) = (each for each in commands(PAGE) if each.startswith("hub() {"))
    for unit in ("telemetry-hub.service", "telemetry-backup.service"):
        assert f"--uid {value(unit, 'User')} " in made
        assert f"--working-directory {value(unit, 'WorkingDirectory')} " in made
        assert f"EnvironmentFile={value(unit, 'EnvironmentFile')} " in made
        program = " ".join(value(unit, "ExecStart").split()[:2])
        assert f"{program} " in made
    assert any(line.startswith("useradd ") for line in commands(PAGE))


def test_environment_is_where_the_units_read_it():
    path = value("telemetry-hub.service", "EnvironmentFile")
    assert f"install -m 0600 deploy/env.example {path}" in commands(PAGE)


def test_directories_of_the_environment_are_those_of_the_unit():
    text = shipped("env.example").splitlines()
    assert (
        f"HUB_DATA_DIR=/var/lib/{value('telemetry-hub.service', 'StateDirectory')}"
        in text
    )
    run_dir = f"/run/{value('telemetry-hub.service', 'RuntimeDirectory')}"
    assert f"HUB_RUN_DIR={run_dir}" in text
    for proxy in ("nginx.conf", "haproxy.cfg"):
        assert f"{run_dir}/worker-1.sock" in shipped(proxy)


def test_certificates_are_put_where_the_proxies_look():
    typed = "\n".join(commands(PAGE))
    named = re.findall(r"ssl_certificate(?:_key)? (\S+);", shipped("nginx.conf"))
    assert len(named) == 2
    for path in named:
        assert re.search(rf"-(?:keyout|out) {re.escape(path)}(?: |$)", typed, re.M)
    (both,) = re.findall(r" ssl crt (\S+) ", shipped("haproxy.cfg"))
    assert typed.count(f"> {both}") == 2
    # Nothing secret stays in the directory of the program.
    assert "-keyout privkey.pem" not in typed


def test_authority_finds_certbot_behind_both_proxies():
    typed = "\n".join(commands(PAGE))
    (root,) = re.findall(r"root (/\S+);", shipped("nginx.conf"))
    assert f"--webroot -w {root} " in typed
    assert f"install -d -m 0755 {root}\n" in typed
    (port,) = re.findall(r"server certbot 127\.0\.0\.1:(\d+)", shipped("haproxy.cfg"))
    assert f"--http-01-port {port} " in typed


def test_backups_go_where_the_service_may_write():
    unit = "telemetry-backup.service"
    (directory,) = re.findall(r" backup (\S+) ", value(unit, "ExecStart"))
    assert directory in value(unit, "ReadWritePaths").split()
    typed = "\n".join(commands(BACKUP))
    assert re.search(rf"^install -d -o \S+ -g \S+ -m 0700 {directory}$", typed, re.M)
    assert f"hub restore {directory}/" in typed


def test_haproxy_sees_a_new_worker_before_the_next_one_leaves():
    """A rolling restart goes on as soon as a worker is ready; for the drain's first
    second the next one still takes connections.
    """
    lines = re.findall(r"^    default-server (.+)$", shipped("haproxy.cfg"), re.M)
    options = dict(re.findall(r"(\w+(?:-\w+)?) (\d+)(?:ms|s)?\b", " ".join(lines)))
    seen_after_seconds = int(options["downinter"]) / 1000 * int(options["rise"])
    (wait,) = (each for each in conf.SETTINGS if each.name == "DRAIN_WAIT_SECONDS")
    assert seen_after_seconds < wait.default
    # The second try would go to the same one: it has the fewest connections.
    assert "observe layer4 error-limit 1 on-error mark-down" in lines
