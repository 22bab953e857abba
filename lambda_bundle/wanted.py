"""What is to be installed, as every module speaks of it: plain values for one target.

They are free of markers, variables, nesting and relative paths, so that every installer reads the same in
them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from lambda_bundle.errors import Problem, Where
from lambda_bundle.lock import Candidates, Origin, Source

_PIN = re.compile(r"===?[^,*]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One requirement or constraint that applies to the target."""

    name: str
    """Normalized (PEP 503)."""
    specifier: str
    """As `packaging` orders it, such as `<3,>=2`; empty for a URL and where any version will do."""
    extras: tuple[str, ...]
    """Normalized (PEP 685) and sorted."""
    url: str | None
    """Of a wheel; http, https or file. Keeps its fragment: installers check a hash that stands in there."""
    hashes: tuple[str, ...]
    """`sha256:…`, `sha384:…` or `sha512:…`, from `--hash` options and the URL's fragment."""
    where: Where

    @property
    def is_pinned(self) -> bool:
        """Whether it names one version, or a file."""
        return self.url is not None or _PIN.fullmatch(self.specifier) is not None

    @property
    def line(self) -> str:
        """For an installer's own requirements file; without marker and `--hash` options."""
        named = f"{self.name}[{','.join(self.extras)}]" if self.extras else self.name
        return f"{named} @ {self.url}" if self.url else f"{named}{self.specifier}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options for all requirements, of all files together; lists in order and without repetition."""

    index_url: str | None = None
    """The last one wins, as in pip."""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    """URLs as they were written, and absolute paths."""
    no_index: bool = False
    pre: bool = False
    trusted_hosts: tuple[str, ...] = ()
    require_hashes: bool = False
    """Asked for, or switched on by any `--hash`, even in a line whose marker does not hold; not by the hash
    in a URL (pip's rule)."""
    uv: tuple[str, ...] = ()
    """Lines for uv below its `[tool.uv]`: the indexes of the project's own configuration."""
    pins: tuple[tuple[str, str], ...] = ()
    """Packages that must come from an index in these lines: their names, normalized, and the index's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a requirements file, and all that it names, says for one target."""

    requirements: tuple[Requirement, ...]
    constraints: tuple[Requirement, ...]
    options: Options
    files: tuple[Path, ...]
    """Every file that was read, in order."""
    secrets: frozenset[str] = field(repr=False)
    """Passwords in URLs, and values of variables that hold some: to be masked in all output."""
    sources: tuple[Source, ...] = ()
    """What has to be built to wheels before anything can be resolved."""
    candidates: tuple[Candidates, ...] = ()
    """What a lock has chosen, with the wheels that it lists: of these packages nothing is resolved."""
    exact: bool = False
    """Whether this is all that there is to install: what packages require is not followed."""
    skip: tuple[str, ...] = ()
    """Names of packages to leave out, with what only they need; normalized."""
    roots: tuple[str, ...] | None = None
    """The packages that are asked for by themselves; None where a lock does not tell them from the others."""
    warnings: tuple[Problem, ...] = ()

    @property
    def is_pinned(self) -> bool:
        """Whether nothing in it is left to a resolver."""
        if self.exact:
            return all(one.is_pinned for one in self.requirements)
        if self.options.require_hashes:  # then the list is complete, by pip's own rule
            return all(one.is_pinned for one in self.requirements) and not self.sources
        return not (self.requirements or self.sources)

    @property
    def wheels(self) -> tuple[Path, ...]:
        """The wheels on this machine that it names."""
        urls = (one.url for one in (*self.requirements, *self.constraints) if one.url)
        local = (urlsplit(url).path for url in urls if url.startswith("file:"))
        return tuple(Path(file_path(f"file:{path}")) for path in local)


NO_REQUIREMENTS = Requirements(
    requirements=(), constraints=(), options=Options(), files=(), secrets=frozenset()
)
"""What there is to read where no file is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What of this machine took part in a set: a run later, it may have changed."""

    projects: Mapping[Path, str]
    """The digest of the files of each project, by its folder."""
    files: tuple[Path, ...]
    """What was read outside of them."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """What each wheel was built of, by its name."""


NOTHING_LOCAL = Local(projects={}, files=())


def file_path(url: str) -> str:
    """The path in a file URL (RFC 8089), with the host of a Windows share."""
    from urllib.request import url2pathname  # noqa: PLC0415 - it brings all of HTTP along

    path, host = url[len("file:") :], ""
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        path = slash + path
    return ("" if host in {"", "localhost"} else f"//{host}") + url2pathname(path)
