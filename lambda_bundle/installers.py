"""What both backends share: the protocol, what they are given, and how their failures are told.

A backend resolves requirements to a lock for one target, and installs a lock into an empty folder. Whatever
it runs carries `ONLY_BINARY`: nothing is ever built.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from packaging.utils import canonicalize_name, parse_wheel_filename

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.lock import Candidates, Source, Unfit, Wheel, fits, wheel_file
from lambda_bundle.process import Children, Completed, mask
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Options, Requirements

ONLY_BINARY = ("--only-binary", ":all:")
_SHOWN = 12
"""How many wheels of a package an error lists."""


_OFFLINE = {
    "UV_OFFLINE": "1",
    # pip has no switch for it. Without indexes, what is left to fetch are URLs, and they end at a proxy that
    # is not there; what pip has in its own cache is served before that.
    "PIP_NO_INDEX": "1",
    "PIP_PROXY": "http://127.0.0.1:9",
    "PIP_RETRIES": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a backend needs around it: the run's children, the environment, and a private empty folder."""

    children: Children
    environ: Mapping[str, str]
    place: Path
    """Where the folder is, as soon as anybody wants it: most jobs have nothing to run."""
    timeout: float
    """Seconds for one command."""
    secrets: frozenset[str] = frozenset()
    offline: bool = False
    """Whether nothing may be fetched: what is not in a cache or a folder is missing then."""
    refresh: bool = False
    """Whether indexes are to be asked anew, whatever a cache still holds of their answers."""

    @property
    def folder(self) -> Path:
        """The private folder."""
        self.place.mkdir(mode=0o700, exist_ok=True)
        return self.place

    def run(self, command: list[str], **environ: str) -> Completed:
        """Run a command in the private folder, with additions to the environment."""
        return self.children.run(
            command,
            cwd=self.folder,
            environ={**self.environ, **(_OFFLINE if self.offline else {}), **environ},
            timeout=self.timeout,
            secrets=self.secrets,
        )

    def anew(self) -> Work:
        """The same with caches of its own, which are empty: all is fetched again."""
        caches = {"UV_CACHE_DIR": str(self.folder / "uv-cache-anew"), "PIP_NO_CACHE_DIR": "1"}
        return replace(self, environ={**self.environ, **caches})

    def without(self, *names: str) -> Work:
        """The same without these variables."""
        kept = {name: value for name, value in self.environ.items() if name not in names}
        return replace(self, environ=kept)

    def write(self, name: str, lines: Iterable[str]) -> str:
        """Write a file into the private folder (only the user can read it: index URLs hold passwords)."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return name


BUILD_ENVIRONMENT = {"SOURCE_DATE_EPOCH": "315532800"}
"""For builds: what asks for the time gets 1980-01-01, the first that a zip can hold."""


Asked = Mapping[str, str]
"""Packages without a wheel, by name, each with the versions that are asked for (a specifier, or nothing)."""


class Wheelless(BundleError):  # noqa: N818 - what is wrong, not that something is
    """No allowed version of some packages has a wheel for the target; their sources may serve."""

    def __init__(self, asked: Asked, *problems: Problem) -> None:
        super().__init__(*problems)
        self.asked = asked

    def __reduce__(self) -> tuple[type[BundleError], tuple[Any, ...]]:
        return type(self), (self.asked, *self.problems)


class Installer(Protocol):
    """One backend."""

    @property
    def name(self) -> str:
        """The word for it in `bundles.toml`."""

    def resolve(
        self, wanted: Requirements, target: Target, work: Work, unfit: tuple[Unfit, ...]
    ) -> tuple[Wheel, ...]:
        """The wheels that satisfy the requirements on the target, without the versions in `unfit`.

        Raises `BundleError`.
        """

    def install(
        self,
        wheels: tuple[Wheel, ...],
        wanted: Requirements,
        target: Target,
        into: Path,
        work: Work,
        *,
        at_hand: Collection[str] = (),
    ) -> None:
        """Install exactly these wheels into an empty folder. Raises `BundleError`.

        Files may be hard links into the backend's own cache: whoever asks for that only reads.
        `at_hand` are the URLs of wheels that the backend has fetched in this run already.
        """

    def sdist(
        self, name: str, asked: Asked, wanted: Requirements, target: Target, work: Work
    ) -> Source | None:
        """The source distribution that fits the requirements, of one of the packages without a wheel.

        `asked` has them all, with what is known of the versions that are asked for. None: there is none.
        Raises `BundleError`.
        """

    def fetch(self, source: Source, into: Path, wanted: Requirements, target: Target, work: Work) -> Path:
        """Fetch a source archive into an empty folder, and check its hash.

        Returns the archive in there, or a folder in there in which a wheel of it is installed: uv does not
        give away what it fetches. Raises `BundleError`.
        """

    def build(self, project: Path, into: Path, wanted: Requirements, work: Work) -> None:
        """Build a wheel of the project in a folder into another one, without its dependencies.

        What the build itself needs comes from the indexes of the requirements, as wheels. Raises
        `BundleError`.
        """


def allowed_hashes(wanted: Requirements) -> dict[str, tuple[str, ...]]:
    """The hashes that the requirements allow, by package; a package that is not there may have any."""
    allowed: dict[str, tuple[str, ...]] = {}
    for requirement in wanted.requirements:
        if requirement.hashes:
            allowed[requirement.name] = allowed.get(requirement.name, ()) + requirement.hashes
    return allowed


def no_links(output: str) -> BundleError:
    """The error for a folder of wheels that cannot be read; the backend's output names it."""
    return BundleError(
        Problem(
            code=Code.REQUIREMENTS_MISSING,
            message="a folder with wheels cannot be read",
            hint="correct UV_FIND_LINKS: paths in it are relative to the folder that you are in",
            detail=output,
        )
    )


