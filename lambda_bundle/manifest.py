"""`dist/manifest.json`: what is in the output folder, for deployment tools.

It holds no absolute path, no time and no secret: the same inputs give the same bytes on any machine.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Any

from lambda_bundle.entries import MANIFEST, artifact_name
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.jobs import Job
from lambda_bundle.lock import Wheel
from lambda_bundle.result import Artifact, Result

VERSION = 1
PASSING = ".lambda-bundle-"
"""How all begins that is in an output folder only while a run goes on; `clean` removes what is left of it."""
_LOCK_FOLDERS = 10
"""How many names are tried for the folder with a user's locks."""
_NO_NAMES = frozenset({"", ".", ".."})


def row(job: Job, artifact: Artifact) -> dict[str, Any]:
    """The manifest's row for a built artifact."""
    archived = artifact.archived
    return {
        "kind": job.kind,
        "path": artifact_name(job.name, job.format),
        "format": job.format,
        "runtime": job.target.runtime,
        "runtimes": list(job.runtimes),
        "arch": job.target.arch,
        "handler": job.handler,
        "layers": [layer.name for layer in job.layers],
        "sha256": archived.sha256,
        "code_sha256": archived.code_sha256 if job.format == "zip" else None,
        "size": archived.size,
        "unzipped": archived.unzipped,
        "digest": artifact.digest,
        "wheels": [_wheel_row(wheel, artifact) for wheel in artifact.wheels],
    }


def _wheel_row(wheel: Wheel, artifact: Artifact) -> dict[str, Any]:
    row: dict[str, Any] = {"name": wheel.name, "version": wheel.version}
    row |= {"file": wheel.filename, "sha256": wheel.sha256}
    if artifact.runtimes:
        row["runtimes"] = list(artifact.runtimes[wheel.filename])
    return row


def paths(rows: Mapping[str, Any]) -> frozenset[str]:
    """The names of the artifacts that rows list."""
    return frozenset(one["path"] for one in rows.values())


def replaced(job: Job, listed: AbstractSet[str]) -> tuple[Path, ...]:
    """What an earlier run left of a job in the other format; what is not listed may be the user's."""
    other = artifact_name(job.name, "dir" if job.format == "zip" else "zip")
    return (job.output / other,) if other in listed else ()


def is_ours(job: Job, listed: AbstractSet[str]) -> bool:
    """Whether what stands in the place of an artifact may go: nothing but this tool calls a zip like that."""
    path = job.artifact
    if path.is_symlink() or not path.exists():
        return True
    if not path.is_dir():
        return job.format == "zip" or path.name in listed
    try:
        return (job.format == "dir" and path.name in listed) or not any(path.iterdir())
    except OSError:  # nobody may look into it
        return False


def in_the_way(job: Job) -> BundleError:
    """The error for what is not ours, where an artifact would stand."""
    what = "a folder" if job.artifact.is_dir() else "a file"
    return BundleError(
        Problem(
            code=Code.OUTPUT_UNWRITABLE,
            message=f"{what} stands where the artifact would, and no manifest lists it",
            where=Where(file=str(job.artifact), name=job.name, stage="publish"),
            hint="move it away, or choose another folder with --output: it may be yours",
        )
    )


def lists(rows: Mapping[str, Any], known: Sequence[str] | None) -> bool:
    """Whether rows are those of known names alone, in their order: then nothing is to be dropped."""
    return known is None or list(rows) == [name for name in known if name in rows]


def update(output: Path, results: Iterable[Result], *, known: Sequence[str] | None = None) -> None:
    """Write the rows of what was built; drop those of what failed or is no longer declared.

    `known` holds the names in `bundles.toml`, in order; without it every row that is there is kept. Two runs
    at once into one folder lose nothing. Raises `BundleError` when the manifest that is there cannot be read
    or a new one not be written.
    """
    rows = {one.job.name: row(one.job, one.artifact) for one in results if one.artifact is not None}
    gone = {one.job.name for one in results if one.status == "failed"}

    def merged() -> dict[str, Any]:
        all_rows = {**read(output), **rows}
        names = all_rows if known is None else known
        return {name: all_rows[name] for name in names if name in all_rows and name not in gone}

    if rows and list(merged().items()) == list(read(output).items()):
        return
    from filelock import FileLock  # noqa: PLC0415 - where nothing has changed, nothing is locked

    try:
        output.mkdir(parents=True, exist_ok=True)
        with FileLock(_lock_file(output)):
            _write(output, merged())
    except OSError as error:
        raise unwritable(output, error) from None


def unwritable(output: Path, error: OSError) -> BundleError:
    """The error for an output folder that cannot be written."""
    in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
    return BundleError(
        Problem(
            code=Code.OUTPUT_UNWRITABLE,
            message=f"cannot be {'a folder' if in_the_way else 'written'}: {error.strerror}",
            where=Where(file=str(error.filename or output)),
            hint="make room, change its permissions, or choose another folder with --output",
        )
    )


def read(output: Path) -> Mapping[str, Any]:
    """The rows of the manifest in a folder, by name; none when there is no manifest.

    Raises `BundleError` when it cannot be read. The path of each row names something in the folder itself.
    """
    path = output / MANIFEST
    try:
        rows = _rows(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        message = "not a manifest that this version writes"
    else:
        return rows
    raise BundleError(
        Problem(
            code=Code.MANIFEST_UNREADABLE,
            message=message,
            where=Where(file=str(path)),
            hint="remove it with `invoke clean` and bundle everything again",
        )
    )


def _rows(document: Any) -> Mapping[str, Any]:
    rows = document.get("artifacts") if isinstance(document, dict) else None
    if not isinstance(rows, dict) or document.get("version") != VERSION:
        raise ValueError(document)
    for one in rows.values():
        path = one.get("path") if isinstance(one, dict) else None
        if not isinstance(path, str) or os.path.basename(path) != path or path in _NO_NAMES:  # noqa: PTH119 - for each of 1,000 rows
            raise ValueError(one)
    return rows


def _write(output: Path, rows: Mapping[str, Any]) -> None:
    text = json.dumps({"version": VERSION, "artifacts": dict(rows)}, indent=2, ensure_ascii=False) + "\n"
    temporary = output / f"{PASSING}{MANIFEST}"
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.replace(output / MANIFEST)


def _lock_file(output: Path) -> Path:
    """A lock beside nothing of the user's: one in the output folder would be uploaded with it.

    Every user has a folder for these, which nobody else can write. Where somebody else has made something of
    its name, the next name is taken. Raises `OSError`.
    """
    # Where there are no such numbers, the temporary folder is the user's own.
    user = str(os.getuid()) if hasattr(os, "getuid") else ""
    key = hashlib.sha256(os.fsencode(output.resolve())).hexdigest()[:16]
    names = (f"lambda-bundle-locks-{user}{f'-{number}' if number else ''}" for number in range(_LOCK_FOLDERS))
    for folder in (Path(tempfile.gettempdir(), name) for name in names):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
        if stat.S_ISDIR(status.st_mode) and (not user or status.st_uid == os.getuid()):
            return folder / key
    raise PermissionError(errno.EPERM, "others have folders of these names", tempfile.gettempdir())
