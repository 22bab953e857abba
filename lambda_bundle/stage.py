"""Which files of a folder go into a bundle, and copies of them for hooks to work on.

The user's tree is only ever read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lambda_bundle.copies import File, Run, copy_all, copy_file, lambda_mode, make_folder
from lambda_bundle.entries import MANIFEST, lock_name
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.jobs import Job
from lambda_bundle.stamps import Stamp, stamp

Tree = Mapping[str, Path]
"""Where each file of a bundle is on disk, by its path in the bundle ("/" between folders)."""

_BATCH = 250
"""Files that are copied in one go."""
DEFAULT_EXCLUDES = (
    # version control
    ".git",
    ".hg/",
    ".svn/",
    ".gitignore",
    ".gitattributes",
    # virtual environments; under any other name they are known by what is in them
    ".venv",
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
    ".pdm-python",  # the path of an interpreter
    # secrets and editors (Emacs locks a file with a dangling link called .#name)
    ".env",
    ".env.*",
    ".idea/",
    ".vscode/",
    ".#*",
    "*~",
    ".*.swp",
    # what other deployment tools build
    ".aws-sam/",
    ".serverless/",
    ".terraform/",
    "cdk.out/",
)
"""Left out of the sources of every bundle, in the dialect of .gitignore, unless `include` names it."""

HOOK_LEFTOVERS = ("__pycache__/",)
"""Left out of a folder in which hooks have worked: bytecode of the host's Python, never the same twice."""


def sources_of(job: Job, visited: dict[str, Stamp]) -> dict[str, Path]:
    """The files of a job's entry that go into its bundle; `visited` gets every folder that was looked at.

    Raises `BundleError` as `scan` does.
    """
    return scan(
        job.sources,
        exclude=(*DEFAULT_EXCLUDES, f"/{lock_name('*')}", f"!/{lock_name(job.name)}", *job.exclude),
        include=job.include,
        environments=False,
        skip=job.output,
        visited=visited,
    )


def scan(
    entry: Path,
    *,
    exclude: Iterable[str],
    include: Iterable[str] = (),
    environments: bool = True,
    skip: Path | None = None,
    hint: str | None = None,
    visited: dict[str, Stamp] | None = None,
) -> dict[str, Path]:
    """The files below a folder that a bundle gets, symbolic links followed, in sorted order.

    `exclude` and `include` are in the dialect of .gitignore. A path that matches `include` stays whatever
    `exclude` says of it or of a folder above it. Without `environments`, virtual ones are left out too, and
    `skip` is a folder that is left out in any case (the output). `visited` gets the stamp of every folder
    whose content decides what is found. Raises `BundleError` with every dangling link, every loop and
    everything that cannot be read as a file; `hint` says how to mend them.
    """
    scanner = _Scanner(
        leave=_Patterns(exclude, key="exclude"),
        keep=_Patterns(include, key="include"),
        environments=environments,
        skip=None if skip is None else _identity(skip),
        hint=hint or "mend it, or leave it out with `exclude`",
        visited={} if visited is None else visited,
    )
    found = dict(sorted(scanner.files(entry)))
    if scanner.problems:
        raise BundleError(*sorted(scanner.problems, key=lambda problem: problem.where.file or ""))
    return found


_FOLDER = "ps_d"
"""What pathspec calls the "/" behind a folder that a pattern matches, in its regular expressions."""


class _Patterns:
    """Patterns in the dialect of .gitignore; among those that match a path, the last one decides.

    pathspec says what a pattern means. It also lets a pattern for a folder match everything in there, which
    `!*/` and a folder in `include` must not do; so a match counts for the path itself only.
    """

    def __init__(self, lines: Iterable[str], *, key: str) -> None:
        lines = tuple(lines)
        self._patterns = [pattern for line in lines for pattern in _translate(line, key)][::-1]
        self._any = _any_of(lines, key)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def match(self, path: str, *, folder: bool) -> bool | None:
        """Whether a path is matched (True), matched again with "!" (False), or neither (None)."""
        text = f"{path}/" if folder else path
        if self._any is not None and self._any.search(text) is None:
            return None
        for expression, include in self._patterns:
            if any(_is_of_all(found) for found in expression.finditer(text)):
                return include
        return None


_UNCLEAR = re.compile(r"(?<!\\)\[[!^]?\]?[^\]]*(?:\[|--|&&|\|\||~~)")
"""What pathspec would hand on to Python's regular expressions, where it means something else."""


@cache  # the default excludes are the same for every function
def _translate(line: str, key: str) -> tuple[tuple[re.Pattern[str], bool], ...]:
    """What a line matches, if it is a pattern, and whether without "!"; `key` is where it stands."""
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - where no folder has changed, none is searched

    if _UNCLEAR.search(line):
        raise _unclear(line, key)
    try:
        patterns = GitIgnoreSpec.from_lines([line]).patterns
    except (ValueError, re.error):
        raise _unclear(line, key) from None
    return tuple(
        (re.compile(pattern.regex), bool(pattern.include))
        for pattern in patterns
        if pattern.regex is not None  # otherwise it is a comment
    )


