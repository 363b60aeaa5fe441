"""TLS end to end: devices and viewers through a real proxy, to a real hub."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import shutil
import ssl
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest
import trustme
from websockets.asyncio.client import ClientConnection, connect

from tests.processes import HubProcess, manage, wait_until

from .shipped import NAME, Place, nginx_command, program, running

PATIENCE_SECONDS = 30.0
CHALLENGES = "/.well-known/acme-challenge/"


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


class Behind:
    """A hub behind a proxy: a device's key, a viewer's token, and the way there."""

    def __init__(self, hub: HubProcess, place: Place) -> None:
        self.hub, self.place = hub, place
        line = hub.manage("createdevice", "boiler", "--group", "cellar").strip()
        self.key = line.split("\t")[1]
        self.token = hub.manage(
            "createtoken", "watch", "--user", "admin", "--kind", "script"
        ).strip()

    def open(self, path: str, **headers: str) -> connect:
        # The name of the certificate; this machine has no such address.
        return connect(
            f"wss://{NAME}:{self.place.https}{path}",
            ssl=trusting(self.place.authority),
            host="127.0.0.1",
            port=self.place.https,
            additional_headers=headers,
            open_timeout=PATIENCE_SECONDS,
        )


async def until(socket: ClientConnection, type_: str) -> dict[str, object]:
    """The next message of a type."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            message: dict[str, object] = json.loads(await socket.recv())
            if message["type"] == type_:
                return message


async def assert_device_and_viewer_meet(behind: Behind) -> None:
    """A device sends and is acked, a viewer sees it, both over wss."""
    hub = behind.hub
    bearer = {"Authorization": f"Bearer {behind.key}"}
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
    async with (
        behind.open("/ws/device", **forged, **bearer) as device,
        behind.open("/ws/live") as viewer,
    ):
        await device.send('{"type":"hello","session":"a"}')
        await until(device, "welcome")
        await viewer.send(json.dumps({"type": "hello", "token": behind.token}))
        await viewer.send('{"type":"subscribe","id":1,"groups":["cellar"]}')
        await until(viewer, "snapshot")
        await device.send('{"type":"data","seq":1,"values":{"temp":21.5}}')
        assert await until(device, "ack") == {"type": "ack", "seq": 1}
        await until(viewer, "update")
        # What the proxy says of the client, and not what the client said.
        await asyncio.to_thread(
            wait_until, lambda: address_of(hub) == "127.0.0.1", "the address is written"
        )


def address_of(hub: HubProcess) -> str:
    """Where the one device is connected from, as the pages say."""
    program = (
        "from telemetry.devices.models import DevicePresence;"
        "found = DevicePresence.objects.values_list('address', flat=True).first();"
        "print(f'address={found}')"
    )
    said = hub.manage("shell", "--no-imports", "-c", program)
    return said.strip().rpartition("address=")[2]


