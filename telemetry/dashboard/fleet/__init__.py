"""The fleet page: every device that one may see, filtered, ordered, as small lines."""
