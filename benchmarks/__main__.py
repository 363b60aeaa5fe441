"""All benchmarks, one after the other: what `make bench` runs."""

from __future__ import annotations

import sys

from . import fanout, history, ingest

if __name__ == "__main__":
    ingest.main(sys.argv[1:])
    shared = [each for each in sys.argv[1:] if each in ("--quick", "--record")]
    fanout.main(shared)
    history.main(shared)
