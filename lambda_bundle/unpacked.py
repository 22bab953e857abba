"""Artifacts as they lie on disk, whoever built them: a zip, or a folder that somebody will zip.

What the store knows of a dependency set has to be read here: metadata from .dist-info folders, binaries from
the files. Files that no RECORD lists count as the function's own.
"""

from __future__ import annotations

import os
import posixpath
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lambda_bundle import binaries, hygiene
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.installed import Distribution, listed, read
from lambda_bundle.reading import read_one
from lambda_bundle.stage import folders_of
from lambda_bundle.targets import SITE, UNZIPPED_LIMIT, Target
from lambda_bundle.verify import Content, Part, Subject

_LAYER_PREFIX = "python/"
_LAYER_FOLDERS = frozenset({"python", "lib", "bin", "include", "extensions", "share", "etc"})
"""What lies at the root of a layer."""
_OWN = (".py", ".pyc", ".pem", ".pth")
"""What is read of a function's own files, besides binaries."""
_BLOCK = 1 << 20
_MAGIC = 4
_FAR_TOO_LARGE = 4 * UNZIPPED_LIMIT
"""Bytes of an archive beyond which nothing in it is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A zip or a folder, unpacked."""

    path: Path
    size: int
    """Bytes of the zip; 0 for a folder."""
    unzipped: int
    files: Mapping[str, Path]
    """Where each file is on disk, by its path in the artifact; none of one that is far too large."""
    left: frozenset[str] = frozenset()
    """Those that were left in the zip: hardly anybody wants to know what is in them."""
    problems: tuple[Problem, ...]
    """What is wrong with names and permissions in it."""

    @property
    def is_layer(self) -> bool:
        """Whether it looks like a layer."""
        return _is_layer(self.files)

    def read(self, name: str) -> bytes:
        """What is in one of the files."""
        if name not in self.left:
            return self.files[name].read_bytes()
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(name)


def _is_layer(names: Iterable[str]) -> bool:
    """Whether python/ is at the root, and nothing of a function's."""
    tops = {path.partition("/")[0] for path in names}
    return "python" in tops and tops <= _LAYER_FOLDERS


