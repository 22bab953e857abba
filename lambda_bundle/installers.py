"""What both backends share: the protocol, what they are given, and how their failures are told.

A backend resolves requirements to a lock for one target, and installs a lock into an empty folder. Whatever
it runs carries `ONLY_BINARY`: nothing is ever built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.lock import Unfit, Wheel
from lambda_bundle.process import Children, Completed
from lambda_bundle.reqfile import Options, Requirements
from lambda_bundle.targets import Target

ONLY_BINARY = ("--only-binary", ":all:")
_SHOWN = 12
"""How many wheels of a package an error lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a backend needs around it: the run's children, the environment, and a private empty folder."""

    children: Children
    environ: Mapping[str, str]
    folder: Path
    timeout: float
    """Seconds for one command."""
    secrets: frozenset[str] = frozenset()

    def run(self, command: list[str], **environ: str) -> Completed:
        """Run a command in the private folder, with additions to the environment."""
        return self.children.run(
            command,
            cwd=self.folder,
            environ={**self.environ, **environ},
            timeout=self.timeout,
            secrets=self.secrets,
        )

    def write(self, name: str, lines: Iterable[str]) -> str:
        """Write a file into the private folder (only the user can read it: index URLs hold passwords)."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return name


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
        self, wheels: tuple[Wheel, ...], wanted: Requirements, target: Target, into: Path, work: Work
    ) -> None:
        """Install exactly these wheels into an empty folder. Raises `BundleError`."""


def allowed_hashes(wanted: Requirements) -> dict[str, tuple[str, ...]]:
    """The hashes that the requirements allow, by package; empty when they give none."""
    allowed: dict[str, tuple[str, ...]] = {}
    for requirement in wanted.requirements:
        if requirement.hashes:
            allowed[requirement.name] = allowed.get(requirement.name, ()) + requirement.hashes
    return allowed


def check_complete(wheels: Iterable[Wheel], wanted: Requirements) -> None:
    """In hash mode every package must be listed with its hashes, as pip demands. Raises `BundleError`."""
    allowed = allowed_hashes(wanted)
    if not allowed:
        return
    missing = [wheel for wheel in wheels if wheel.name not in allowed]
    if missing:
        raise BundleError(
            *(
                Problem(
                    code=Code.HASH_MISSING,
                    message=f"{wheel.name} {wheel.version} is needed, and the requirements list no hash for it",
                    hint=f"add {wheel.name}=={wheel.version} with its hashes: with one hash, all need theirs",
                )
                for wheel in missing
            )
        )


def index_lines(options: Options) -> list[str]:
    """The index options as lines of a requirements file, which is no place that other users can see."""
    return [
        *([f"--index-url {options.index_url}"] if options.index_url else []),
        *(f"--extra-index-url {url}" for url in options.extra_index_urls),
        *(f"--find-links {place}" for place in options.find_links),
        *(["--no-index"] if options.no_index else []),
    ]


def exclusions(unfit: Iterable[Unfit]) -> list[str]:
    """Constraints that keep a resolver from choosing these versions again."""
    return sorted({f"{one.name}!={one.version}" for one in unfit if not one.direct})


def where_asked(name: str, wanted: Requirements) -> Where:
    """Where the requirements name this package; nowhere when another package brings it in."""
    for requirement in wanted.requirements:
        if requirement.name == name:
            return requirement.where
    return Where()


def no_fit(unfit: Iterable[Unfit], wanted: Requirements, target: Target) -> BundleError:
    """The error for packages none of whose allowed versions can be used on the target."""
    by_name: dict[str, list[Unfit]] = {}
    for one in unfit:
        by_name.setdefault(one.name, []).append(one)
    return BundleError(*(_unfit(versions, wanted, target) for _, versions in sorted(by_name.items())))


def _unfit(versions: list[Unfit], wanted: Requirements, target: Target) -> Problem:
    first = versions[0]  # the resolver's first choice: what the user would have got elsewhere
    where = where_asked(first.name, wanted)
    if first.hashes:
        return Problem(
            code=Code.HASH_MISMATCH,
            message=f"no wheel of {first.name} {first.version} for {target} has a hash that the requirements allow",
            where=where,
            hint="lock again: the index has other files than when the hashes were written",
            detail="\n".join(["allowed:", *(f"  {value}" for value in first.hashes)]),
        )
    if first.requires_python and not first.wheels:
        return Problem(
            code=Code.PYTHON_UNSUPPORTED,
            message=f"{first.name} {first.version} requires Python {first.requires_python}, and {target} is not that",
            where=where,
            hint="ask for a version that supports this runtime, or choose another runtime",
        )
    python = f" (it requires Python {first.requires_python})" if first.requires_python else ""
    others = ", ".join(one.version for one in versions[1:])
    also = f"; nor have the other versions that were allowed: {others}" if others else ""
    return Problem(
        code=Code.NO_WHEEL,
        message=f"{first.name} {first.version} has no wheel for {target}{python}{also}",
        where=where,
        hint="ask for a version that has one, choose another runtime or arch, or widen `tags`",
        detail=_tags_wanted_and_had(first, target),
    )


def _tags_wanted_and_had(unfit: Unfit, target: Target) -> str:
    shown = [f"  {name}" for name in unfit.wheels[:_SHOWN]]
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


def source_only(name: str, version: str | None, wanted: Requirements, target: Target) -> BundleError:
    """The error for a package that has no wheel at all."""
    return BundleError(
        Problem(
            code=Code.SOURCE_ONLY,
            message=f"{name} {version or '(every version)'} has only a source distribution, no wheel for {target}",
            where=where_asked(name, wanted),
            hint="nothing is built here: ask for a version that has wheels, or build a wheel and name its path",
        )
    )


def not_found(
    name: str, asked: str, wanted: Requirements, *, offered: str | None = None, output: str = ""
) -> BundleError:
    """The error for a package or a version that no index has."""
    if offered:
        message, hint = f"no index has {asked}; the newest version is {offered}", "correct the version"
    else:
        message, hint = (
            f"no index has a package called {name}",
            "correct the name, or add the index that has it",
        )
    where = where_asked(name, wanted)
    return BundleError(
        Problem(code=Code.PACKAGE_NOT_FOUND, message=message, where=where, hint=hint, detail=output or None)
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


def unreachable(output: str) -> BundleError:
    """The error for an index that does not answer."""
    return BundleError(
        Problem(
            code=Code.INDEX_UNREACHABLE,
            message="a package index or file could not be fetched",
            hint="check the network, the proxy and the address of the index; then run it again",
            detail=output,
        )
    )


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


def mismatch(output: str) -> BundleError:
    """The error for a file whose content has not the hash that was promised."""
    return BundleError(
        Problem(
            code=Code.HASH_MISMATCH,
            message="a downloaded file does not have the hash that the index or the requirements promise",
            hint="do not use it before you know why: the file was replaced, or damaged on its way",
            detail=output,
        )
    )
