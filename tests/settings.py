"""Settings of the tests: the project's, in a data directory of this run.

The environment of whoever runs the tests must not leak in, except for the
database: with DATABASE_URL the tests run on PostgreSQL.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

for _name in list(os.environ):
    if _name.startswith(("HUB_", "TELEMETRY_", "SECRET_KEY", "REDIS_URL")):
        del os.environ[_name]

_data_dir = Path(tempfile.mkdtemp(prefix="telemetry-tests-"))
atexit.register(shutil.rmtree, _data_dir, ignore_errors=True)
os.environ["HUB_DATA_DIR"] = str(_data_dir)
os.environ["SECRET_KEY"] = "of the tests, and of nothing else"

from hub_project.settings import *  # noqa: E402, F403

if "options" in (_options := DATABASES["default"]["OPTIONS"]):  # noqa: F405
    # A test may be one transaction, and take its time.
    _options["options"] += " -c idle_in_transaction_session_timeout=0"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {  # noqa: F405
    # Hashed names need a collected directory; tests of serve make one.
    "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
}
# Nothing here fetches one: real hubs serve them. To look for all of them takes the
# middleware of every client that a test makes a fifth of a second.
SERVESTATIC_AUTOREFRESH = False
SERVESTATIC_USE_FINDERS = False
SERVESTATIC_USE_STATIC_ROOT = False