def unpack(path: Path, folder: Path, *, is_layer: bool) -> Artifact:
    """Read an artifact; of a zip, what is judged is unpacked into an empty folder, and all else is checked.

    `is_layer` says whether it is taken for a layer, if it looks like one. Raises `BundleError` when it cannot
    be read.
    """
    with reading(path):
        return _of_folder(path) if path.is_dir() else _of_zip(path, folder, is_layer=is_layer)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What is wrong with an artifact as a whole becomes `BundleError`."""
    try:
        yield
    except FileNotFoundError:
        raise _unreadable(path, "it is not there", "build it first, or name another with --path") from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), "see that it can be read") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError):
        hint = "build it again: Lambda would not accept it either"
        raise _unreadable(path, "it is no zip file, or a damaged or encrypted one", hint) from None


def missing(path: Path) -> BundleError:
    """The error for an artifact that is not there."""
    return BundleError(
        Problem(
            code=Code.ARTIFACT_MISSING,
            message="there is no such artifact",
            where=Where(file=str(path)),
            hint="build it first with `invoke bundle`, or give the path of another",
        )
    )


def _unreadable(path: Path, why: str, hint: str) -> BundleError:
    where = Where(file=str(path))
    problem = Problem(
        code=Code.ARTIFACT_UNREADABLE, message=f"the artifact cannot be read: {why}", where=where, hint=hint
    )
    return BundleError(problem)


def _of_folder(path: Path) -> Artifact:
    files: dict[str, Path] = {}
    modes: dict[str, int] = {}
    for root, folders, names in os.walk(path, followlinks=True):
        for name in folders:
            folder = Path(root, name)
            modes[f"{folder.relative_to(path).as_posix()}/"] = folder.stat().st_mode
        for name in names:
            file = Path(root, name)
            relative = file.relative_to(path).as_posix()
            files[relative] = file
            modes[relative] = file.stat().st_mode
    return Artifact(
        path=path,
        size=0,
        unzipped=sum(file.stat().st_size for file in files.values()),
        files=dict(sorted(files.items())),
        problems=tuple(_closed(modes) if os.name != "nt" else ()),
    )


def _of_zip(path: Path, folder: Path, *, is_layer: bool) -> Artifact:
    left: set[str] = set()
    with zipfile.ZipFile(path) as archive:
        members = [one for one in archive.infolist() if not one.is_dir()]
        theirs = _theirs(archive, _LAYER_PREFIX if is_layer and _is_layer(archive.namelist()) else "")
        unzipped = sum(one.file_size for one in members)
        files: dict[str, Path] = {}
        links: dict[str, str] = {}
        problems = list(_closed({one.filename: one.external_attr >> 16 for one in archive.infolist()}))
        for one in members if unzipped <= _FAR_TOO_LARGE else ():
            name = one.orig_filename.replace("\0", "")
            if name.startswith("/") or ".." in name.split("/"):
                problems.append(_outside(name))
                continue
            if one.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise NotImplementedError  # Lambda knows these two
            if stat.S_ISLNK(one.external_attr >> 16):
                links[name] = archive.read(one).decode(errors="replace")
                continue
            files[name] = folder / f"{len(files)}"  # under a name of ours: theirs may be none on this system
            with archive.open(one) as packed:
                block = packed.read(_BLOCK)
                if _is_judged(name, block[:_MAGIC], theirs) or name != one.filename:
                    with files[name].open("wb") as file:
                        while block:
                            file.write(block)
                            block = packed.read(_BLOCK)
                else:
                    left.add(name)
                    while block:  # to the end, for the checksum
                        block = packed.read(_BLOCK)
        problems += _follow(links, files)
        problems += map(_twofold, sorted(files.keys() & folders_of(files).keys()))
    return Artifact(
        path=path,
        size=path.stat().st_size,
        unzipped=unzipped,
        files=dict(sorted(files.items())),
        left=frozenset(left),
        problems=tuple(problems),
    )


def _theirs(archive: zipfile.ZipFile, prefix: str) -> frozenset[str]:
    """The files in a zip that distributions have brought, by the RECORDs where Python looks."""
    found: set[str] = set()
    for name in archive.namelist():
        root, _, _ = name.rpartition("/")[0].rpartition("/")
        looked_at = (
            root + "/" == prefix or (not root and not prefix) or SITE.fullmatch(f"{root}/", len(prefix))
        )
        if name.endswith(".dist-info/RECORD") and looked_at:
            lines = archive.read(name).decode(errors="replace").splitlines()
            found.update(posixpath.join(root, path) for path, _ in listed(lines))
    return frozenset(found)


def _is_judged(name: str, start: bytes, theirs: frozenset[str]) -> bool:
    """Whether anything is to say of what is in a file, and not only of its name and size."""
    if ".dist-info/" in name or binaries.is_of_interest(name, start):
        return True
    return name.endswith(_OWN) and name not in theirs


def _follow(links: Mapping[str, str], files: dict[str, Path]) -> Iterator[Problem]:
    """Add what symbolic links of an archive lead to, under their names: Lambda unpacks them as links."""
    real = dict(files)
    for name, target in sorted(links.items()):
        place = name
        for _ in links:  # one may lead to another
            if place not in links:
                break
            place = posixpath.normpath(posixpath.join(posixpath.dirname(place), links[place]))
        below = {path: file for path, file in real.items() if path == place or path.startswith(f"{place}/")}
        files |= {f"{name}{path[len(place) :]}": file for path, file in below.items()}
        if not below:
            yield Problem(
                code=Code.BROKEN_LINK,
                message=f"a symbolic link points to {target}, which is not in the archive",
                where=Where(file=name),
                hint="let it lead to a file of the archive, or put the file itself there",
            )


def _outside(name: str) -> Problem:
    return Problem(
        code=Code.UNUSABLE_NAME,
        message="its name leads out of the folder that the archive is unpacked into",
        where=Where(file=name),
        hint="make the archive from inside the folder",
    )


def _twofold(name: str) -> Problem:
    return Problem(
        code=Code.UNUSABLE_NAME,
        message="this is a file, and the folder of others",
        where=Where(file=name),
        hint="make the archive anew: only one of them could be unpacked",
    )


def _closed(modes: Mapping[str, int]) -> Iterator[Problem]:
    """What Lambda's user may not read, or enter; 0 is what archives of systems without permissions say.

    Folders end with "/".
    """
    for path, mode in sorted(modes.items()):
        needed = stat.S_IROTH | (stat.S_IXOTH if path.endswith("/") else 0)
        if stat.S_IMODE(mode) and mode & needed != needed:
            yield Problem(
                code=Code.UNREADABLE_FILE,
                message=f"its permissions are {stat.S_IMODE(mode):o}, and Lambda's user is not its owner",
                where=Where(file=path),
                hint="make files 644, programs and folders 755 (`chmod -R a+rX`), before they are zipped",
            )


# --- what is judged


def judged(
    artifact: Artifact,
    target: Target,
    *,
    handler: str | None,
    layers: Sequence[tuple[str, Artifact]] = (),
) -> tuple[Subject, tuple[Problem, ...]]:
    """An artifact with its layers as a subject of `verify`, and what is known already."""
    names = _placed(artifact, is_layer=handler is None and artifact.is_layer)
    files = {path: artifact.files[name] for path, name in names.items()}
    content = _content(artifact, names, target)
    own = {
        path: file
        for path, file in files.items()
        if content.owner(path) is None and ".dist-info/" not in path and not target.passes_over(path)
    }
    problems = [
        *artifact.problems,
        *hygiene.sizes(artifact.unzipped, [(other, one.unzipped) for other, one in layers]),
        *hygiene.zipped(artifact.size),
    ]
    others = tuple(_content(one, _placed(one, is_layer=True), target) for _, one in layers)
    subject = Subject(target=target, handler=handler, content=content, own=own, layers=others)
    return subject, tuple(problems)


def _placed(artifact: Artifact, *, is_layer: bool) -> dict[str, str]:
    """The names of the files of an artifact, sorted, by paths that are relative to where Python looks."""
    prefix = _LAYER_PREFIX if is_layer else ""
    # What a layer has elsewhere (lib/, bin/) comes with dots.
    return dict(
        sorted(
            (path.removeprefix(prefix) if path.startswith(prefix) else f"../{path}", path)
            for path in artifact.files
        )
    )


def _content(artifact: Artifact, names: Mapping[str, str], target: Target) -> Content:
    files = {path: artifact.files[name] for path, name in names.items()}
    found: dict[str, Distribution] = {}
    owners: dict[str, str] = {}
    for root in ("", target.site):
        for one in _distributions(files, root):
            found.setdefault(one.name, one)
            owners |= {f"{root}{path}": f"{one.name} {one.version}" for path in one.files}
    part = Part(
        files=files.keys(),
        folders=folders_of(files).keys(),
        names=tuple(hygiene.names(files)),
        binaries=binaries.inspect(
            {
                path: file
                for path, file in files.items()
                if names[path] not in artifact.left and not target.passes_over(path)
            }
        ),
        distributions=tuple(found.values()),
    )
    return Content(
        parts=(part,), owner=owners.get, read=lambda path: read_one(artifact.read(names[path]), target)
    )


def _distributions(files: Mapping[str, Path], root: str) -> Iterator[Distribution]:
    """The distributions whose metadata lies in a folder."""
    infos = {
        posixpath.dirname(path): file
        for path, file in files.items()
        if path.startswith(root) and path.removeprefix(root).count("/") == 1
        if path.endswith(".dist-info/METADATA")
    }
    for info, metadata in sorted(infos.items()):
        record = files.get(f"{info}/RECORD")
        yield read(posixpath.basename(info), metadata, record)