def hash_missing(needed: Iterable[str]) -> BundleError:
    """The error for packages without a hash where every package must be listed with some, as in pip."""
    return BundleError(
        *(
            Problem(
                code=Code.HASH_MISSING,
                message=f"{one} is needed, and the requirements list no hash for it",
                hint=f"add {one} with its hashes, pinned with ==: with one hash, all need theirs",
            )
            for one in needed
        )
    )


def hash_unclear(wheels: Iterable[Wheel], wanted: Requirements) -> BundleError:
    """The error for wheels of which nobody knows the sha256, and several hashes of other kinds are listed."""
    return BundleError(
        *(
            Problem(
                code=Code.HASH_MISSING,
                message=f"{wheel.name} {wheel.version} is listed with several hashes, and none is a sha256",
                where=where_asked(wheel.name, wanted),
                hint="add its sha256 (`pip hash` prints it): without that, uv cannot choose among its files",
            )
            for wheel in wheels
        )
    )


def archive_line(source: Source) -> str:
    """A line of a requirements file for a source archive at a URL."""
    below = f"#subdirectory={source.subdirectory}" if source.subdirectory else ""
    line = f"{source.url}{below}" if source.name is None else f"{source.name} @ {source.url}{below}"
    return line + "".join(f" --hash={value}" for value in source.hashes)


def unnamed(source: Source) -> BundleError:
    """The error for a source archive of which uv has to know the name, and nobody says it."""
    return BundleError(
        Problem(
            code=Code.SOURCE_REQUIREMENT,
            message="uv has to know its name before it fetches it",
            where=source.where,
            hint="write the name and an @ before the URL",
        )
    )


def index_lines(options: Options) -> list[str]:
    """The index options as lines of a requirements file, which is no place that other users can see."""
    return [
        *([f"--index-url {options.index_url}"] if options.index_url else []),
        *(f"--extra-index-url {url}" for url in options.extra_index_urls),
        *(f"--find-links {location(place)}" for place in options.find_links),
        *(["--no-index"] if options.no_index else []),
    ]


def location(place: str) -> str:
    """A place for --find-links as a URL: a path may have spaces."""
    return Path(place).as_uri() if Path(place).is_absolute() else place


def exclusions(unfit: Iterable[Unfit]) -> list[str]:
    """Constraints that keep a resolver from choosing these versions again."""
    return sorted({f"{one.name}!={one.version}" for one in unfit if not one.direct})


def where_asked(name: str, wanted: Requirements) -> Where:
    """Where the requirements or constraints name this package; nowhere when only another one asks for it."""
    for requirement in (*wanted.requirements, *wanted.constraints):
        if requirement.name == name:
            return requirement.where
    return next((one.where for one in wanted.candidates if one.name == name), Where())


def withdrawn(wheels: Iterable[Wheel], wanted: Requirements) -> Iterator[Problem]:
    """The warnings for what its index has yanked (PEP 592): it is taken where nothing else is asked for."""
    for wheel in wheels:
        if wheel.yanked is not None:
            why = f": {wheel.yanked}" if wheel.yanked else ""
            yield Problem(
                code=Code.YANKED,
                message=f"{wheel.name} {wheel.version} was withdrawn from its index{why}",
                where=where_asked(wheel.name, wanted),
                hint="require another version",
                severity="warning",
            )


