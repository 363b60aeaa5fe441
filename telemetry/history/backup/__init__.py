"""Backups: one file with the whole database as of one moment, and back from it."""
