"""The files of deploy/ as the programs read them that they are for.

There is no Docker engine here: the image's recipe and the compose file are only read.
"""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess

import pytest
import yaml

from hub_project import env
from telemetry import conf
from tests.processes import ROOT

from .shipped import DEPLOY, Place, nginx_command, program

UNITS = ["telemetry-hub.service", "telemetry-backup.service", "telemetry-backup.timer"]


def ran(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


class TestProxies:
    @pytest.mark.parametrize("name", ["nginx.conf", "compose-nginx.conf"])
    def test_nginx_takes_its_file(self, place: Place, name):
        path = place.nginx(["unix:/run/a.sock", "unix:/run/b.sock"], name)
        code, said = ran([*nginx_command(path), "-t"])
        assert (code, "warn" in said) == (0, False), said

    def test_haproxy_takes_its_file(self, place: Place):
        path = place.haproxy(["unix@/run/a.sock", "unix@/run/b.sock"])
        code, said = ran([program("haproxy"), "-c", "-f", str(path)])
        assert (code, "WARNING" in said) == (0, False), said

    def test_haproxy_gets_to_the_sockets_of_the_unit(self):
        unit = (DEPLOY / "systemd" / "telemetry-hub.service").read_text("utf-8")
        (hub,) = re.findall(r"^Group=(\S+)$", unit, re.MULTILINE)
        text = (DEPLOY / "haproxy.cfg").read_text("utf-8")
        # The one group that HAProxy keeps.
        assert re.findall(r"^    group (\S+)$", text, re.MULTILINE) == [hub]

    def test_both_nginx_files_differ_in_the_upstream_alone(self):
        texts = []
        for name in ("nginx.conf", "compose-nginx.conf"):
            text = (DEPLOY / name).read_text("utf-8").partition("\n\n")[2]
            text = re.sub(
                r"upstream telemetry_hub \{.*?\n    \}\n", "", text, flags=re.S
            )
            texts.append(re.sub(r"^user \S+;", "", text, flags=re.M))
        assert texts[0] == texts[1]

    def test_imports_fit_through_nginx(self):
        (setting,) = (each for each in conf.SETTINGS if each.name == "IMPORT_BYTES")
        text = (DEPLOY / "nginx.conf").read_text("utf-8")
        found = re.search(r"client_max_body_size (\d+)m;", text)
        assert found is not None
        assert int(found[1]) * 1_048_576 == setting.default


class TestSystemd:
    @pytest.mark.parametrize("name", UNITS)
    def test_unit_is_whole(self, name):
        unit = configparser.ConfigParser(interpolation=None, strict=False)
        unit.optionxform = str  # type: ignore[assignment]
        unit.read(DEPLOY / "systemd" / name)
        assert set(unit.sections()) <= {"Unit", "Service", "Timer", "Install"}
        if not name.endswith(".service"):
            return
        service = unit["Service"]
        assert service["User"] == service["Group"] == "telemetry-hub"
        assert service["NoNewPrivileges"] == "yes"
        command = service["ExecStart"].split()
        assert command[:2] == ["/opt/telemetry-hub/.venv/bin/python", "manage.py"]
        assert (ROOT / "telemetry/management/commands" / f"{command[2]}.py").exists()

    def test_hub_has_time_to_drain(self):
        text = (DEPLOY / "systemd" / "telemetry-hub.service").read_text("utf-8")
        assert "TimeoutStopSec=60" in text.splitlines()
        assert "LimitNOFILE=200000" in text.splitlines()

    def test_hub_outlives_a_worker_that_the_kernel_kills(self):
        text = (DEPLOY / "systemd" / "telemetry-hub.service").read_text("utf-8")
        service = text.partition("[Service]")[2].partition("[Install]")[0]
        assert "OOMPolicy=continue" in service.splitlines()

    def test_systemd_finds_nothing_wrong(self, tmp_path):
        verify = shutil.which("systemd-analyze")
        if verify is None:
            pytest.skip("systemd-analyze is not there; the units were parsed alone")
        for name in UNITS:
            text = (DEPLOY / "systemd" / name).read_text("utf-8")
            # Of this machine: it looks for the program and the user.
            text = text.replace("/opt/telemetry-hub/.venv/bin/python", "/bin/true")
            text = text.replace("file:/opt/telemetry-hub", "file:/opt")
            (tmp_path / name).write_text(text)
        paths = [str(tmp_path / name) for name in UNITS]
        code, said = ran([verify, "verify", "--man=no", *paths])
        own = [line for line in said.splitlines() if "telemetry-" in line]
        # Where no systemd runs it may not get further than reading.
        assert own == [], said
        assert code == 0 or "Failed to" in said, said


class TestEnvironment:
    def test_example_names_what_there_is(self):
        text = (DEPLOY / "env.example").read_text("utf-8")
        names = re.findall(r"^([A-Z_]+)=", text, re.MULTILINE)
        known = {*env.NAMES, "DATABASE_URL", "REDIS_URL", "SECRET_KEY"}
        assert len(names) >= 6 and set(names) <= known


class TestImage:
    def test_all_that_is_copied_is_there_and_let_in(self):
        text = (DEPLOY / "Dockerfile").read_text("utf-8")
        ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8")
        let_in = set(re.findall(r"^!(\S+)$", ignored, re.MULTILINE))
        copied = set()
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
            copied |= set(line.split()[:-1])
        assert copied == let_in
        assert [each for each in copied if not (ROOT / each).exists()] == []

    def test_programs_that_the_hub_looks_for_are_in_the_last_stage(self):
        wanted = set()
        for path in (ROOT / "hub_project").glob("*.py"):
            text = path.read_text("utf-8")
            wanted |= set(re.findall(r'shutil\.which\("(\w+)"', text))
        assert wanted
        last = (DEPLOY / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
        for name in wanted:
            line = rf"^COPY --from=\w+ \S+/{name} /usr/local/bin/"
            assert re.search(line, last, re.MULTILINE), name

    def test_instructions_are_those_of_a_dockerfile(self):
        text = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
        lines = [each for each in text.splitlines() if each and each[0] != "#"]
        known = "FROM WORKDIR COPY RUN ENV USER VOLUME EXPOSE STOPSIGNAL"
        words = [each.split()[0] for each in lines if not each.startswith(" ")]
        assert set(words) <= {*known.split(), "HEALTHCHECK", "ENTRYPOINT", "CMD"}
        stages = re.findall(r"^FROM \S+(?: AS (\w+))?$", text, re.MULTILINE)
        assert set(re.findall(r"--from=(\w+)", text)) == set(filter(None, stages))
        # Not as root, and what starts is a list: no shell swallows SIGTERM.
        assert words.index("USER") < words.index("ENTRYPOINT")
        for part in re.findall(r"(?:ENTRYPOINT|CMD) (\[.+\])", text):
            assert all(isinstance(each, str) for each in json.loads(part))


class TestCompose:
    @pytest.fixture
    def compose(self):
        return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))

    def test_all_that_is_named_is_declared(self, compose):
        services = compose["services"]
        assert set(services) == {"hub", "postgres", "redis", "nginx"}
        for service in services.values():
            assert set(service["networks"]) <= set(compose["networks"])
            assert set(service.get("secrets", [])) <= set(compose["secrets"])
            assert set(service.get("depends_on", {})) <= set(services)
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if not source.startswith("."):
                    assert source in compose["volumes"]
        build = services["hub"]["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
        assert (DEPLOY / "compose-nginx.conf").is_file()

    def test_nobody_is_taken_for_ready_who_is_not(self, compose):
        services = compose["services"]
        # The server of the first initialization answers on its socket alone.
        (_, command) = services["postgres"]["healthcheck"]["test"]
        assert command.startswith("pg_isready -h 127.0.0.1 ")
        # nginx keeps the address that it found.
        assert services["nginx"]["depends_on"]["hub"] == {
            "condition": "service_healthy",
            "restart": True,
        }
        assert services["hub"]["init"] is True

    def test_only_the_proxy_is_open_to_the_world(self, compose):
        services = compose["services"]
        assert [name for name, each in services.items() if "ports" in each] == ["nginx"]
        assert compose["networks"]["back"]["internal"] is True

    def test_hub_gets_variables_that_there_are(self, compose):
        known = {*env.NAMES, "DATABASE_URL_FILE", "REDIS_URL", "SECRET_KEY_FILE"}
        variables = compose["services"]["hub"]["environment"]
        assert set(variables) <= known
        subnet = compose["networks"]["front"]["ipam"]["config"][0]["subnet"]
        assert env.read_trusted_proxies(variables) == (subnet,)