@cache
def _any_of(lines: Sequence[str], key: str) -> re.Pattern[str] | None:
    """What matches wherever one of the lines does: most files match none, and one look tells."""
    if any("<" in line for line in lines):
        return None  # it might be taken for the name of the group, which an expression cannot have twice
    patterns = (expression.pattern for line in lines for expression, _ in _translate(line, key))
    return re.compile("|".join(pattern.replace(f"(?P<{_FOLDER}>", "(?:") for pattern in patterns) or "(?!)")


def _unclear(line: str, key: str) -> BundleError:
    message = f'"{line}" cannot be understood as a pattern'
    hint = "it is a line as in .gitignore; between [ and ] stand single characters, or ranges such as a-z"
    return BundleError(Problem(code=Code.INVALID_VALUE, message=message, where=Where(key=key), hint=hint))


def _is_of_all(found: re.Match[str]) -> bool:
    """Whether a match is one of the path itself, and not of a folder above it."""
    return found.groupdict().get(_FOLDER) is None or found.end(_FOLDER) == len(found.string)


_Identity = tuple[int, int]


def _identity(folder: str | Path) -> _Identity | None:
    """What a folder is, however one comes to it: device and inode; None when it is not there."""
    try:
        status = Path(folder).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """A folder to look through."""

    place: str
    path: str
    """In the bundle, with "/" at its end; empty for the entry itself."""
    out: bool
    """Left out: of what is in it, only that counts which `include` names."""
    chain: frozenset[_Identity | None]
    """Itself and every folder above it."""


class _Scanner:
    """One walk: the patterns, and the problems on the way."""

    def __init__(
        self,
        *,
        leave: _Patterns,
        keep: _Patterns,
        environments: bool,
        skip: _Identity | None,
        hint: str,
        visited: dict[str, Stamp],
    ) -> None:
        self._leave, self._keep = leave, keep
        self._environments, self._skip, self._hint = environments, skip, hint
        self._visited = visited
        self.problems: list[Problem] = []

    def files(self, entry: Path) -> Iterator[tuple[str, Path]]:
        """Every file that is wanted, in no order."""
        folders = [_Folder(place=str(entry), path="", out=False, chain=frozenset({_identity(entry)}))]
        while folders:
            folder = folders.pop()
            for item in self._list(folder):
                path = folder.path + item.name
                if _is_folder(item):
                    folders += self._below(folder, item.path, path)
                elif not self._is_out(path, is_folder=False, above=folder.out) and self._usable(item, path):
                    yield path, Path(item.path)

    def _list(self, folder: _Folder) -> list[os.DirEntry[str]]:
        try:
            self._visited[folder.place] = stamp(folder.place)
            with os.scandir(folder.place) as listing:
                return list(listing)
        except OSError as error:
            if not folder.out:
                shown = folder.path.rstrip("/") or "."
                self._report(Code.UNUSABLE_FILE, shown, f"the folder cannot be read ({error.strerror})")
            return []

    def _below(self, folder: _Folder, place: str, path: str) -> Iterator[_Folder]:
        """The folder at a path, if it is to be looked through."""
        identity = _identity(place)
        known = (not self._environments and _is_environment(place)) or _is_output(place)
        if known:
            self._visited[place] = stamp(place)
        out = self._is_out(path, is_folder=True, above=folder.out or known)
        if (identity and identity == self._skip) or (out and not self._keep):
            return
        if identity not in folder.chain and (out or _encodable(path)):
            yield _Folder(place=place, path=f"{path}/", out=out, chain=folder.chain | {identity})
        elif not out and identity in folder.chain:
            self._report(Code.LINK_LOOP, path, "a symbolic link leads back to a folder above it")
        elif not out:
            self._report(Code.UNUSABLE_FILE, path, "the name is not valid UTF-8")

    def _is_out(self, path: str, *, is_folder: bool, above: bool) -> bool:
        if self._keep.match(path, folder=is_folder):
            return False
        return above or bool(self._leave.match(path, folder=is_folder))

    def _usable(self, item: os.DirEntry[str], path: str) -> bool:
        """Whether something that is no folder can be read as a file; what is in the way is reported."""
        code = Code.UNUSABLE_FILE
        try:
            if not stat.S_ISREG(item.stat().st_mode):
                message = "neither a file nor a folder (a pipe, socket or device)"
            elif not _encodable(path):
                message = "the name is not valid UTF-8"
            elif not os.access(item.path, os.R_OK):
                message = "there is no permission to read it"
            else:
                return True
        except FileNotFoundError:
            if not item.is_symlink():  # it was removed a moment ago, as editors do with their temporary files
                return False
            code = Code.BROKEN_LINK
            message = (
                f"a symbolic link points to {_shown(str(Path(item.path).readlink()))}, which is not there"
            )
        except OSError as error:
            if error.errno == errno.ELOOP:
                code, message = Code.LINK_LOOP, "a symbolic link leads back to itself"
            else:
                message = f"cannot be read ({error.strerror})"
        self._report(code, path, message)
        return False

    def _report(self, code: Code, path: str, message: str) -> None:
        where = Where(file=_shown(path))
        self.problems.append(Problem(code=code, message=message, where=where, hint=self._hint))


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_environment(folder: str) -> bool:
    """Whether this is a virtual environment, whatever its name (PEP 405)."""
    # Path's own methods raise where there is no permission to look.
    if not os.path.isfile(f"{folder}/pyvenv.cfg"):  # noqa: PTH113 - see above
        return False
    return any(os.path.isdir(f"{folder}/{programs}") for programs in ("bin", "Scripts"))  # noqa: PTH112 - see above


