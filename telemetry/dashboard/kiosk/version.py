"""Which version of its pages this process serves, so that screens load a new one."""

from __future__ import annotations

import functools
import re

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage


@functools.cache
def page_version() -> str:
    """The hub's version, and that of the scripts and styles if they have one.

    Read once: a process serves what it was started with.
    """
    # The first version in that file is the hub's own.
    changes = settings.BASE_DIR / "CHANGELOG.md"
    found = re.search(r"^## (\S+)", changes.read_text("utf-8"), re.MULTILINE)
    files = getattr(staticfiles_storage, "manifest_hash", "")
    return f"{found[1] if found else '0'}+{files}"
