"""Screens on walls: the links that open pages on them, and what tells them apart."""
