"""Pages for people: the fleet, groups, one group live, one device, screens on walls.

Who may see what is decided by devices.access alone. A folder a page: `fleet/`,
`groups/`, `device/`; what several of them show is in `readings/`, who opens them
without a login in `kiosk/`, and what all of them come in is `frame/`.
"""