def refuse_misfits(wanted: Requirements, target: Target) -> None:
    """Raise `BundleError` for every wheel that is asked for by URL and is not for the target."""
    unfit = []
    for requirement in wanted.requirements:
        file = wheel_file(requirement.url) if requirement.url else None
        if file is not None and not fits(file, target):
            version = str(parse_wheel_filename(file)[1])
            unfit.append(Unfit(name=requirement.name, version=version, direct=True, wheels=(file,)))
    if unfit:
        raise no_fit(unfit, wanted, target)


def no_fit(unfit: Iterable[Unfit], wanted: Requirements, target: Target) -> BundleError:
    """The error for packages none of whose allowed versions can be used on the target."""
    by_name: dict[str, list[Unfit]] = {}
    for one in unfit:
        by_name.setdefault(one.name, []).append(one)
    problems = {name: _unfit(versions, wanted, target) for name, versions in sorted(by_name.items())}
    wheelless = {name: "" for name, one in problems.items() if one.code in {Code.NO_WHEEL, Code.SOURCE_ONLY}}
    return Wheelless(wheelless, *problems.values()) if wheelless else BundleError(*problems.values())


def _unfit(versions: list[Unfit], wanted: Requirements, target: Target) -> Problem:
    first = versions[0]  # the resolver's first choice: what the user would have got elsewhere
    what, where = f"{first.name} {first.version}", where_asked(first.name, wanted)
    listed = next((one for one in wanted.candidates if one.name == first.name), None)
    if listed is not None and not listed.wheels:
        return source_only(first.name, first.version, wanted, target).problems[0]
    if first.hashes:
        return Problem(
            code=Code.HASH_MISMATCH,
            message=f"no wheel of {what} for {target} has a hash that the requirements allow",
            where=where,
            hint="lock again: the index has other files than when the hashes were written",
            detail="\n".join(["allowed:", *(f"  {value}" for value in first.hashes)]),
        )
    if first.requires_python and not first.wheels:
        return Problem(
            code=Code.PYTHON_UNSUPPORTED,
            message=f"{what} requires Python {first.requires_python}, and {target} is not that",
            where=where,
            hint="ask for a version that supports this runtime, or choose another runtime",
        )
    if listed is not None and _may_lack(listed):
        return Problem(
            code=Code.NO_WHEEL,
            message=f"{listed.where.file} lists no wheel of {what} for {target}",
            where=where,
            hint="lock for this target too: some tools list what one machine needs, and no other wheels",
            detail=_tags_wanted_and_had(first, target),
        )
    python = f" (it requires Python {first.requires_python})" if first.requires_python else ""
    others = ", ".join(dict.fromkeys(one.version for one in versions[1:]))
    also = f"; nor have the other versions that were allowed: {others}" if others else ""
    return Problem(
        code=Code.NO_WHEEL,
        message=f"{what} has no wheel for {target}{python}{also}",
        where=where,
        hint="ask for a version that has one, choose another runtime or arch, or widen `tags`",
        detail=_tags_wanted_and_had(first, target),
    )


def _may_lack(listed: Candidates) -> bool:
    """Whether a lock may leave out wheels that there are: uv.lock has all of them, PEP 751 asks for none."""
    return Path(listed.where.file or "").name.startswith("pylock.")


def _tags_wanted_and_had(unfit: Unfit, target: Target) -> str:
    # Those for Linux on this architecture first: one of them is what was nearly right.
    near = sorted(unfit.wheels, key=lambda name: not re.search(rf"linux\w*_{target.machine}", name))
    shown = [f"  {name}" for name in near[:_SHOWN]] or ["  none for Python 3"]
    more = len(unfit.wheels) - len(shown)
    return "\n".join(
        (
            "wanted, best first:",
            f"  {target.abi}, abi3 or any, on {', '.join(target.platforms)}",
            f"the wheels of {unfit.name} {unfit.version}:",
            *shown,
            *([f"  and {more} more"] if more > 0 else []),
        )
    )


def unusable(name: str, version: str, files: Iterable[str], *, python: str | None, target: Target) -> Unfit:
    """A version none of whose wheels was taken; where a tag fits, its `Requires-Python` is the reason."""
    wheels = tuple(sorted(files))
    fitting = python is not None and any(fits(file, target) for file in wheels)
    return Unfit(name=name, version=version, wheels=() if fitting else wheels, requires_python=python)


def source_only(
    name: str, version: str | None, wanted: Requirements, target: Target, *, asked: str = ""
) -> BundleError:
    """The error for a package that has no wheel at all; `asked` says which versions were asked for."""
    what = f"{name} {version or '(every version)'}"
    return Wheelless(
        {name: asked},
        Problem(
            code=Code.SOURCE_ONLY,
            message=f"{what} has only a source distribution, no wheel for {target}",
            where=where_asked(name, wanted),
            hint=f'ask for a version with wheels, or allow it to be built: sdists = ["{name}"]',
        ),
    )


