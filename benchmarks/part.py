"""One part of a benchmark in a process of its own, with Django set up.

    python -m benchmarks.part MODULE < JOB

Reads a job as JSON from stdin and writes the figures of `MODULE.run(job)`, one line
of JSON, to stdout. The environment names the database.
"""

from __future__ import annotations

import importlib
import json
import sys

import django

if __name__ == "__main__":
    django.setup()
    part = importlib.import_module(f"benchmarks.{sys.argv[1]}")
    print(json.dumps(part.run(json.load(sys.stdin))))
