"""The page of one device, and the parts and files that it loads."""
