"""The telemetry hub: one Django app, in rooms named by what they do for a device.

A room imports only rooms of a lower rank (held by tests/test_architecture.py):

0  protocol    the shape of every message; pure
1  conf, counters, threads    settings, the hub's own counters, the database thread
   patience    how long a statement may take
2  bus         the switchboard: the process's one user of the channel layer
3  devices     devices, groups, keys, rights, presence
4  history     the journal and reading it back
6  ingest      the doors for devices and the one pipeline behind them
7  live, api, dashboard, ops, jobs    browser sockets, programs, pages, health; the
               jobs of the whole hub
8  hub, fleet, admin  what puts the rooms together; simulated devices
9  management  the commands
"""
