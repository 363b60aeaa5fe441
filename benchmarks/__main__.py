"""Both benchmarks, one after the other: what `make bench` runs."""

from __future__ import annotations

import sys

from . import fanout, ingest

if __name__ == "__main__":
    ingest.main(sys.argv[1:])
    fanout.main([each for each in sys.argv[1:] if each in ("--quick", "--record")])
