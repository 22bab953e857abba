"""Artifacts as they lie on disk, whoever built them: a zip, or a folder that somebody will zip.

What the store knows of a dependency set has to be read here: metadata from .dist-info folders, binaries from
the files. Files that no RECORD lists count as the function's own.
"""

from __future__ import annotations

import os
import posixpath
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambda_bundle import binaries, hygiene
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.installed import Distribution, read
from lambda_bundle.reading import read_one
from lambda_bundle.stage import folders_of
from lambda_bundle.targets import UNZIPPED_LIMIT, Target
from lambda_bundle.verify import Content, Part, Subject

_LAYER_PREFIX = "python/"
_LAYER_FOLDERS = frozenset({"python", "lib", "bin", "include", "extensions", "share", "etc"})
"""What lies at the root of a layer."""
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
    problems: tuple[Problem, ...]
    """What is wrong with names and permissions in it."""

    @property
    def is_layer(self) -> bool:
        """Whether it looks like a layer: python/ is at its root, and nothing of a function's."""
        tops = {path.partition("/")[0] for path in self.files}
        return "python" in tops and tops <= _LAYER_FOLDERS


def unpack(path: Path, folder: Path) -> Artifact:
    """Read an artifact; a zip is unpacked into an empty folder.

    Raises `BundleError` when it cannot be read.
    """
    try:
        return _of_folder(path) if path.is_dir() else _of_zip(path, folder)
    except FileNotFoundError:
        raise unreadable(path, "it is not there", "build it first, or name another with --path") from None
    except OSError as error:
        raise unreadable(path, error.strerror or str(error), "see that it can be read") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError):
        hint = "build it again: Lambda would not accept it either"
        raise unreadable(path, "it is no zip file, or a damaged or encrypted one", hint) from None


def unreadable(path: Path, why: str, hint: str) -> BundleError:
    """The error for an artifact that cannot be read."""
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


def _of_zip(path: Path, folder: Path) -> Artifact:
    with zipfile.ZipFile(path) as archive:
        members = [one for one in archive.infolist() if not one.is_dir()]
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
            with archive.open(one) as packed, files[name].open("wb") as file:
                while block := packed.read(1 << 20):
                    file.write(block)
        problems += _follow(links, files)
        problems += map(_twofold, sorted(files.keys() & folders_of(files).keys()))
    return Artifact(
        path=path,
        size=path.stat().st_size,
        unzipped=unzipped,
        files=dict(sorted(files.items())),
        problems=tuple(problems),
    )


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
    files = _placed(artifact, is_layer=handler is None and artifact.is_layer)
    content = _content(files, target)
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
    others = tuple(_content(_placed(one, is_layer=True), target) for _, one in layers)
    subject = Subject(target=target, handler=handler, content=content, own=own, layers=others)
    return subject, tuple(problems)


def _placed(artifact: Artifact, *, is_layer: bool) -> dict[str, Path]:
    """The files of an artifact, sorted, by paths that are relative to where Python looks."""
    prefix = _LAYER_PREFIX if is_layer else ""
    # What a layer has elsewhere (lib/, bin/) comes with dots.
    return dict(
        sorted(
            (path.removeprefix(prefix) if path.startswith(prefix) else f"../{path}", file)
            for path, file in artifact.files.items()
        )
    )


def _content(files: Mapping[str, Path], target: Target) -> Content:
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
            {path: file for path, file in files.items() if not target.passes_over(path)}
        ),
        distributions=tuple(found.values()),
    )
    return Content(
        parts=(part,), owner=owners.get, read=lambda path: read_one(files[path].read_bytes(), target)
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
