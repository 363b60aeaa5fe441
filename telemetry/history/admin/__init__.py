"""The history's pages in the admin. Readings themselves are never registered."""
