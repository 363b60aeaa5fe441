"""A device that sends a reading a second: python device.py ws://HOST:PORT/ws/device"""

import itertools
import json
import math
import os
import secrets
import sys
import time
from contextlib import suppress

from websockets.sync.client import connect

head = {"Authorization": "Bearer " + os.environ["HUB_KEY"]}
with connect(sys.argv[1], additional_headers=head) as hub, suppress(KeyboardInterrupt):
    hub.send(json.dumps({"type": "hello", "session": secrets.token_hex(8)}))
    print(hub.recv(), flush=True)
    for seq in itertools.count(1):
        values = {"temp": 20 + math.sin(seq / 10)}
        hub.send(json.dumps({"type": "data", "seq": seq, "values": values}))
        while json.loads(hub.recv())["type"] != "ack":
            pass
        print("on disk:", seq, values, flush=True)
        time.sleep(1)
