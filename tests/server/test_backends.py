"""The same hub on PostgreSQL, with Redis, and on Daphne; real processes."""

from __future__ import annotations

import json
import re

import pytest
from websockets.asyncio.client import connect

from tests.processes import HubProcess, fetch


async def send_one(hub: HubProcess) -> dict[str, object]:
    """One reading of a new device with a session; returns the hub's answer to it."""
    line = hub.manage("createdevice", "boiler", "--group", "cellar").strip()
    key = line.split("\t")[1]
    headers = {"Authorization": f"Bearer {key}"}
    url = f"ws://127.0.0.1:{hub.port}/ws/device"
    async with connect(url, additional_headers=headers) as device:
        await device.send('{"type":"hello","session":"a"}')
        await device.recv()
        await device.send('{"type":"data","seq":1,"values":{"temp":21.5}}')
        answer: dict[str, object] = json.loads(await device.recv())
        return answer


@pytest.mark.slow
async def test_serve_on_postgresql_with_redis(tmp_path, postgres_url, redis_url):
    # Secrets from files, as a service manager gives them.
    (tmp_path / "database").write_text(f"{postgres_url}\n")
    variables = {
        "DATABASE_URL_FILE": str(tmp_path / "database"),
        "REDIS_URL": redis_url,
    }
    hub = HubProcess(tmp_path / "var", variables=variables)
    try:
        hub.start()
        status, _, body = fetch(f"{hub.url}/readyz")
        assert (status, json.loads(body)["status"]) == (200, "ready")
        assert await send_one(hub) == {"type": "ack", "seq": 1}
        assert hub.stop() == 0
        assert not (tmp_path / "var" / "hub.sqlite3").exists()
    finally:
        hub.end()


async def test_runserver_is_daphne_and_starts_the_hub_at_the_first_scope(hub):
    hub.command = ("runserver", "--noreload", str(hub.port))
    hub.start()
    assert "Starting ASGI/Daphne" in hub.output
    assert fetch(f"{hub.url}/readyz")[0] == 200
    assert await send_one(hub) == {"type": "ack", "seq": 1}


def test_two_hubs_do_not_share_a_prefix_in_redis(tmp_path):
    from tests.processes import manage  # Two settings need two processes.

    program = (
        "from django.conf import settings;"
        "print('prefix=' + settings.CHANNEL_LAYERS['default']['CONFIG']['prefix'])"
    )
    prefixes = set()
    for name in ("a", "b", "a"):
        done = manage(
            *(tmp_path / name, "shell", "--no-imports", "-c", program),
            REDIS_URL="redis://127.0.0.1:6379/0",
        )
        prefixes |= set(re.findall(r"prefix=(telemetry-\w{12})", done.stdout))
    assert len(prefixes) == 2
