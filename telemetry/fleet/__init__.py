"""The other end of the wire: devices in software, for trying, showing and testing.

Speaks to a hub only through `/ws/device`, by the protocol room's messages. Only
`enrol` and `demo` know the hub's database.
"""
