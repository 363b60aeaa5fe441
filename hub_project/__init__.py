"""The Django project that runs the hub: settings, ASGI, URLs. Rank 8: imports rooms."""
