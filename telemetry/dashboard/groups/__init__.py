"""The pages of groups: the list of them, and one of them live."""
