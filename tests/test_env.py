"""hub_project.env: what the environment may say, and what a wrong value says."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from hub_project import env

ROOT = Path(__file__).resolve().parent.parent


class TestAddress:
    def test_default_is_this_machine_only(self):
        address = env.read_address({})
        assert (address.host, address.port) == ("127.0.0.1", 8000)
        assert address.url == "http://127.0.0.1:8000"
        assert address.origins == (
            "http://127.0.0.1:8000",
            "http://localhost:8000",
            "http://[::1]:8000",
        )
        assert set(address.hosts) == set(env.LOOPBACK_HOSTS)
        assert not address.is_secure

    def test_public_url_is_the_only_origin(self):
        address = env.read_address({"HUB_URL": "https://Hub.example.org/"})
        assert address.url == "https://hub.example.org"
        assert address.origins == ("https://hub.example.org",)
        assert address.socket_origins == ("wss://hub.example.org",)
        assert address.hosts[0] == "hub.example.org"
        assert address.is_secure

    @pytest.mark.parametrize(
        "url, origin",
        [
            ("http://hub:80", "http://hub"),
            ("https://hub:443", "https://hub"),
            ("https://hub:8443", "https://hub:8443"),
            ("http://[fe80::1]:8000", "http://[fe80::1]:8000"),
        ],
    )
    def test_origin_is_written_as_browsers_do(self, url, origin):
        assert env.read_address({"HUB_URL": url}).origins == (origin,)

    def test_everywhere_allows_the_machines_own_names(self):
        address = env.read_address({"HUB_HOST": "0.0.0.0", "HUB_PORT": "9000"})
        name = socket.gethostname().lower()
        assert address.url == f"http://{name}:9000"
        assert name in address.hosts and "localhost" in address.hosts
        assert f"http://{name}:9000" in address.origins
        assert "http://127.0.0.1:9000" in address.origins

    def test_certificate_makes_the_default_url_secure(self):
        address = env.read_address({"HUB_TLS_CERT": "cert.pem"})
        assert address.url == "https://127.0.0.1:8000"
        assert address.is_secure

    @pytest.mark.parametrize("port", ["0", "65536", "-1", "8e3", "ten", "٣", "9" * 99])
    def test_wrong_port_is_told(self, port):
        with pytest.raises(ImproperlyConfigured, match="^HUB_PORT: expected a port"):
            env.read_address({"HUB_PORT": port})

    @pytest.mark.parametrize(
        "url",
        [
            "hub.example.org",
            "ftp://hub.example.org",
            "https://",
            "https://hub/path",
            "https://hub?x",
            "https://user:secret@hub",
            "https://hub:port",
            "http://[::1",
        ],
    )
    def test_wrong_url_is_told(self, url):
        with pytest.raises(ImproperlyConfigured, match="^HUB_URL: expected an address"):
            env.read_address({"HUB_URL": url})

    @given(st.text(max_size=40))
    def test_any_url_is_read_or_told(self, url):
        try:
            address = env.read_address({"HUB_URL": url})
        except ImproperlyConfigured:
            return
        assert address.url.startswith(("http://", "https://"))


class TestTakeAddress:
    @pytest.mark.parametrize(
        "arguments, host, port",
        [
            (["serve", "--host", "0.0.0.0", "--port", "81"], "0.0.0.0", "81"),
            (["serve", "--setup", "--port=82"], None, "82"),
            (["serve"], None, None),
            (["runserver", "83"], None, "83"),
            (["runserver", "--noreload", "[::1]:84"], "::1", "84"),
            (["check", "--port", "85"], None, None),
            ([], None, None),
        ],
    )
    def test_arguments_become_variables(self, arguments, host, port):
        environ: dict[str, str] = {}
        env.take_address(arguments, environ)
        assert environ.get("HUB_HOST") == host
        assert environ.get("HUB_PORT") == port


class TestTls:
    def test_neither_is_none(self):
        assert env.read_tls({}) == ("", "")

    def test_one_alone_or_an_unreadable_one_is_told(self, tmp_path):
        cert = tmp_path / "cert.pem"
        cert.touch()
        with pytest.raises(ImproperlyConfigured, match="^HUB_TLS_KEY: expected"):
            env.read_tls({"HUB_TLS_CERT": str(cert)})
        with pytest.raises(ImproperlyConfigured, match="^HUB_TLS_CERT: expected"):
            env.read_tls({"HUB_TLS_CERT": "/nowhere", "HUB_TLS_KEY": str(cert)})


class TestTrustedProxies:
    def test_addresses_and_networks(self):
        environ = {"HUB_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8,"}
        assert env.read_trusted_proxies(environ) == ("127.0.0.1", "10.0.0.0/8")

    def test_a_name_is_told(self):
        with pytest.raises(
            ImproperlyConfigured, match="^HUB_TRUSTED_PROXIES: expected"
        ):
            env.read_trusted_proxies({"HUB_TRUSTED_PROXIES": "proxy.example"})


class TestDatabase:
    def test_default_is_a_file_in_the_data_dir(self, tmp_path):
        database = env.read_database({}, tmp_path)
        assert database["NAME"] == str(tmp_path / "hub.sqlite3")

    def test_postgresql(self, tmp_path):
        url = "postgresql://hub:p%40ss@db:5433/telemetry"
        database = env.read_database({"DATABASE_URL": url}, tmp_path)
        assert database["ENGINE"] == "django.db.backends.postgresql"
        assert (database["HOST"], database["PORT"]) == ("db", 5433)
        assert (database["NAME"], database["PASSWORD"]) == ("telemetry", "p@ss")

    @pytest.mark.parametrize(
        "url",
        [
            "sqlite://",
            "sqlite://:memory:",
            "mysql://a/b",
            "secret",
            "postgresql://u:secret@h",
        ],
    )
    def test_wrong_url_is_told_without_its_password(self, url, tmp_path):
        with pytest.raises(ImproperlyConfigured, match="^DATABASE_URL: ") as caught:
            env.read_database({"DATABASE_URL": url}, tmp_path)
        assert "u:secret" not in str(caught.value)


class TestSecrets:
    def test_file_stands_for_the_variable(self, tmp_path):
        file = tmp_path / "redis"
        file.write_text("redis://cache:6379/1\n")
        environ = {"REDIS_URL_FILE": str(file)}
        assert env.read_redis_url(environ) == "redis://cache:6379/1"

    def test_both_is_told(self, tmp_path):
        environ = {"SECRET_KEY": "a", "SECRET_KEY_FILE": "b"}
        with pytest.raises(ImproperlyConfigured, match="got both"):
            env.read_secret_key(environ, tmp_path)

    def test_missing_and_empty_file_are_told(self, tmp_path):
        empty = tmp_path / "empty"
        empty.touch()
        for path in (str(empty), "/nowhere"):
            with pytest.raises(
                ImproperlyConfigured, match="^SECRET_KEY_FILE: expected"
            ):
                env.read_secret_key({"SECRET_KEY_FILE": path}, tmp_path)

    def test_wrong_redis_url_is_told_without_its_password(self):
        with pytest.raises(ImproperlyConfigured, match="^REDIS_URL: ") as caught:
            env.read_redis_url({"REDIS_URL": "http://:secret@cache"})
        assert "secret" not in str(caught.value)


class TestSecretKey:
    def test_made_once_and_kept_for_the_owner_alone(self, tmp_path):
        data_dir = tmp_path / "var"
        key = env.read_secret_key({}, data_dir)
        assert len(key) >= 50
        assert env.read_secret_key({}, data_dir) == key
        mode = stat.S_IMODE((data_dir / "secret_key").stat().st_mode)
        assert mode == 0o600

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root looks in for others")
    def test_key_that_root_makes_is_that_of_the_owner_of_the_directory(self, tmp_path):
        try:
            os.chown(tmp_path, 10001, 10002)
        except OSError as error:
            pytest.skip(f"root of this machine has no other users: {error}")
        env.read_secret_key({}, tmp_path)
        made = (tmp_path / "secret_key").stat()
        assert (made.st_uid, made.st_gid) == (10001, 10002)

    def test_processes_that_start_at_once_agree(self, tmp_path):
        program = (
            "import sys, pathlib; from hub_project import env;"
            "print(env.read_secret_key({}, pathlib.Path(sys.argv[1])))"
        )

        def start(_: int) -> str:
            command = [sys.executable, "-c", program, str(tmp_path / "var")]
            return subprocess.run(
                command, cwd=ROOT, check=True, capture_output=True, text=True
            ).stdout

        with ThreadPoolExecutor(6) as pool:
            keys = set(pool.map(start, range(6)))
        assert len(keys) == 1
        assert [each.name for each in (tmp_path / "var").iterdir()] == ["secret_key"]

    def test_short_one_is_told_without_showing_it(self, tmp_path):
        with pytest.raises(ImproperlyConfigured) as caught:
            env.read_secret_key({"SECRET_KEY": "s3cret" * 5}, tmp_path)
        told = "SECRET_KEY: expected at least 32 characters, got 30."
        assert str(caught.value) == told
        long = "s3cret" * 6
        assert env.read_secret_key({"SECRET_KEY": long}, tmp_path) == long

    def test_two_installations_differ(self, tmp_path):
        assert env.read_secret_key({}, tmp_path / "a") != env.read_secret_key(
            {}, tmp_path / "b"
        )

    def test_empty_file_is_told_not_used(self, tmp_path):
        (tmp_path / "secret_key").touch()
        with pytest.raises(ImproperlyConfigured, match="^SECRET_KEY: expected"):
            env.read_secret_key({}, tmp_path)


class TestRest:
    @pytest.mark.parametrize("text, value", [("1", True), ("on", True), ("0", False)])
    def test_switch(self, text, value):
        assert env.read_bool({"HUB_DEBUG": text}, "HUB_DEBUG") is value
        assert env.read_bool({}, "HUB_DEBUG") is False

    def test_wrong_switch_is_told(self):
        with pytest.raises(ImproperlyConfigured, match="HUB_DEBUG: expected 1 or 0"):
            env.read_bool({"HUB_DEBUG": "maybe"}, "HUB_DEBUG")

    def test_unknown_name_is_told(self):
        with pytest.raises(ImproperlyConfigured, match="^HUB_PROT: expected one of"):
            env.check_names({"HUB_PROT": "80", "HOME": "/"})

    @pytest.mark.parametrize(
        "name, near", [("HUB_PROT", "HUB_PORT"), ("HUB_DATADIR", "HUB_DATA_DIR")]
    )
    def test_unknown_name_near_a_known_one_gets_a_hint(self, name, near):
        with pytest.raises(ImproperlyConfigured, match=f"Did you mean {near}\\?$"):
            env.check_names({name: "80"})

    def test_unknown_name_far_from_all_gets_none(self):
        with pytest.raises(ImproperlyConfigured, match="got an unknown name\\.$"):
            env.check_names({"HUB_XYZZY": "80"})

    def test_data_dir_has_to_be_a_directory(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(ImproperlyConfigured, match="^HUB_DATA_DIR: expected"):
            env.read_data_dir({"HUB_DATA_DIR": "file"}, tmp_path)

    def test_run_dir_is_in_the_data_dir_unless_it_is_named(self, tmp_path):
        data_dir = tmp_path / "var"
        assert env.read_run_dir({}, tmp_path, data_dir) == data_dir / "run"
        named = {"HUB_RUN_DIR": "/run/hub"}
        assert str(env.read_run_dir(named, tmp_path, data_dir)) == "/run/hub"
        (tmp_path / "file").touch()
        with pytest.raises(ImproperlyConfigured, match="^HUB_RUN_DIR: expected"):
            env.read_run_dir({"HUB_RUN_DIR": "file"}, tmp_path, data_dir)

    @pytest.mark.parametrize("name", ["", "worker-1", "a.example.org", "x" * 32])
    def test_name_of_a_process_is_short_and_plain(self, name):
        assert env.read_worker({"HUB_WORKER": name}) == name

    @pytest.mark.parametrize("name", ["x" * 33, "a b", "a\nb", "worker-1\n", "é", "a]"])
    def test_other_names_would_forge_a_log_line(self, name):
        with pytest.raises(
            ImproperlyConfigured, match="^HUB_WORKER: expected up to 32"
        ):
            env.read_worker({"HUB_WORKER": name})
