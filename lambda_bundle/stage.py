"""Which files of a folder go into a bundle, and copies of them for hooks to work on.

The user's tree is only ever read.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pathspec import GitIgnoreSpec

from lambda_bundle.errors import BundleError, Code, Problem, Where

Tree = Mapping[str, Path]
"""Where each file of a bundle is on disk, by its path in the bundle ("/" between folders)."""

DEFAULT_EXCLUDES = (
    # version control
    ".git",
    ".hg/",
    ".svn/",
    ".gitignore",
    ".gitattributes",
    # virtual environments; any other folder that holds a pyvenv.cfg is recognised too
    ".venv/",
    "venv/",
    # caches and what tools leave behind
    "__pycache__/",
    "*.py[cod]",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".hypothesis/",
    ".tox/",
    ".nox/",
    ".coverage",
    ".coverage.*",
    "*.egg-info/",
    "node_modules/",
    ".DS_Store",
    # secrets and editors
    ".env",
    ".env.*",
    ".idea/",
    ".vscode/",
    # what other deployment tools build
    ".aws-sam/",
    ".serverless/",
    ".terraform/",
    "cdk.out/",
)
"""Left out of the sources of every bundle, in the dialect of .gitignore, unless `include` names it."""

HOOK_LEFTOVERS = ("__pycache__/",)
"""Left out of a folder in which hooks have worked: bytecode of the host's Python, never the same twice."""


def scan(
    entry: Path, *, exclude: Iterable[str], include: Iterable[str] = (), skip: Path | None = None
) -> dict[str, Path]:
    """The files below a folder that a bundle gets, symbolic links followed, in sorted order.

    `include` brings back what `exclude` leaves out, both in the dialect of .gitignore; `skip` is a folder that
    is left out whatever they say (the output). Raises `BundleError` with every dangling link, every loop and
    everything that cannot be read as a file.
    """
    scanner = _Scanner(
        leave=GitIgnoreSpec.from_lines(exclude),
        keep=GitIgnoreSpec.from_lines(include),
        skip=None if skip is None else os.path.realpath(skip),
    )
    found = dict(sorted(scanner.walk(str(entry), "", ())))
    if scanner.problems:
        raise BundleError(*scanner.problems)
    return found


class _Scanner:
    """One walk: the patterns, and the problems on the way."""

    def __init__(self, *, leave: GitIgnoreSpec, keep: GitIgnoreSpec, skip: str | None) -> None:
        self._leave, self._keep, self._skip = leave, keep, skip
        # With patterns that bring files back, a left-out folder may hold one of them.
        self._keeps = len(keep.patterns) > 0
        self.problems: list[Problem] = []

    def walk(
        self, folder: str, prefix: str, above: tuple[str, ...], *, out: bool = False
    ) -> Iterator[tuple[str, Path]]:
        here = os.path.realpath(folder)
        if here in above:
            self._report(
                Code.LINK_LOOP, prefix.rstrip("/"), "a symbolic link leads back to a folder above it"
            )
            return
        for entry in self._list(folder, prefix):
            path = prefix + entry.name
            left = self._left_out(path, entry, parent=out)
            if left and not (self._keeps and entry.is_dir()):
                continue
            yield from self._visit(entry, path, (*above, here), out=left)

    def _list(self, folder: str, prefix: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as listing:
                return list(listing)
        except OSError as error:
            self._report(
                Code.UNUSABLE_FILE, prefix.rstrip("/") or ".", f"the folder cannot be read ({error.strerror})"
            )
            return []

    def _visit(
        self, entry: os.DirEntry[str], path: str, above: tuple[str, ...], *, out: bool
    ) -> Iterator[tuple[str, Path]]:
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            if error.errno == errno.ELOOP:
                self._report(Code.LINK_LOOP, path, "a symbolic link leads back to itself")
            elif entry.is_symlink():
                self._report(
                    Code.BROKEN_LINK,
                    path,
                    f"a symbolic link points to {os.readlink(entry.path)}, which is not there",
                )
            else:
                self._report(Code.UNUSABLE_FILE, path, f"cannot be read ({error.strerror})")
            return
        if stat.S_ISDIR(mode):
            yield from self.walk(entry.path, f"{path}/", above, out=out)
        elif not stat.S_ISREG(mode):
            self._report(Code.UNUSABLE_FILE, path, "neither a file nor a folder (a pipe, socket or device)")
        elif not _encodable(entry.name):
            self._report(Code.UNUSABLE_FILE, path, "the name is not valid UTF-8")
        elif not os.access(entry.path, os.R_OK):
            self._report(Code.UNUSABLE_FILE, path, "there is no permission to read it")
        else:
            yield path, Path(entry.path)

    def _left_out(self, path: str, entry: os.DirEntry[str], *, parent: bool) -> bool:
        folder = _is_folder(entry)
        if folder and self._skip == os.path.realpath(entry.path):
            return True
        name = f"{path}/" if folder else path
        if self._keeps and self._keep.match_file(name):
            return False
        if parent or self._leave.match_file(name):
            return True
        return folder and Path(entry.path, "pyvenv.cfg").is_file()

    def _report(self, code: Code, path: str, message: str) -> None:
        shown = path.encode(errors="backslashreplace").decode()
        hint = "mend it, or leave it out with `exclude`"
        self.problems.append(Problem(code=code, message=message, where=Where(file=shown), hint=hint))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def copy(tree: Tree, folder: Path) -> None:
    """Write real copies of the files into a folder: what a hook changes there reaches nothing else."""
    for path, source in tree.items():
        destination = folder / path
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, destination)
        destination.chmod(file_mode(source))


def merge(sources: Tree, dependencies: Tree, owner: Callable[[str], str]) -> dict[str, Path]:
    """Sources and dependencies together.

    `owner` names the distribution that a path of the dependencies belongs to. Raises `BundleError` with every
    path that both bring with different content, and with every file of one that is a folder of the other.
    """
    problems = []
    for path in sources.keys() & dependencies.keys():
        if sources[path].read_bytes() != dependencies[path].read_bytes():
            problems.append(
                _collision(path, f"the sources and {owner(path)} both bring this file, and they differ")
            )
    for ours, theirs, whose in ((sources, dependencies, "sources"), (dependencies, sources, "dependencies")):
        folders = {parent for path in theirs for parent in _parents(path)}
        for path in ours.keys() & folders:
            inside = min(other for other in (*dependencies, *sources) if other.startswith(f"{path}/"))
            name = owner(inside if whose == "sources" else path)
            other = f"a file of the {whose} and a folder on the other side ({name})"
            problems.append(_collision(path, f"this is {other}"))
    if problems:
        raise BundleError(*sorted(problems, key=lambda problem: problem.where.file or ""))
    return dict(sorted({**dependencies, **sources}.items()))


def _collision(path: str, message: str) -> Problem:
    hint = "rename the file of the sources, or leave it out with `exclude`"
    return Problem(code=Code.FILE_COLLISION, message=message, where=Where(file=path), hint=hint)


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def file_mode(path: Path) -> int:
    """The permissions that a file has on Lambda: 755 if its owner may execute it, otherwise 644."""
    return 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
