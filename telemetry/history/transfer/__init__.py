"""Readings out of the hub and into it, as CSV and Parquet."""
