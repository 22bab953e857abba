"""Source archives: whether one is what was promised, and the project in it."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Collection
from pathlib import Path

from lambda_bundle.errors import BundleError, Code, Problem

_OLDEST = 315532800
"""1980-01-01, in seconds since the epoch."""


def unpack(archive: Path, subdirectory: str | None, folder: Path) -> Path:
    """Unpack a source archive into an empty folder (PEP 625: it has one folder at its top); the project.

    Raises `BundleError`.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(folder)  # noqa: S202 - what is in it is about to run
        else:
            with tarfile.open(archive) as packed_tar:
                if hasattr(tarfile, "data_filter"):  # not in the first patch releases of 3.10 and 3.11
                    packed_tar.extraction_filter = tarfile.data_filter
                packed_tar.extractall(folder)  # noqa: S202 - see above
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        message = f"the archive cannot be unpacked ({error})"
        raise BundleError(Problem(code=Code.COMMAND_FAILED, message=message)) from None
    for path in folder.rglob("*"):  # a zip cannot hold times before 1980, and a wheel is one
        if not path.is_symlink() and path.stat().st_mtime < _OLDEST:
            os.utime(path, (_OLDEST, _OLDEST))
    inside = list(folder.iterdir())
    top = inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
    return project_in(top, subdirectory)


def project_in(folder: Path, subdirectory: str | None) -> Path:
    """The folder of the project, which may lie further below. Raises `BundleError` where there is none."""
    project = folder / subdirectory if subdirectory else folder
    if not any((project / name).is_file() for name in ("pyproject.toml", "setup.py")):
        what = f"{subdirectory} in it" if subdirectory else "what is in it"
        message = f"it is no Python project: {what} has neither pyproject.toml nor setup.py"
        hint = "name the folder of the project: #subdirectory=… behind the address"
        raise BundleError(Problem(code=Code.SOURCE_REQUIREMENT, message=message, hint=hint))
    return project


def checked(archive: Path, hashes: Collection[str]) -> str:
    """The SHA-256 of an archive. Raises `BundleError` where it has none of the hashes that are allowed."""
    content = archive.read_bytes()
    allowed = {one.partition(":")[0] for one in hashes}
    known = {f"{kind}:{hashlib.new(kind, content).hexdigest()}" for kind in allowed}
    if hashes and not known & set(hashes):
        message = "the archive does not have the hash that the requirements promise"
        hint = "do not use it before you know why: the file was replaced, or damaged on its way"
        raise BundleError(Problem(code=Code.HASH_MISMATCH, message=message, hint=hint))
    return hashlib.sha256(content).hexdigest()
