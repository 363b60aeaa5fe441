"""Whether the hub is alive, and whether it can do its work."""
