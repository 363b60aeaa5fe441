"""Pages for people: groups, one group live, one device.

Who may see what is decided by devices.access alone.
"""
