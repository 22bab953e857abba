"""How packages are reached: which indexes hold for an entry, and what of an environment is secret or a path.

What a requirements file says comes before `[index]` of `bundles.toml`, and that before the environment and
the configuration of the backend. Where several name indexes to ask besides, all of them are asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.indexes import Index, expand, passwords, secret_values
from lambda_bundle.jobs import Job
from lambda_bundle.process import mask
from lambda_bundle.registries import Configurations, Registries
from lambda_bundle.reqlines import address_faults, mask_url
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Options, Requirements


def add(
    wanted: Requirements,
    job: Job,
    target: Target,
    environ: Mapping[str, str],
    configurations: Configurations,
) -> Requirements:
    """The requirements with the indexes of `[index]`, and of the project's own configuration of uv.

    uv gets the latter as they are; pip gets those of a uv project alone, for what is locked there. Raises
    `BundleError` for variables that are not set, for folders that do not exist, and for packages that must
    come from one index where pip is to choose.
    """
    wanted = with_index(wanted, job.index, root=job.root, environ=environ)
    if _is_empty(wanted):
        return wanted
    registries = configurations.find(job.sources, environ, target.markers)
    if registries is None:
        return wanted
    found = _with_project(wanted, registries, job.backend, environ)
    return replace(found, files=tuple(dict.fromkeys((*found.files, *registries.files))))


def _with_project(
    wanted: Requirements, registries: Registries, backend: str, environ: Mapping[str, str]
) -> Requirements:
    options, names = wanted.options, {one.name for one in wanted.requirements}
    # In uv, sources belong to a pyproject.toml: they mean nothing for a requirements file.
    declared = [path.name for path in wanted.files[:1]] == ["pyproject.toml"]
    pins = {name: index for name, index in registries.pins.items() if declared and name in names}
    if backend == "uv":
        return replace(wanted, options=replace(options, uv=registries.lines(), pins=tuple(pins.items())))
    if pins:
        raise BundleError(*(_pinned(name, index) for name, index in pins.items()))
    if not declared and not wanted.candidates:
        return wanted
    default, others = registries.urls(environ)
    options = replace(
        options,
        index_url=options.index_url or (None if options.no_index else default),
        extra_index_urls=_unique(*options.extra_index_urls, *others),
        find_links=_unique(*options.find_links, *registries.links(environ)),
    )
    known = (default or "", *others)
    return replace(
        wanted, options=options, secrets=wanted.secrets | {one for url in known for one in passwords(url)}
    )


def _pinned(name: str, index: str) -> Problem:
    return Problem(
        code=Code.INDEX_UNSUITABLE,
        message=f"{name} must come from the index {index} ([tool.uv.sources]), and pip cannot be held to one",
        hint='lock the project (`uv lock`), or use backend = "uv"',
    )


def _is_empty(wanted: Requirements) -> bool:
    return not wanted.requirements and not wanted.sources and not wanted.candidates


def _unique(*values: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def with_index(wanted: Requirements, index: Index, *, root: Path, environ: Mapping[str, str]) -> Requirements:
    """The requirements with the indexes of `[index]`, whose folders are relative to `root`.

    Raises `BundleError` for variables that are not set and folders that do not exist.
    """
    if _is_empty(wanted):
        return wanted
    found, own = expand(index, root, environ), wanted.options
    options = replace(
        own,
        index_url=own.index_url or (None if own.no_index else found.url),
        extra_index_urls=_unique(*own.extra_index_urls, *found.extra),
        find_links=_unique(*own.find_links, *found.links),
    )
    _check(options)
    return replace(wanted, options=options, secrets=wanted.secrets | found.secrets)


def _check(options: Options) -> None:
    """Raise `BundleError` for addresses that no backend could understand: they would tell parts of them.

    And for folders that do not exist, which pip passes over.
    """
    urls = [options.index_url or "", *options.extra_index_urls, *options.find_links]
    problems = [
        Problem(code=Code.INVALID_REQUIREMENT, message=f"{mask(url)} {fault}", hint=hint)
        for url in urls
        if "://" in url
        for fault, hint in address_faults(url)
    ]
    problems += [
        Problem(
            code=Code.REQUIREMENTS_MISSING,
            message=f"{mask_url(link)} does not exist",
            hint="it is named with --find-links: a path is relative to the file that it stands in",
        )
        for link in options.find_links
        if "://" not in link and not os.path.exists(link)  # noqa: PTH110 - pathlib raises where a name is too long
    ]
    if problems:
        raise BundleError(*problems)


def secrets(environ: Mapping[str, str]) -> frozenset[str]:
    """What the variables of the backends say that must not be shown, in every form in which it may stand."""
    return frozenset(one for one in _secrets(environ) if one)


def all_secrets(environ: Mapping[str, str], index: Index) -> frozenset[str]:
    """What must not be shown of a hook's output: what is secret here, and all that is named like a secret."""
    named = (value for name, value in environ.items() if _SECRET.search(name) and len(value) >= _SHORT)
    addresses = (*filter(None, [index.url]), *index.extra, *index.links)
    own = (value for one in addresses for value in secret_values(one.text, environ))
    return frozenset((*secrets(environ), *own, *named))


_SECRET = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|(?:API|ACCESS|PRIVATE)_?KEY|AUTH)(?:_\d+)?$",
    re.IGNORECASE,
)
_SHORT = 6
"""Characters that a value has at least: to mask what is shorter would make output unreadable."""


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        upper = name.upper()
        if upper.startswith("UV_INDEX_") and upper.endswith("_PASSWORD"):
            yield value
        elif upper.startswith("UV_INDEX_") and upper.endswith("_USERNAME"):
            if not environ.get(f"{name[: -len('USERNAME')]}PASSWORD"):
                yield value  # then it is a token
        elif upper.startswith(("UV_", "PIP_")) or upper.endswith("_PROXY"):
            yield from passwords(value)
