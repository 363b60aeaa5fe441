"""The hub for programs, over HTTP: readings out, as JSON, CSV or Parquet, and in."""