def not_found(
    name: str,
    wanted: Requirements,
    *,
    asked: str | None = None,
    offered: str | None = None,
    first: bool = False,
) -> BundleError:
    """The error for a package that no index has, or for versions that none has of one that exists.

    `asked` is the requirement for those versions, and `offered` the newest version that there is; with
    `first`, in the first index alone that has the package.
    """
    if asked is None:
        message = f"no index has a package called {name}"
        hint = "correct the name, or add the index that has it"
    else:
        message = f"no index has {asked}" + (f"; the newest version is {offered}" if offered else "")
        hint = "correct the version, or add the index that has it"
        if first:
            message = f"the first index that has {name} has no {asked}"
            message += f"; its newest version is {offered}" if offered else ""
            hint = "put the index that has it first, or set UV_INDEX_STRATEGY=unsafe-best-match"
    where = where_asked(name, wanted)
    return BundleError(Problem(code=Code.PACKAGE_NOT_FOUND, message=message, where=where, hint=hint))


def source_requirement(name: str, place: str, parent: str) -> BundleError:
    """The error for sources that a distribution requires by URL."""
    return BundleError(
        Problem(
            code=Code.SOURCE_REQUIREMENT,
            message=f"{parent} requires {name} as sources ({mask(place)}), and only wheels are installed",
            hint=f"build a wheel of {name}, and name its path in the requirements",
        )
    )


def conflict(output: str) -> BundleError:
    """The error for requirements that contradict each other; the backend's output tells which."""
    return BundleError(
        Problem(
            code=Code.CONFLICT,
            message="no set of versions satisfies all requirements",
            hint="loosen one of the requirements that the output names",
            detail=output,
        )
    )


def offline(missing: str | None, wanted: Requirements) -> BundleError:
    """The error for what would have to be fetched, and may not be; `missing` is a package or its wheel."""
    name = missing or ""
    if name.endswith(".whl"):
        name = name.partition("-")[0]
    return BundleError(
        Problem(
            code=Code.OFFLINE,
            message=f"{missing or 'a package'} is in no cache, and with --offline nothing is fetched",
            where=where_asked(canonicalize_name(name), wanted),
            hint="run the same once without --offline: what that fetches is found again",
        )
    )


def unreachable(output: str) -> BundleError:
    """The error for an index that does not answer, or not as itself."""
    message = "a package index or file could not be fetched"
    hint = "check the network, the proxy and the address of the index; then run it again"
    if _UNTRUSTED.search(output):
        message = "the certificate of a package index is not trusted"
        hint = "name the certificate authority: SSL_CERT_FILE for uv, PIP_CERT for pip"
    elif ODD_ANSWER.search(output):
        message = "a package index answered with something else than a list of files"
        hint = "see what its address shows: a proxy, or a page to log in, may answer in its place"
    elif ODD_FILE.search(output):
        message = "what a package index sent for a wheel is none"
        hint = "see what its address shows: a proxy, or a page to log in, may answer in its place"
    elif _INSECURE.search(output):
        message = "pip trusts no index without TLS, except on this machine"
        hint = "write https://, or allow the host with a line --trusted-host HOST in the requirements"
    return BundleError(Problem(code=Code.INDEX_UNREACHABLE, message=message, hint=hint, detail=output))


_UNTRUSTED = re.compile(r"invalid peer certificate|CERTIFICATE_VERIFY_FAILED|certificate verify failed")
ODD_ANSWER = re.compile(r"unexpected JSON|Unsupported `Content-Type`|JSONDecodeError")
"""What the backends say of an answer that is not in a format of PEP 503 or PEP 691."""
ODD_FILE = re.compile(r"Failed to read from zip file|Wheel '.*' located at .* is invalid")
"""What the backends say of a wheel that is none."""
_INSECURE = re.compile(r"is not a trusted or secure host")


def unauthorized(output: str) -> BundleError:
    """The error for an index that refuses us."""
    return BundleError(
        Problem(
            code=Code.INDEX_UNAUTHORIZED,
            message="a package index refused the credentials, or asks for some",
            hint="give them by environment variable, netrc or keyring, and check that they are valid",
            detail=output,
        )
    )


def mismatch(name: str | None, wanted: Requirements, output: str) -> BundleError:
    """The error for a file whose content has not the hash that was promised."""
    of = f" of {name}" if name else ""
    return BundleError(
        Problem(
            code=Code.HASH_MISMATCH,
            message=f"a file{of} does not have the hash that the index or the requirements promise",
            where=where_asked(name or "", wanted),
            hint="do not use it before you know why: the file was replaced, or damaged on its way",
            detail=output,
        )
    )