def no_pages_of_http(place: Place) -> None:
    import http.client  # Of this look alone: nothing may follow the redirect.

    connection = http.client.HTTPConnection("127.0.0.1", place.http, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/g/cellar?x=1", headers={"Host": NAME})
        answer = connection.getresponse()
        assert answer.status == 308
        assert answer.headers["Location"] == f"https://{NAME}/g/cellar?x=1"


def authority_finds_its_challenge(place: Place) -> None:
    import http.client  # Of this look alone: nothing may follow a redirect.

    connection = http.client.HTTPConnection("127.0.0.1", place.http, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", f"{CHALLENGES}token", headers={"Host": NAME})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"token.thumbprint")


@contextlib.contextmanager
def challenge_served(place: Place, port: int | None = None) -> Iterator[None]:
    """A challenge in the directory that certbot is told, or at a port as by certbot."""
    folder = place.directory / "acme"
    file = folder / CHALLENGES.strip("/") / "token"
    file.parent.mkdir(parents=True)
    file.write_text("token.thumbprint")
    if port is None:
        yield
        return
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


async def test_nginx_in_front_of_one_process(hub: HubProcess, place: Place):
    url = f"https://{NAME}"
    hub.variables |= {"HUB_URL": url, "HUB_TRUSTED_PROXIES": "127.0.0.1"}
    await asyncio.to_thread(hub.start)
    path = place.nginx([f"127.0.0.1:{hub.port}"])
    with running(place, [*nginx_command(path), "-g", "daemon off;"]):
        behind = Behind(hub, place)
        await assert_device_and_viewer_meet(behind)
        no_pages_of_http(place)
        with challenge_served(place):
            authority_finds_its_challenge(place)
        # Whoever does not know the authority does not speak at all.
        with pytest.raises(ssl.SSLCertVerificationError):
            async with connect(
                f"wss://127.0.0.1:{place.https}/ws/device",
                ssl=trusting(trustme.CA()),
            ):
                pass


async def test_haproxy_in_front_of_one_process(hub: HubProcess, place: Place):
    hub.variables |= {"HUB_URL": f"https://{NAME}", "HUB_TRUSTED_PROXIES": "127.0.0.1"}
    await asyncio.to_thread(hub.start)
    path = place.haproxy([f"127.0.0.1:{hub.port}"])
    with running(place, [program("haproxy"), "-db", "-f", str(path)]):
        await assert_device_and_viewer_meet(Behind(hub, place))
        no_pages_of_http(place)
        with challenge_served(place, place.acme):
            authority_finds_its_challenge(place)


@pytest.fixture
def workers(
    tmp_path: Path,
    set_up_data_dir: Path,
    place: Place,
    postgres_url: str,
    redis_url: str,
) -> Iterator[HubProcess]:
    """Two workers on PostgreSQL and Redis, each with its unix socket."""
    name = f"tls_{tmp_path.name.replace('-', '_').lower()}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
    variables = {
        "DATABASE_URL": f"{postgres_url.rsplit('/', 1)[0]}/{name}",
        "REDIS_URL": redis_url,
        "HUB_URL": f"https://{NAME}",
        "HUB_RUN_DIR": str(place.directory / "run"),
    }
    without = shutil.ignore_patterns("hub.sqlite3*")
    shutil.copytree(set_up_data_dir, tmp_path / "var", ignore=without)
    process = HubProcess(
        tmp_path / "var", "serve", "--setup", "--workers", "2", variables=variables
    )
    yield process
    process.end()


@pytest.mark.slow
@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
async def test_proxy_in_front_of_two_workers(workers, place, proxy):
    await asyncio.to_thread(workers.start)
    sockets = [str(place.directory / "run" / f"worker-{n}.sock") for n in (1, 2)]
    if proxy == "nginx":
        path = place.nginx([f"unix:{each}" for each in sockets])
        command = [*nginx_command(path), "-g", "daemon off;"]
    else:
        path = place.haproxy([f"unix@{each}" for each in sockets])
        command = [program("haproxy"), "-db", "-f", str(path)]
    with running(place, command):
        await assert_device_and_viewer_meet(Behind(workers, place))
    assert await asyncio.to_thread(workers.stop) == 0


async def test_hub_speaks_tls_by_itself(hub: HubProcess, place: Place):
    hub.variables |= {
        "HUB_URL": f"https://{NAME}:{hub.port}",
        "HUB_TLS_CERT": str(place.chain),
        "HUB_TLS_KEY": str(place.key),
    }
    await asyncio.to_thread(hub.start)
    place.https = hub.port
    await assert_device_and_viewer_meet(Behind(hub, place))


def test_databases_of_several_hosts_are_one_url(tmp_path):
    program = (
        "from django.conf import settings; d = settings.DATABASES['default'];"
        "print('found=', d['HOST'], d['PORT'], d['NAME'], d['USER'],"
        " d['OPTIONS']['target_session_attrs'])"
    )
    for url, found in (
        (
            "postgres://u:p@one,two/db?target_session_attrs=read-write",
            "one,two  db u read-write",
        ),
        (
            "postgresql://u:p@one:5433,two:5434/db?target_session_attrs=read-write",
            "one,two 5433,5434 db u read-write",
        ),
    ):
        done = manage(
            tmp_path / "var", "shell", "--no-imports", "-c", program, DATABASE_URL=url
        )
        assert f"found= {found}" in done.stdout, done.stdout + done.stderr


def test_port_of_some_of_several_hosts_is_refused(tmp_path):
    done = manage(
        *(tmp_path / "var", "check"),
        DATABASE_URL="postgres://u:secret@one:5433,two/db",
    )
    assert done.returncode == 2 and "secret" not in done.stderr
    assert "a port for each of several hosts" in done.stderr
