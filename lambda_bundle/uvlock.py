"""Whether a uv.lock belongs to its project, as far as one target is concerned.

uv itself checks this with an interpreter that the project admits. Where the host's is none (a function for
python3.14, bundled with Python 3.11), what the lock says of each local project is compared here with that
project's pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lambda_bundle.projects import grouped, table
from lambda_bundle.targets import Target

Wants = dict[tuple[str, str, str], SpecifierSet | None]
"""Group or extra ("" for the dependencies themselves), package and its extras → versions; None: elsewhere."""
_ELSEWHERE = ("editable", "directory", "virtual", "git", "url", "path")


def difference(
    lock: Mapping[str, Any], projects: Mapping[str, Mapping[str, Any]], target: Target
) -> str | None:
    """What a lock does not know of its projects, in words; None where they agree.

    `projects` has the content of each pyproject.toml, by the normalized name of the project.
    """
    packages = {str(one.get("name")): one for one in lock.get("package", ())}
    for name, project in projects.items():
        if name not in packages:
            return f"{name} is not in it"
        metadata = packages[name].get("metadata", {})
        for locked, declared in (
            (_locked(metadata, target), _declared(project, target)),
            (_locked_groups(metadata, target), _groups(project, target)),
        ):
            if declared is not None and (found := _compare(locked, declared)):
                return f"{name} {found}"
    return None


def _compare(locked: Wants, declared: Wants) -> str | None:
    for key in sorted(declared.keys() ^ locked.keys()):
        verb = "now needs" if key in declared else "no longer needs"
        return f"{verb} {key[1]}" + (f" ({key[0]})" if key[0] else "")
    for key, versions in declared.items():
        known = locked[key]
        if known is not None and versions is not None and known != versions:
            return f"now needs {key[1]}{versions}" + (f" ({key[0]})" if key[0] else "")
    return None


def _locked(metadata: Mapping[str, Any], target: Target) -> Wants:
    extras = ["", *metadata.get("provides-extras", ())]
    return _joined(_entries(metadata.get("requires-dist", ()), extras, target))


def _locked_groups(metadata: Mapping[str, Any], target: Target) -> Wants:
    return _joined(
        ((f"group {group}", name, extras), versions)
        for group, entries in metadata.get("requires-dev", {}).items()
        for (_, name, extras), versions in _entries(entries, [""], target)
    )


def _joined(wants: Iterable[tuple[tuple[str, str, str], SpecifierSet | None]]) -> Wants:
    """What is wanted altogether: a package may be named several times, in any order."""
    found: Wants = {}
    for key, versions in wants:
        known = found.get(key, SpecifierSet())
        found[key] = None if versions is None or known is None else known & versions
    return found


def _entries(
    entries: Iterable[Mapping[str, Any]], extras: Iterable[str], target: Target
) -> Iterator[tuple[tuple[str, str, str], SpecifierSet | None]]:
    for entry in entries:
        marker = Marker(entry["marker"]) if "marker" in entry else None
        key = (str(entry["name"]), ",".join(sorted(entry.get("extras", ()))))
        elsewhere = any(one in entry for one in _ELSEWHERE)
        versions = None if elsewhere else SpecifierSet(str(entry.get("specifier", "")))
        for extra in _holding(marker, extras, target):
            yield (extra, *key), versions


def _declared(project: Mapping[str, Any], target: Target) -> Wants | None:
    """None: only a build can tell."""
    table = project.get("project", {})
    if {"dependencies", "optional-dependencies"} & set(table.get("dynamic", ())):
        return None
    return _joined(
        one
        for extra, texts in [
            ("", table.get("dependencies", ())),
            *table.get("optional-dependencies", {}).items(),
        ]
        for one in _requirements(texts, canonicalize_name(extra), target)
    )


def _groups(project: Mapping[str, Any], target: Target) -> Wants | None:
    found = {}
    for name in table(project, "dependency-groups"):
        texts = grouped(project, name)
        if texts is None:
            return None  # uv says what is wrong with it
        found[name] = texts
    legacy = project.get("tool", {}).get("uv", {}).get("dev-dependencies", ())
    if legacy:
        found["dev"] = [*found.get("dev", ()), *legacy]
    return _joined(
        one
        for name, texts in found.items()
        for one in _requirements(texts, f"group {canonicalize_name(name)}", target)
    )


def _requirements(
    texts: Iterable[str], group: str, target: Target
) -> Iterator[tuple[tuple[str, str, str], SpecifierSet | None]]:
    for text in texts:
        try:
            parsed = Requirement(text)
        except InvalidRequirement:
            continue  # uv says what is wrong with it
        if list(_holding(parsed.marker, [""], target)):
            extras = ",".join(sorted(map(canonicalize_name, parsed.extras)))
            versions = None if parsed.url else parsed.specifier
            yield (group, canonicalize_name(parsed.name), extras), versions


def _holding(marker: Marker | None, extras: Iterable[str], target: Target) -> Iterator[str]:
    """The extras that bring a requirement in; "" where it needs none."""
    for extra in extras:
        if marker is None:
            yield ""
            return
        if marker.evaluate({**target.markers, "extra": extra}):
            yield extra
            if not extra:
                return
