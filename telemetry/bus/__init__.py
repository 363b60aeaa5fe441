"""What carries messages: a socket's own loop, and the switchboard between processes."""
