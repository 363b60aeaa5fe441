"""One module a command; each says what it does in its help."""
