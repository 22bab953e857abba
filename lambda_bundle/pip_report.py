"""What pip's installation report says: which wheels those are, and what a complete list does not list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from packaging.requirements import Requirement as Declared
from packaging.utils import canonicalize_name

from lambda_bundle.errors import BundleError
from lambda_bundle.installers import conflict, hash_missing, source_requirement
from lambda_bundle.lock import Wheel, wheel_file
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Requirements

Report = Mapping[str, Mapping[str, Any]]
"""What pip would install, by normalized name."""


def lacking(wanted: Requirements, report: Report, target: Target) -> dict[str, str]:
    """What the distributions of a report require on the target, and the report has not.

    The name of the distribution that declares it, by the requirement that is not satisfied. Raises
    `BundleError` for a requirement that could only be built.
    """
    missing: dict[str, str] = {}
    seen: dict[str, set[str]] = {}
    queue = [(Declared(one.line), "") for one in wanted.requirements]
    while queue:
        requirement, parent = queue.pop()
        name = canonicalize_name(requirement.name)
        if requirement.url and not urlsplit(requirement.url).path.endswith(".whl"):
            raise source_requirement(name, requirement.url, parent)
        found = report.get(name)
        if found is None or not _satisfies(found, requirement):
            missing.setdefault(_unmarked(requirement), parent)
        if found is None or (name in seen and requirement.extras <= seen[name]):
            continue
        seen[name] = seen.get(name, set()) | requirement.extras
        queue += [(child, name) for child in _declared(found, seen[name], target)]
    return missing


def unlisted(missing: Mapping[str, str], report: Report) -> BundleError:
    """The error for what a complete list of hashes lacks, or has in another version."""
    others = [
        f"{parent} requires {line}, and the requirements list {name}=={report[name]['metadata']['version']}"
        for line, parent in missing.items()
        if (name := canonicalize_name(Declared(line).name)) in report
    ]
    return conflict("\n".join(others)) if others else hash_missing(missing)


def chosen(report: Report, wanted: Requirements) -> tuple[Wheel, ...]:
    """The wheels of a report."""
    direct = {one.name: one.url for one in wanted.requirements if one.url}
    return tuple(_wheel(name, report[name], direct.get(name)) for name in sorted(report))


def _satisfies(found: Mapping[str, Any], requirement: Declared) -> bool:
    return requirement.url is not None or requirement.specifier.contains(
        found["metadata"]["version"], prereleases=True
    )


def _unmarked(requirement: Declared) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    place = f" @ {requirement.url}" if requirement.url else str(requirement.specifier)
    return f"{canonicalize_name(requirement.name)}{extras}{place}"


def _declared(found: Mapping[str, Any], extras: set[str], target: Target) -> Iterator[Declared]:
    """The requirements of a distribution that hold on the target, with these of its extras."""
    for text in found["metadata"].get("requires_dist", ()):
        declared = Declared(text)
        if declared.marker is None or any(
            declared.marker.evaluate({**target.markers, "extra": extra}) for extra in ("", *extras)
        ):
            yield declared


def _wheel(name: str, item: Mapping[str, Any], direct: str | None) -> Wheel:
    """The wheel of a report's item; one that was asked for by URL keeps that: the report omits passwords."""
    url = direct or item["download_info"]["url"]
    hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
    return Wheel(
        name=name,
        version=item["metadata"]["version"],
        filename=wheel_file(url),
        url=url,
        sha256=hashes.get("sha256"),
        yanked=item.get("yanked_reason", "") if item.get("is_yanked") else None,
    )
