"""An artifact unpacked as on Lambda: code in /var/task, layers in /opt, both read-only, all below one folder.

https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html: layers are unpacked in their order, and a
later one replaces what an earlier one brought.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from lambda_bundle import bootstrap
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.targets import Target

_ELF = b"\x7fELF"


_BROKEN = (
    *(zipfile.BadZipFile, zlib.error),
    *(NotImplementedError, RuntimeError),  # packed in a way that Python does not know, or encrypted
    *(NotADirectoryError, IsADirectoryError),  # one name for a file and a folder
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The folders of one function."""

    root: Path
    compiled: str | None
    """A file that is compiled for one machine, if there is any that the target may load."""
    before: dict[str, tuple[int, int]]
    """Size and time of each file, when all was unpacked."""

    @property
    def task(self) -> Path:
        """/var/task."""
        return self.root / "var" / "task"

    @property
    def runtime(self) -> Path:
        """/var/runtime."""
        return self.root / "var" / "runtime"

    @property
    def opt(self) -> Path:
        """/opt."""
        return self.root / "opt"

    @property
    def temporary(self) -> Path:
        """What stands for /tmp: all that a function may write to."""
        return self.root / "tmp"

    @property
    def libraries(self) -> tuple[Path, ...]:
        """Where the dynamic linker looks, as LD_LIBRARY_PATH says on Lambda."""
        return (self.task, self.task / "lib", self.opt / "lib")

    def changed(self) -> list[str]:
        """Files in the code and the layers that are new, gone or not the same, as Lambda calls them.

        Permissions keep most users from that; root heeds none.
        """
        now = _files(self.root)
        return sorted(
            f"/{name}" for name in now.keys() | self.before.keys() if now.get(name) != self.before.get(name)
        )

    @classmethod
    @contextmanager
    def of(cls, artifact: Path, layers: Sequence[Path], target: Target, parent: Path) -> Iterator[Sandbox]:
        """Unpack a zip or a folder, and layers, below a folder; it is gone when the context is left.

        Raises `BundleError` for one that is not there, or no zip.
        """
        root = Path(tempfile.mkdtemp(prefix="smoke-", dir=parent))
        try:
            task, opt, runtime = root / "var" / "task", root / "opt", root / "var" / "runtime"
            for folder in (task, opt, runtime, root / "tmp"):
                folder.mkdir(parents=True)
            unpack(artifact, task)
            for layer in layers:
                unpack(layer, opt)
            shutil.copyfile(bootstrap.__file__, runtime / "bootstrap.py")
            files = chain(_compiled(task, "/var/task/"), _compiled(opt, "/opt/"))
            passed = "/opt/python/"
            compiled = next(
                (
                    one
                    for one in files
                    if not one.startswith(passed) or not target.passes_over(one[len(passed) :])
                ),
                None,
            )
            for folder in (task, opt):
                _protect(folder)
            yield cls(root=root, compiled=compiled, before=_files(root))
        finally:
            _remove(root)


def unpack(artifact: Path, folder: Path) -> None:
    """Put the files of a zip, or of a folder, into a folder; what is there is replaced.

    Raises `BundleError` for one that is not there, or no zip.
    """
    try:
        if artifact.is_dir():
            shutil.copytree(artifact, folder, symlinks=True, dirs_exist_ok=True)
            return
        with zipfile.ZipFile(artifact) as archive:
            for member in archive.infolist():
                _extract(archive, member, folder)
    except FileNotFoundError:
        code, message = Code.ARTIFACT_MISSING, "there is no such artifact"
        hint = "bundle it first"
    except _BROKEN:
        code, message = Code.ARTIFACT_UNREADABLE, "it is no zip file that Lambda could unpack, nor a folder"
        hint = "bundle it anew; Lambda takes zip files that are stored or deflated"
    else:
        return
    raise BundleError(Problem(code=code, message=message, where=Where(file=str(artifact)), hint=hint))


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    mode = member.external_attr >> 16
    if ".." in Path(member.filename).parts:
        raise zipfile.BadZipFile(f"{member.filename} leads out of it")
    if stat.S_ISLNK(mode):
        path = folder / member.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(archive.read(member).decode())
        return
    path = Path(archive.extract(member, folder))
    if not member.is_dir() and mode & 0o111:
        path.chmod(0o755)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every file and folder below a folder; links are not followed."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))


def _compiled(folder: Path, name: str) -> Iterator[str]:
    """Files for one machine's processor: ELF, whatever they are called."""
    for entry in _walk(folder):
        if entry.is_file(follow_symlinks=False):
            with Path(entry.path).open("rb") as file:
                if file.read(len(_ELF)) == _ELF:
                    yield f"{name}{Path(entry.path).relative_to(folder).as_posix()}"


def _files(root: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for top in ("opt", "var/task"):
        for entry in _walk(root / top):
            status = entry.stat(follow_symlinks=False)
            name = Path(entry.path).relative_to(root).as_posix()
            found[name] = (
                (0, 0) if entry.is_dir(follow_symlinks=False) else (status.st_size, status.st_mtime_ns)
            )
    return found


def _protect(folder: Path) -> None:
    """Take away the right to write: a process of the user's that is not root's cannot."""
    for entry in _walk(folder):
        if not entry.is_symlink():
            runs = entry.is_dir() or os.access(entry.path, os.X_OK)
            Path(entry.path).chmod(0o555 if runs else 0o444)
    folder.chmod(0o555)


def _remove(root: Path) -> None:
    """Remove a sandbox: folders that cannot be written to keep what is in them."""
    for folder, _, _ in os.walk(root):
        Path(folder).chmod(0o755)
    shutil.rmtree(root, ignore_errors=True)
