"""Static files with hashed names: the pages' scripts as bundles, and compressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from servestatic.storage import CompressedManifestStaticFilesStorage

from . import bundles


class HubStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Bundles scripts, then rewrites `import … from "./x.js"` to hashed names."""

    # Off in Django by default.
    support_js_module_import_aggregation = True
    # Each pass settles at least one more level of imports, in the order in which the
    # file system lists the files: Django's five are sometimes too few.
    max_post_process_passes = 20

    def post_process(
        self, paths: dict[str, Any], dry_run: bool = False, **options: Any
    ) -> Iterator[Any]:
        """paths: what was collected, name to (storage, its name there)."""
        if not dry_run:
            paths = self._with_bundles(paths)
        yield from super().post_process(paths, dry_run=dry_run, **options)

    def _with_bundles(self, paths: dict[str, Any]) -> dict[str, Any]:
        """Bundles in the place of modules, which are not served any more."""
        names = bundles.entries(settings.BASE_DIR / "templates")
        names = [name for name in names if bundles.FOLDER + name in paths]
        if not names:
            return paths
        # From where they were collected: the copy may be the bundle of another time.
        storage, name = paths[bundles.FOLDER + names[0]]
        sources = Path(storage.path(name.removesuffix(names[0])))
        target = Path(self.path(bundles.FOLDER))
        try:
            made = bundles.bundle(
                sources, names, target, settings.BASE_DIR / "node_modules"
            )
        except bundles.CannotBundle as error:
            raise CommandError(str(error), returncode=2) from error
        kept = {
            name: place
            for name, place in paths.items()
            if not name.startswith(bundles.FOLDER)
        }
        return kept | {
            bundles.FOLDER + name: (self, bundles.FOLDER + name) for name in made
        }
