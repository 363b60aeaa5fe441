"""`manage.py serve`: set-up, errors in one sentence, sockets, drain; real processes."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sqlite3
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.processes import HubProcess, fetch, free_port, manage, wait_until


def key_of(hub: HubProcess, name: str = "boiler") -> str:
    """Make a device; returns its key."""
    line = hub.manage("createdevice", name, "--group", "cellar").strip()
    _slug, key = line.split("\t")
    return key


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class TestSetUp:
    def test_first_start_makes_everything_and_second_keeps_it(self, tmp_path):
        hub = HubProcess(tmp_path / "var")
        hub.start()
        found = re.search(r"user: admin +password: (\S{12,})", hub.output)
        assert found, hub.output
        assert f"The hub is ready: {hub.url}\n" in hub.output
        assert fetch(f"{hub.url}/readyz")[0] == 200
        assert hub.stop() == 0

        mode = stat.S_IMODE(hub.data_dir.stat().st_mode)
        assert mode == 0o700
        stamp = (hub.data_dir / "static.stamp").stat().st_mtime_ns
        first = hub.output

        hub.start()
        again = hub.output.removeprefix(first)
        assert "The hub is ready" in again
        assert "password" not in again
        assert (hub.data_dir / "static.stamp").stat().st_mtime_ns == stamp
        assert hub.stop() == 0
        # Django's own word for it.
        with sqlite3.connect(hub.data_dir / "hub.sqlite3") as database:
            users = database.execute("SELECT count(*) FROM auth_user").fetchone()
        database.close()
        assert users == (1,)

    def test_database_is_made_as_the_journal_needs_it(self, hub):
        hub.start()
        hub.stop()
        database = sqlite3.connect(hub.data_dir / "hub.sqlite3")
        found = [
            database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "auto_vacuum", "journal_mode")
        ]
        database.close()
        assert found == [4096, 2, "wal"]

    def test_says_where_to_go_next(self, shared_hub):
        for words in ("createdevice", "/api/v1/ingest", "/ws/device", "make demo"):
            assert words in shared_hub.output

    def test_without_set_up_a_missing_database_is_told(self, tmp_path):
        done = manage(tmp_path / "var", "serve", HUB_PORT=str(free_port()))
        assert done.returncode == 2
        assert "manage.py migrate" in done.stderr
        assert "Traceback" not in done.stderr


class TestPages:
    def test_static_files_have_hashed_names_and_are_kept_for_ever(self, shared_hub):
        status, _, page = fetch(f"{shared_hub.url}/login")
        assert status == 200
        names = re.findall(rb'(?:href|src)="(/static/[^"]+)"', page)
        assert names
        for name in names:
            status, headers, body = fetch(shared_hub.url + name.decode())
            assert status == 200 and body
            assert re.search(rb"\.[0-9a-f]{12}\.(css|js|svg|png|ico)$", name)
            assert "max-age=315360000" in headers["Cache-Control"]

    def test_modules_import_hashed_names(self, shared_hub):
        manifest = json.loads(
            (shared_hub.data_dir / "static" / "staticfiles.json").read_text()
        )
        names = [
            name
            for source, name in manifest["paths"].items()
            if source.startswith("telemetry/js/") and source.endswith(".js")
        ]
        assert names
        for name in names:
            _, _, body = fetch(f"{shared_hub.url}/static/{name}")
            for target in re.findall(rb"""from\s*["'](\.[^"']+)["']""", body):
                assert re.search(rb"\.[0-9a-f]{12}\.js$", target), (name, target)

    def test_answer_names_no_server_software(self, shared_hub):
        _, headers, _ = fetch(f"{shared_hub.url}/healthz")
        assert "Server" not in headers


class TestWrongValues:
    @pytest.mark.parametrize(
        "variables, sentence",
        [
            ({"HUB_PORT": "http"}, "HUB_PORT: expected a port from 1 to 65535, "),
            ({"HUB_URL": "hub"}, "HUB_URL: expected an address such as "),
            ({"HUB_PROT": "1"}, "HUB_PROT: expected one of HUB_HOST, "),
            ({"DATABASE_URL": "x"}, "DATABASE_URL: expected sqlite:///PATH or "),
            ({"REDIS_URL": "x"}, "REDIS_URL: expected redis://HOST:PORT/0, "),
            ({"TELEMETRY_WINDOW": "65"}, "TELEMETRY_WINDOW: expected a whole number "),
            ({"TELEMETRY_WINDOWS": "6"}, "TELEMETRY_WINDOWS: expected the name of "),
            ({"HUB_TLS_CERT": "/no"}, "HUB_TLS_CERT: expected a readable PEM file "),
            (
                {
                    "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x",
                    "HUB_PORT": str(free_port()),
                },
                "DATABASE_URL: expected a database that the hub can use, ",
            ),
            ({"HUB_HOST": "192.0.2.1"}, "HUB_HOST and HUB_PORT: expected an address "),
        ],
        ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
    )
    def test_start_stops_with_one_sentence(self, tmp_path, variables, sentence):
        done = manage(tmp_path / "var", "serve", "--setup", **variables)
        assert done.returncode == 2
        (line,) = done.stderr.strip().splitlines()
        assert line.removeprefix("CommandError: ").startswith(sentence)
        assert re.search(", got:? ", line)

    def test_taken_port_is_told_before_anything_is_made(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            done = manage(tmp_path / "var", "serve", "--setup", "--port", port)
        assert done.returncode == 2
        (line,) = done.stderr.strip().splitlines()
        assert f"got 127.0.0.1 and {port} (Address already in use)" in line
        assert line.endswith(".") and "Choose another port: HUB_PORT=" in line
        assert not (tmp_path / "var" / "hub.sqlite3").exists()

    def test_key_that_does_not_fit_the_certificate_is_told(self, tmp_path):
        one, other = (trustme.CA().issue_cert("localhost") for _ in range(2))
        one.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
        other.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        done = manage(
            *(tmp_path / "var", "serve", "--setup", "--port", str(free_port())),
            *("--tls-cert", str(tmp_path / "cert.pem")),
            *("--tls-key", str(tmp_path / "key.pem")),
        )
        assert done.returncode == 2
        assert "HUB_TLS_CERT and HUB_TLS_KEY: expected" in done.stderr
        assert "Traceback" not in done.stderr


class TestSockets:
    async def test_reading_is_acked_over_a_socket(self, shared_hub):
        key = key_of(shared_hub, "pump")
        url = f"ws://127.0.0.1:{shared_hub.port}/ws/device"
        async with connect(url, additional_headers=bearer(key)) as device:
            await device.send('{"type":"hello","session":"a"}')
            assert json.loads(await device.recv())["type"] == "welcome"
            await device.send('{"type":"data","seq":1,"values":{"temp":21.5}}')
            assert json.loads(await device.recv()) == {"type": "ack", "seq": 1}

    async def test_unknown_path_is_accepted_and_closed_with_a_reason(self, shared_hub):
        async with connect(f"ws://127.0.0.1:{shared_hub.port}/ws/nothing") as stray:
            with pytest.raises(ConnectionClosed) as caught:
                await stray.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 4404
        assert caught.value.rcvd.reason
        assert "ERROR" not in shared_hub.output

    async def test_message_over_the_servers_limit_is_1009(self, shared_hub):
        key = key_of(shared_hub, "pump")
        url = f"ws://127.0.0.1:{shared_hub.port}/ws/device"
        async with connect(url, additional_headers=bearer(key)) as device:
            await device.send(b"x" * 131_073)
            with pytest.raises(ConnectionClosed) as caught:
                while True:
                    await device.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009

    async def test_compression_is_not_offered(self, shared_hub):
        async with connect(f"ws://127.0.0.1:{shared_hub.port}/ws/nothing") as socket_:
            assert socket_.response is not None
            assert "Sec-WebSocket-Extensions" not in socket_.response.headers


class TestDrain:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_open_sockets_are_told_and_what_was_sent_is_acked(self, hub, number):
        hub.start()
        key = key_of(hub)
        url = f"ws://127.0.0.1:{hub.port}/ws/device"
        async with connect(url, additional_headers=bearer(key)) as device:
            await device.send('{"type":"hello","session":"a"}')
            await device.recv()
            await device.send('{"type":"data","seq":1,"values":{"temp":21.5}}')
            assert hub.process is not None
            hub.process.send_signal(number)
            messages = []
            with pytest.raises(ConnectionClosed) as caught:
                while True:
                    messages.append(json.loads(await device.recv()))
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 4503
        assert messages[-1]["type"] == "bye" and messages[-1]["code"] == 4503
        code = await asyncio.to_thread(hub.process.wait, 30)
        assert code == 0
        assert hub.output.endswith("The hub has stopped.\n")
        assert "Traceback" not in hub.output

    async def test_acked_reading_is_there_after_a_restart(self, hub):
        hub.start()
        key = key_of(hub)
        url = f"ws://127.0.0.1:{hub.port}/ws/device"
        hello = '{"type":"hello","session":"a"}'
        async with connect(url, additional_headers=bearer(key)) as device:
            await device.send(hello)
            await device.recv()
            await device.send('{"type":"data","seq":1,"values":{"temp":21.5}}')
            await device.recv()
        await asyncio.to_thread(hub.stop)
        await asyncio.to_thread(hub.start)
        async with connect(url, additional_headers=bearer(key)) as device:
            await device.send(hello)
            assert json.loads(await device.recv())["acked"] == 1


class TestTls:
    async def test_device_connects_over_wss(self, hub, tmp_path):
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
        certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        hub.command = (
            *("serve", "--tls-cert", str(tmp_path / "cert.pem")),
            *("--tls-key", str(tmp_path / "key.pem")),
        )
        hub.start()
        assert f"The hub is ready: https://127.0.0.1:{hub.port}" in hub.output
        headers = bearer(key_of(hub))
        url = f"wss://127.0.0.1:{hub.port}/ws/device"
        context = _trusting(authority)
        async with connect(url, ssl=context, additional_headers=headers) as device:
            await device.send('{"type":"hello","session":"a"}')
            assert json.loads(await device.recv())["device"] == "boiler"


def _trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


class TestHalfRequests:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "start",
        [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"],
        ids=["nothing", "half a header"],
    )
    def test_connection_that_does_not_ask_is_closed(self, shared_hub, start):
        with socket.create_connection(
            ("127.0.0.1", shared_hub.port), timeout=30
        ) as slow:
            slow.sendall(start)
            assert slow.recv(1) == b""


@pytest.mark.slow
def test_hubs_that_start_at_once_share_one_set_up(tmp_path):
    hubs = [HubProcess(tmp_path / "var") for _ in range(2)]
    hubs[1].log = tmp_path / "second.log"
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(HubProcess.start, hubs))
        wait_until(
            lambda: all("is ready" in hub.output for hub in hubs), "both are ready"
        )
        assert sorted(hub.output.count("password: ") for hub in hubs) == [0, 1]
    finally:
        for hub in hubs:
            hub.end()
