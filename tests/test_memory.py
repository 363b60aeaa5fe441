"""What a process takes: hub_project.memory, and what it loads."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import gc, json
import numpy as np
from pathlib import Path
from hub_project import memory

class Cycle:
    def __init__(self):
        self.me = self

def rss():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(each for each in lines if each.startswith("VmRSS")).split()[1])

for _ in range(3):
    memory.settle()
before = rss()
# glibc would raise its limit at the first of these, and keep the others.
for _ in range(3):
    burst = [np.ones(1_200_000, np.uint8) for _ in range(60)]
    keep = np.ones(1_200_000, np.uint8)
    del burst
after = rss()
Cycle()
collected = gc.collect()
print(json.dumps({
    "thresholds": gc.get_threshold(), "frozen": gc.get_freeze_count(),
    "is_enabled": gc.isenabled(), "collected": collected,
    "kept_mib": (after - before) / 1024,
}))
"""


def test_a_server_looks_for_garbage_seldom_and_gives_memory_back():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["thresholds"] == [50_000, 20, 50]
    assert found["frozen"] > 1_000
    # Cycles of later objects are still found.
    assert found["is_enabled"] and found["collected"] >= 1
    assert found["kept_mib"] < 20


def test_a_process_that_serves_does_not_load_what_runserver_needs():
    program = "import sys, hub_project.asgi; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "telemetry" in loaded
    # Twisted and its companions are 30 MB; pyarrow and pandas are 60.
    assert not loaded & {"daphne", "twisted", "autobahn", "OpenSSL"}
    assert not loaded & {"pyarrow", "pandas", "matplotlib"}
