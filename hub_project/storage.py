"""Static files with hashed names: the pages' scripts as bundles, and compressed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zopfli.gzip  # type: ignore[import-untyped]
from django.conf import settings
from django.core.management import CommandError
from servestatic.compress import Compressor
from servestatic.storage import CompressedManifestStaticFilesStorage

from . import bundles

# The scripts of our pages under the names that pages know; the admin's are many.
SCRIPTS = re.compile(
    r"/(telemetry/js/\w+|vendor/uplot/uPlot\.iife\.min)\.[0-9a-f]{12}\.js$"
)


class _Squeezer(Compressor):
    """Our own scripts four parts in a hundred smaller; it takes a second each."""

    def compress(self, path: str | os.PathLike[str]) -> list[str]:
        written: list[str] = super().compress(path)
        name = os.fspath(path)
        is_script = bool(SCRIPTS.search(Path(name).as_posix()))
        if is_script and f"{name}.gz" in written:
            data = Path(name).read_bytes()
            self.write_data(name, zopfli.gzip.compress(data), ".gz", os.stat(name))
        return written


class HubStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Bundles scripts, then rewrites `import … from "./x.js"` to hashed names."""

    # Off in Django by default.
    support_js_module_import_aggregation = True
    # Each pass settles at least one more level of imports, in the order in which the
    # file system lists the files: Django's five are sometimes too few.
    max_post_process_passes = 20

    def create_compressor(self, **options: Any) -> Compressor:
        """What .gz files are made with."""
        return _Squeezer(**options)

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
        packages = settings.BASE_DIR / "node_modules"
        try:
            made = bundles.bundle(sources, names, target, packages)
            if bundles.LIBRARY in paths:
                bundles.bundle_library(Path(self.path(bundles.LIBRARY)), packages)
        except bundles.CannotBundle as error:
            raise CommandError(str(error), returncode=2) from error
        kept = {
            name: place
            for name, place in paths.items()
            if not name.startswith(bundles.FOLDER)
        }
        if bundles.LIBRARY in kept:
            kept[bundles.LIBRARY] = (self, bundles.LIBRARY)
        return kept | {
            bundles.FOLDER + name: (self, bundles.FOLDER + name) for name in made
        }
