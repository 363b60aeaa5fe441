"""Readings as charts, tables and files show them, of the range that is picked."""
