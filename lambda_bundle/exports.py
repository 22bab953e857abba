"""Other tools' locks, as those tools export them: argument lists, and running them.

Nothing runs in the user's folders, and nothing is locked anew: a tool that would write gets a private copy of
the few files that it reads, and a lock that does not belong to its project is an error.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.installers import Work
from lambda_bundle.jobs import Selection
from lambda_bundle.process import Completed
from lambda_bundle.projects import PROJECT, REFRESH, Law, Place, check_names, load, members, table
from lambda_bundle.targets import Target
from lambda_bundle.uvlock import difference

_DECIDED_HERE = frozenset(
    {
        *("UV_FROZEN", "UV_LOCKED", "UV_PROJECT", "UV_PYTHON", "UV_WORKING_DIRECTORY", "UV_WORKING_DIR"),
        *("UV_DEV", "UV_NO_DEV", "UV_NO_GROUP", "UV_NO_DEFAULT_GROUPS", "UV_NO_EDITABLE", "UV_OUTPUT_FORMAT"),
        *("UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV", "PIPENV_PIPFILE", "PDM_PROJECT", "PDM_LOCKFILE"),
    }
)
"""Variables that would change what an export says: bundles.toml says that."""


def quiet(work: Work) -> Work:
    """The same surroundings without the variables that are decided here."""
    environ = {name: value for name, value in work.environ.items() if name not in _DECIDED_HERE}
    return replace(work, environ=environ)


# --- uv


_LOOKING = threading.Lock()
"""uv asks `sysconfig`, which before Python 3.12 gives a second thread what the first has not read yet."""


def find_uv() -> str:
    """The uv that was installed with us: its version is one that we know. Raises `BundleError`."""
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - plan and validate run without it

        with _LOOKING:
            return find_uv_bin()
    except (ImportError, FileNotFoundError):
        raise BundleError(
            Problem(
                code=Code.COMMAND_FAILED,
                message="the uv that lambda-bundle was installed with is gone",
                hint="install it again: pip install --force-reinstall uv",
            )
        ) from None


def uv_arguments(
    project: Path, selection: Selection, *, emit: bool, check: bool, prune: bool, offline: bool
) -> list[str]:
    """`uv export` of a project to pylock.toml in the current folder.

    `emit`: with the package itself and not only what it depends on; `check`: only if the lock is current, for
    which uv needs a Python that the project admits; `prune`: without what is to be skipped.
    """
    # A lock is one answer for every Python, but uv checks it with an interpreter, and would download one.
    checking = ("--locked", "--python", sys.executable) if check else ("--frozen",)
    skipped = selection.skip if prune else ()
    return [
        *("export", "--project", str(project), *checking, "--no-python-downloads"),
        *("--format", "pylock.toml", "--output-file", "pylock.toml", "--no-default-groups"),
        *(("--offline",) if offline else ()),
        *("--quiet", "--no-progress", "--color", "never"),
        *(() if emit else ("--no-emit-project",)),
        *(("--package", selection.package) if selection.package else ()),
        *(part for extra in selection.extras for part in ("--extra", extra)),
        *(part for group in selection.groups for part in ("--group", group)),
        *(part for name in skipped for part in ("--prune", name)),
    ]


def export_uv(
    law: Law,
    place: Place,
    selection: Selection,
    target: Target,
    work: Work,
    *,
    emit: bool,
    prune: bool,
) -> dict[str, Any]:
    """What a uv.lock says, as a PEP 751 document whose paths are relative to the private folder.

    Raises `BundleError` for a lock that is stale or cannot be read, and for a name that the project lacks.
    """
    lock = load(law.path, place)
    check = _admits_host(lock)
    if not check:
        _check_uv_lock(lock, law, place, target)
    work = quiet(work)
    (work.folder / "pylock.toml").unlink(missing_ok=True)
    arguments = uv_arguments(
        law.project, selection, emit=emit, check=check, prune=prune, offline=work.offline
    )
    completed = work.run([find_uv(), *arguments])
    if completed.code:
        _check_selection(lock, law, place, selection)
        raise _uv_failure(completed, law, place)
    return load(work.folder / "pylock.toml", place)


def _admits_host(lock: Mapping[str, Any]) -> bool:
    """Whether the Python that runs us can check the lock."""
    try:
        admitted = SpecifierSet(str(lock.get("requires-python", "")))
    except InvalidSpecifier:
        return True  # uv says what is wrong with it
    return admitted.contains(".".join(map(str, sys.version_info[:3])), prereleases=True)


def _check_uv_lock(lock: Mapping[str, Any], law: Law, place: Place, target: Target) -> None:
    """Raise `BundleError` for a lock that is stale; for hosts whose Python uv cannot check it with."""
    folder = law.path.parent
    paths = {name: folder / path / PROJECT for name, path in members(lock).items()}
    projects = {name: load(path, place) for name, path in paths.items() if path.is_file()}
    own = law.project / PROJECT
    if own.is_file():
        data = load(own, place)
        name = table(data, "project").get("name")
        if name is not None:
            projects[canonicalize_name(str(name))] = data
    why = difference(lock, projects, target)
    if why is not None:
        shown = place.shown(law.path)
        raise BundleError(
            Problem(
                code=Code.LOCK_STALE,
                message=f"{shown} is older than what it locks: {why}",
                where=Where(file=shown),
                hint=f"{REFRESH['uv']} in {place.shown(folder)}",
            )
        )


def _check_selection(lock: Mapping[str, Any], law: Law, place: Place, selection: Selection) -> None:
    """Raise `BundleError` for a package, extras or groups that the project does not have."""
    there, folder = members(lock), law.project
    if selection.package is not None:
        check_names(Where(file=place.shown(law.path)), "package", [selection.package], there)
        folder = law.path.parent / there[canonicalize_name(selection.package)]
    path = folder / PROJECT
    where = Where(file=place.shown(path))
    data = load(path, place) if path.is_file() else {}
    legacy = ["dev"] if table(data, "tool", "uv").get("dev-dependencies") else []
    extras = table(data, "project", "optional-dependencies")
    check_names(where, "extra", selection.extras, extras)
    groups = [*table(data, "dependency-groups"), *legacy]
    check_names(where, "dependency group", selection.groups, groups)


_UV_FAILURES: tuple[tuple[str, Code, str], ...] = (
    ("needs to be updated", Code.LOCK_STALE, "is older than what it locks"),
    ("Unable to find lockfile", Code.LOCK_MISSING, "is not there"),
    ("Failed to parse `uv.lock`", Code.LOCK_INVALID, "cannot be read"),
    ("unsupported schema version", Code.LOCK_INVALID, "was written by a uv that is too new for this one"),
)


def _uv_failure(completed: Completed, law: Law, place: Place) -> BundleError:
    shown = place.shown(law.path)
    for words, code, message in _UV_FAILURES:
        if words in completed.output:
            hint = f"{REFRESH['uv']} in {place.shown(law.path.parent)}"
            return BundleError(
                Problem(
                    code=code,
                    message=f"{shown} {message}",
                    where=Where(file=shown),
                    hint=hint,
                    detail=completed.output.strip(),
                )
            )
    if "required-version" in completed.output or "Required uv version" in completed.output:
        hint = "this uv comes with lambda-bundle: let `required-version` of [tool.uv] admit it"
        return completed.failure("uv, which the project does not admit,", hint=hint)
    return completed.failure(
        f"uv export of {shown}", hint=f"try `uv lock --check` in {place.shown(law.project)}"
    )
