"""Where the dependencies of an entry are written, and what they say for its target."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lambda_bundle.reqfile import Requirements, read
from lambda_bundle.targets import Target

FILE_NAME = "requirements.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An entry's source folder and, where hooks have worked, the staged copy that stands for it."""

    root: Path
    """The folder of `bundles.toml`."""
    entry: Path
    """The entry's own folder, absolute."""
    staged: Path | None = None

    def resolve(self, folder: Path, relative: str) -> Path:
        """An absolute path for one that a file in `folder` names.

        What a staged file names is looked for in the copy, and beside the original where the copy has none:
        `-r ../common.txt` leads out of the copy.
        """
        path = Path(os.path.normpath(folder / relative))
        inside = self._inside(folder)
        if self.staged is None or inside is None:
            return path
        if self._inside(path) is not None and path.exists():
            return path
        return Path(os.path.normpath(self.entry / inside / relative))

    def shown(self, path: Path) -> str:
        """A path as the user knows it: not in the copy, and relative to `bundles.toml` if below it."""
        inside = self._inside(path)
        if inside is not None:
            path = self.entry / inside
        path, root = Path(os.path.normpath(path)), Path(os.path.normpath(self.root))
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def _inside(self, path: Path) -> Path | None:
        if self.staged is None or not path.is_relative_to(self.staged):
            return None
        return path.relative_to(self.staged)


def find(place: Place, *, excluded: bool) -> Path | None:
    """The file that an entry's dependencies are written in; None: it has none.

    `excluded` says that the sources hold one that is left out of the bundle: it counts all the same.
    """
    folder = place.entry if excluded or place.staged is None else place.staged
    path = folder / FILE_NAME
    return path if os.path.lexists(path) else None  # what is no file is an error of whoever reads it


def gather(place: Place, path: Path, target: Target, environ: Mapping[str, str]) -> Requirements:
    """What a requirements file says for the target. Raises `BundleError` with every problem in it."""
    return read(path, markers=target.markers, environ=environ, shown=place.shown, resolve=place.resolve)