def _is_output(folder: str) -> bool:
    """Whether artifacts of this tool are in there: of a run that had another output folder."""
    if not os.path.isfile(f"{folder}/{MANIFEST}"):  # noqa: PTH113 - for each folder
        return False
    try:
        rows = json.loads(Path(folder, MANIFEST).read_text(encoding="utf-8"))["artifacts"].values()
        return any(os.path.lexists(f"{folder}/{row['path']}") for row in rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _encodable(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: str) -> str:
    return path.encode(errors="backslashreplace").decode()


def copy(tree: Tree, folder: Path) -> None:
    """Write real copies of the files into a folder: what a hook changes there reaches nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for parent in folders_of(tree):
        (folder / parent).mkdir(parents=True, exist_ok=True)
    for path, source in tree.items():
        (folder / path).unlink(missing_ok=True)
        copy_file(source, folder / path)


def copy_out(
    tree: Mapping[str, Path | str], folder: Path, *, hashes: Mapping[str, str], run: Run = map
) -> Iterator[tuple[str, File]]:
    """Write real copies of the files, with the permissions that Lambda needs, into a new folder.

    `hashes` holds the SHA-256 of files whose content is known. `run` calls a function for each of some
    arguments, as `map` does; what it raises ends the work. Gives each file by the order of the paths.
    """
    root = str(folder)
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for above in sorted(folders_of(tree)):  # those above come first
        with suppress(FileExistsError):  # two names can be one folder somewhere
            make_folder(f"{root}/{above}")
    paths = sorted(tree)
    wanted = [(str(tree[path]), f"{root}/{path}", hashes.get(path)) for path in paths]
    batches = [wanted[begin : begin + _BATCH] for begin in range(0, len(wanted), _BATCH)]
    copied = [one for batch in run(copy_all, batches) for one in batch]
    return zip(paths, copied, strict=True)


def detach(tree: Tree, folder: Path) -> None:
    """Put copies in the place of the symbolic links that hooks have made in a folder, with this tree in it.

    What is written there afterwards must not reach what they lead to.
    """
    is_link = cache(lambda path: (folder / path).is_symlink())
    linked = {
        path: source.resolve()
        for path, source in tree.items()
        if is_link(path) or any(map(is_link, _parents(path)))
    }
    for path in linked:
        for above in (*reversed(tuple(_parents(path))), path):
            if (folder / above).is_symlink():
                (folder / above).unlink()
    copy(linked, folder)


def check_collisions(
    sources: Tree, hashes: Mapping[str, str], folders: Mapping[str, str], owner: Callable[[str], str]
) -> None:
    """Raise `BundleError` with every path that sources and dependencies cannot share.

    `hashes` has the SHA-256 of each file of the dependencies, `folders` each of their folders with a file in
    it, and `owner` names the distribution that a path belongs to. The same file on both sides is no problem.
    """
    problems = [
        _collision(path, f"the sources and {owner(path)} both bring this file, and they differ")
        for path in sources.keys() & hashes.keys()
        if hashlib.sha256(sources[path].read_bytes()).hexdigest() != hashes[path]
    ]
    for path in sources.keys() & folders.keys():
        message = f"this is a file of the sources, and a folder that {owner(folders[path])} brings"
        problems.append(_collision(path, message))
    for path in {parent for source in sources for parent in _parents(source)} & hashes.keys():
        message = f"this is a folder of the sources, and a file that {owner(path)} brings"
        problems.append(_collision(path, message))
    if problems:
        raise BundleError(*sorted(problems, key=lambda problem: problem.where.file or ""))


def folders_of(paths: Iterable[str]) -> dict[str, str]:
    """Every folder that these paths lie in, with one of them."""
    found: dict[str, str] = {}
    for path in paths:
        for parent in _parents(path):
            if parent in found:  # and so are those above it
                break
            found[parent] = path
    return found


def _parents(path: str) -> Iterator[str]:
    """Every folder above a path, the nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _collision(path: str, message: str) -> Problem:
    hint = "rename it in the sources, or leave it out with `exclude`"
    return Problem(code=Code.FILE_COLLISION, message=message, where=Where(file=path), hint=hint)


def file_mode(path: Path) -> int:
    """The permissions that a file has on Lambda: 755 if its owner may execute it, otherwise 644."""
    return lambda_mode(path.stat().st_mode)
