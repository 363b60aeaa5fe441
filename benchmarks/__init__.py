"""How fast the hub is and how much memory it takes, on this machine, by real sockets.

    python -m benchmarks.ingest            devices: readings/s, acks, memory a socket
    python -m benchmarks.fanout            browsers: 1,000 live sockets on one group
    python -m benchmarks.history           sealing, bytes a reading, ranges, plain rows
    python -m benchmarks                   all three

Each starts a hub of its own (`manage.py serve`, SQLite with synchronous=FULL, a new
data directory, loopback) and load generators in processes of their own. Everything
shares this machine, so figures are good for ratios: see the bare echo beside them.
The history runs on PostgreSQL as well, if it is installed. `--quick` shows in a
minute whether it works; `--record` appends to RESULTS.md.
"""
