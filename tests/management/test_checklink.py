"""`checklink` as people run it: against a real hub, and against what is none."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.core.management import CommandError, call_command
from websockets.asyncio.server import ServerConnection, serve

from telemetry.fleet.link_check import echo_url
from telemetry.fleet.link_figures import Kind, figures
from telemetry.management.commands.checklink import rate, verdict
from tests.processes import HubProcess, free_port, manage

KEY = "hub_abcdefgh_" + "x" * 43


@pytest.fixture(scope="module")
def hub(shared_hub: HubProcess) -> tuple[HubProcess, str]:
    """A running hub and the key of a device of it."""
    line = shared_hub.manage("createdevice", "pump")
    return shared_hub, line.strip().partition("\t")[2]


def check(*arguments: str) -> str:
    """stdout of the command, run here. Raises CommandError as `manage.py` gets it."""
    output = io.StringIO()
    call_command("checklink", *arguments, stdout=output, stderr=io.StringIO())
    return output.getvalue()


def refusal(*arguments: str) -> tuple[int, str]:
    """The code of exit and the one sentence."""
    with pytest.raises(CommandError) as raised:
        check(*arguments)
    sentence = str(raised.value)
    assert "\n" not in sentence and KEY not in sentence
    return raised.value.returncode, sentence


class TestWithAHub:
    def test_it_says_how_good_the_link_is(self, hub, tmp_path: Path):
        process, key = hub
        arguments = ("checklink", process.url, "--seconds", "1")
        # Nothing of a hub is needed here, not even a database.
        done = manage(tmp_path / "var", *arguments, HUB_KEY=key)
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert f"until ws://127.0.0.1:{process.port}/ws/echo was open" in lines[0]
        assert lines[1].startswith("round trip   p50 ")
        assert lines[1].endswith("(10 of them)")
        assert lines[2].endswith("bit/s, both ways at once")
        assert lines[4].startswith("These round trips are those of ")
        assert lines[5].startswith("Normal round trips (p50): ")
        assert key not in done.stdout

    def test_programs_get_json(self, hub):
        process, key = hub
        url = f"ws://127.0.0.1:{process.port}/ws/device"
        result = json.loads(check(url, "--key", key, "--seconds", "1", "--json"))
        assert result["round_trips"] == 10
        assert 0 < result["p50_ms"] <= result["p99_ms"]
        assert result["connect_ms"] > 0
        assert result["bits_per_second"] > 0
        assert result["kind"] in {kind.value for kind in Kind}
        assert result["ended"] is None

    def test_unknown_key_is_told(self, hub):
        process, _ = hub
        code, sentence = refusal(process.url, "--key", KEY)
        assert code == 1
        assert sentence == (
            "the connection was closed (4401): the hub does not know this key"
        )


@contextmanager
def server(
    handler: Callable[[ServerConnection], Awaitable[None]], **options: Any
) -> Iterator[int]:
    """A WebSocket server that is no hub; its port."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stop = asyncio.Event()
    port = free_port()

    async def run() -> None:
        async with serve(handler, "127.0.0.1", port, max_size=None, **options):
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert started.wait(20)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


async def echo(connection: ServerConnection) -> None:
    async for frame in connection:
        await connection.send(frame)


async def mangle(connection: ServerConnection) -> None:
    async for frame in connection:
        assert isinstance(frame, bytes)
        await connection.send(frame[:-1] + bytes([frame[-1] ^ 1]))


async def swallow(connection: ServerConnection) -> None:
    async for _ in connection:
        pass


async def echo_every_other(connection: ServerConnection) -> None:
    is_due = True
    async for frame in connection:
        if is_due:
            await connection.send(frame)
        is_due = not is_due


async def hang_up(connection: ServerConnection) -> None:
    await connection.close(1011, "out of order")


async def end_in_the_middle(connection: ServerConnection) -> None:
    for _ in range(6):
        await connection.send(await connection.recv())
    await connection.send('{"type":"bye","code":4503,"reason":"restart"}')
    await connection.close(4503)


async def answer_like_another_hub(connection: ServerConnection) -> None:
    await connection.send('{"type":"hello","from":"something else"}')
    await connection.close(4404)


