"""Static files with hashed names, ES module imports included."""

from __future__ import annotations

from servestatic.storage import CompressedManifestStaticFilesStorage


class HubStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Rewrites `import … from "./x.js"` to hashed names (off in Django by default)."""

    support_js_module_import_aggregation = True
    # Each pass settles at least one more level of imports, in the order in which the
    # file system lists the files: Django's five are sometimes too few.
    max_post_process_passes = 20
