"""A device that sends a reading a second, for MicroPython with a network."""

import asyncio
import os

import aiohttp

HUB = "ws://192.168.1.10:8000/ws/device"
HEAD = {"Authorization": "Bearer hub_xxxxxxxx_…"}


async def main():
    client = aiohttp.ClientSession(headers=HEAD)
    async with client.ws_connect(HUB) as hub:
        await hub.send_json({"type": "hello", "session": os.urandom(8).hex()})
        data = {"type": "data", "seq": 0}
        while True:
            data["seq"] += 1
            data["values"] = {"temp": 21.5}
            await hub.send_json(data)
            while (await hub.receive_json())["type"] != "ack":
                pass
            await asyncio.sleep(1)


asyncio.run(main())
