"""Unpack a wheel into a folder, by the rules of PEP 427.

pip's own way into a folder, `--target`, loses files without a word: what a wheel brings as data for `lib/` or
`bin/`, where another has a package of that name.
"""

from __future__ import annotations

import csv
import io
import posixpath
import shutil
import stat
import zipfile
from pathlib import Path

from packaging.utils import parse_wheel_filename

from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.installed import record_hash

_SCHEMES = {"purelib": "", "platlib": "", "data": "", "scripts": "bin/", "headers": "include/{name}/"}
"""Where the folders of a wheel's .data folder go."""


def unpack(wheel: Path, folder: Path) -> None:
    """Put the files of a wheel where they belong, with a RECORD that says so; no console scripts are made.

    What is there already is replaced. Raises `BundleError` when this is not a wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            _extract(archive, wheel, folder)
    except zipfile.BadZipFile:
        raise _broken(wheel, "it is not a zip file") from None


def _extract(archive: zipfile.ZipFile, wheel: Path, folder: Path) -> None:
    record = _record_name(archive, wheel)
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for member in archive.infolist():
        if member.is_dir() or member.filename == record:
            continue
        path = _place(member.filename, wheel)
        writer.writerow((path, _write(archive, member, folder / path), member.file_size))
    writer.writerow((record, "", ""))
    (folder / record).write_text(rows.getvalue(), encoding="utf-8", newline="\n")


def _record_name(archive: zipfile.ZipFile, wheel: Path) -> str:
    for name in archive.namelist():
        if name.endswith(".dist-info/RECORD") and name.count("/") == 1:
            return name
    raise _broken(wheel, "it has no RECORD")


def _place(member: str, wheel: Path) -> str:
    """Where a member of the archive goes, relative to the folder."""
    top, _, rest = member.partition("/")
    path = member
    if top.endswith(".data"):
        scheme, _, rest = rest.partition("/")
        if scheme not in _SCHEMES:
            raise _broken(wheel, f"it has files for {scheme!r}, and nobody knows where that is")
        path = _SCHEMES[scheme].format(name=parse_wheel_filename(wheel.name)[0]) + rest
    if posixpath.normpath(path) != path or path.startswith(("/", "../")):
        raise _broken(wheel, f"it has a file called {member!r}")
    return path


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with archive.open(member) as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    mode = member.external_attr >> 16
    if stat.S_ISREG(mode) and mode & 0o111:
        path.chmod(0o755)
    return record_hash(path)


def _broken(wheel: Path, why: str) -> BundleError:
    message = f"{wheel.name} cannot be unpacked: {why}"
    return BundleError(Problem(code=Code.COMMAND_FAILED, message=message, hint="build the wheel anew"))