@contextmanager
def plain_socket(answer: bytes) -> Iterator[int]:
    """Something that listens and speaks no WebSocket; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve_once() -> None:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(4_096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve_once)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(20)


class TestAgainstWhatIsNoHub:
    def test_nothing_listens(self):
        port = free_port()
        code, sentence = refusal(f"http://127.0.0.1:{port}", "--key", KEY)
        assert code == 1
        assert sentence == (
            f"expected a hub at 127.0.0.1:{port}, got refused: nothing listens there"
        )

    def test_no_such_machine(self):
        code, sentence = refusal("ws://nowhere.invalid", "--key", KEY)
        assert code == 1
        assert "nowhere.invalid" in sentence

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "got HTTP 404"),
            (b"SSH-2.0-OpenSSH_9.9\r\n", "is it wss:// there?"),
            (b"", "expected a WebSocket at"),
        ],
    )
    def test_another_server(self, answer: bytes, words: str):
        with plain_socket(answer) as port:
            code, sentence = refusal(f"http://127.0.0.1:{port}", "--key", KEY)
        assert code == 1
        assert words in sentence

    def test_tls_where_there_is_none(self):
        with plain_socket(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
            code, sentence = refusal(f"https://127.0.0.1:{port}", "--key", KEY)
        assert code == 1
        assert "is it ws:// there?" in sentence

    def test_certificate_of_one_s_own(self, tmp_path: Path):
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        ca_file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        with server(echo, ssl=context) as port:
            url = f"https://127.0.0.1:{port}"
            code, sentence = refusal(url, "--key", KEY)
            assert code == 1
            assert "expected a certificate that is trusted" in sentence
            assert "--ca" in sentence
            arguments = ("--key", KEY, "--seconds", "1", "--json")
            assert json.loads(check(url, *arguments, "--ca", str(ca_file)))["p50_ms"]

    @pytest.mark.parametrize(
        ("handler", "words"),
        [
            (mangle, "expected what was sent to come back, got another"),
            (hang_up, "the connection was closed (1011): out of order"),
            (answer_like_another_hub, "the hub has no link check; is it an older one?"),
        ],
    )
    def test_a_socket_that_is_no_echo(self, handler, words: str):
        with server(handler) as port:
            code, sentence = refusal(f"ws://127.0.0.1:{port}", "--key", KEY)
        assert code == 1
        assert words in sentence

    def test_what_was_measured_before_the_end_is_told(self):
        output = io.StringIO()
        with server(end_in_the_middle) as port:
            url = f"ws://127.0.0.1:{port}"
            with pytest.raises(CommandError, match=r"\(4503\): restart") as raised:
                call_command("checklink", url, "--key", KEY, stdout=output)
        assert raised.value.returncode == 1
        assert "(5 of them)" in output.getvalue()
        assert "data rate" not in output.getvalue()

    def test_nothing_comes_back(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("telemetry.fleet.link_check.LATE_SECONDS", 0.2)
        with server(swallow) as port:
            code, sentence = refusal(f"ws://127.0.0.1:{port}", "--key", KEY)
        assert code == 1
        assert sentence == "expected a message to come back within 0.2 s, got none"

    def test_what_comes_back_in_part_is_told(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("telemetry.fleet.link_check.LATE_SECONDS", 0.5)
        with server(echo_every_other) as port:
            url = f"ws://127.0.0.1:{port}"
            code, sentence = refusal(url, "--key", KEY, "--seconds", "1")
        assert code == 1
        assert sentence == "expected 10 messages to come back, got 5 within 0.5 s"


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["hub.example.org", "--key", KEY], "expected the address of a hub"),
            (["ftp://hub", "--key", KEY], "expected the address of a hub"),
            (["http://", "--key", KEY], "expected the address of a hub"),
            (["http://hub:port", "--key", KEY], "expected the address of a hub"),
            (["http://hub/g/plant", "--key", KEY], "expected the address of a hub"),
            (["http://a:b@hub", "--key", KEY], "expected the address of a hub"),
            (["http://hub"], "in --key or in the variable HUB_KEY, got none"),
            (["http://hub", "--key", "secret"], "expected a key such as hub_"),
            (["http://hub", "--key", KEY + "\n"], "expected a key such as hub_"),
            (["http://hub", "--key", KEY, "--seconds", "0.9"], "1 to 40, got 0.9"),
            (["http://hub", "--key", KEY, "--seconds", "41"], "1 to 40, got 41"),
            (["http://hub", "--key", KEY, "--seconds", "nan"], "1 to 40, got nan"),
            (["http://hub", "--key", KEY, "--ca", "/no"], "readable PEM file"),
        ],
    )
    def test_wrong_call_ends_with_2(
        self, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.delenv("HUB_KEY", raising=False)
        code, sentence = refusal(*arguments)
        assert code == 2
        assert words in sentence

    @pytest.mark.parametrize(
        ("address", "url"),
        [
            ("http://hub.example.org", "ws://hub.example.org/ws/echo"),
            ("https://hub.example.org/", "wss://hub.example.org/ws/echo"),
            ("ws://127.0.0.1:8000/ws/device", "ws://127.0.0.1:8000/ws/echo"),
            ("wss://[::1]:8443/ws/echo", "wss://[::1]:8443/ws/echo"),
        ],
    )
    def test_every_address_of_a_hub_will_do(self, address: str, url: str):
        assert echo_url(address) == url


@pytest.mark.parametrize(
    ("bits", "words"),
    [(380.0, "0.38 kbit/s"), (64e3, "64 kbit/s"), (1.5e6, "1.5 Mbit/s")],
)
def test_data_rates_are_read_at_a_glance(bits: float, words: str):
    assert rate(bits) == words


def test_a_link_that_is_not_steady_is_told():
    found = figures([2.0] * 50 + [300.0])
    assert found is not None
    assert "local network. They are not steady" in verdict(found)
