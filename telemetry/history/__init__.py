"""The only room that writes and reads readings."""
