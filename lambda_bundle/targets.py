"""The Lambda runtimes and architectures, and what follows from them: platform tags, markers, dates.

A runtime is stored with its C library and never with a list of tags: the tags are derived. Only data
in this module depends on AWS; its source is
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.tags import Tag

# packaging is imported where it is used: a run in which everything is up to date judges no wheel.

Arch = str
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""AWS's word for an architecture, and the one of wheels, markers and ELF tools."""
SITE = re.compile(r"lib/python\d+\.\d+/site-packages/")
"""The folder of a layer, below python/, that one version of Python looks into."""
UNZIPPED_LIMIT = 262_144_000
"""Bytes that Lambda accepts unzipped, layers included
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""
MAX_LAYERS = 5
"""How many layers a function can have (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One row of AWS's table of runtimes."""

    name: str
    patch: int
    """A patch release that every instance of the runtime has reached. AWS does not publish the exact one;
    it stands in `python_full_version`, where `!=3.9.0` or `<3.11.3` would be judged wrongly for patch 0."""
    system: str
    glibc: int
    """The minor version of glibc 2."""
    archs: tuple[Arch, ...]
    deprecated: date
    create_blocked: date
    update_blocked: date

    @property
    def version(self) -> tuple[int, int]:
        """Python's major and minor version."""
        major, minor = self.name.removeprefix("python").split(".")
        return int(major), int(minor)


_BOTH = ("x86_64", "arm64")
_AL1, _AL2, _AL2023 = ("Amazon Linux 1", 17), ("Amazon Linux 2", 26), ("Amazon Linux 2023", 34)
_ROWS: tuple[tuple[str, int, tuple[str, int], tuple[Arch, ...], str, str, str], ...] = (
    # runtime, patch, system, architectures, deprecated, creation blocked, updates blocked
    ("python3.14", 0, _AL2023, _BOTH, "2029-06-30", "2029-07-31", "2029-08-31"),
    ("python3.13", 0, _AL2023, _BOTH, "2029-06-30", "2029-07-31", "2029-08-31"),
    ("python3.12", 7, _AL2023, _BOTH, "2028-10-31", "2028-11-30", "2029-01-10"),
    ("python3.11", 10, _AL2, _BOTH, "2027-06-30", "2027-07-31", "2027-08-31"),
    ("python3.10", 15, _AL2, _BOTH, "2026-10-31", "2027-02-01", "2027-03-03"),
    ("python3.9", 20, _AL2, _BOTH, "2025-12-15", "2027-02-01", "2027-03-03"),
    ("python3.8", 20, _AL2, _BOTH, "2024-10-14", "2027-02-01", "2027-03-03"),
    ("python3.7", 16, _AL1, ("x86_64",), "2023-12-04", "2024-01-09", "2027-03-03"),
)


RUNTIMES = {
    name: Runtime(
        name=name,
        patch=patch,
        system=system,
        glibc=glibc,
        archs=archs,
        deprecated=date.fromisoformat(deprecated),
        create_blocked=date.fromisoformat(create),
        update_blocked=date.fromisoformat(update),
    )
    for name, patch, (system, glibc), archs, deprecated, create, update in _ROWS
}
"""Every runtime that can be a target, newest first."""

_LEGACY = {"2014": 17, "2010": 12, "1": 5}
"""PEP 600: the manylinux aliases, newest first, and the glibc 2.N that each stands for."""
_LOWEST = {"x86_64": 5, "aarch64": 17}
"""The oldest glibc 2.N with a manylinux tag, by machine (manylinux1 knew no aarch64)."""
_TAG = re.compile(
    r"(?:(?P<family>manylinux|musllinux)_(?P<major>[12])_(?P<minor>0|[1-9]\d?)"
    r"|manylinux(?P<legacy>1|2010|2014)|linux)_(?P<machine>[a-z0-9_]+)",
    re.ASCII,
)
_MAJOR = {"manylinux": 2, "musllinux": 1}
"""The only major version that each C library has had; wheels do not run across major versions (PEP 600)."""


class TagError(ValueError):
    """A platform tag that cannot be one of this target; the text says why."""


@dataclass(frozen=True, slots=True)
class PlatformTag:
    """A platform tag, taken apart. `linux_x86_64` has neither family nor version."""

    family: str
    major: int
    minor: int
    machine: str

    @classmethod
    def parse(cls, text: str, arch: Arch) -> PlatformTag:
        """Take a tag apart (PEP 425, 600 and 656); raises `TagError` when it does not suit `arch`."""
        match = _TAG.fullmatch(text)
        if match is None or (match["family"] and int(match["major"]) != _MAJOR[match["family"]]):
            raise TagError(
                "not a Linux platform tag (such as manylinux_2_28_x86_64 or musllinux_1_2_aarch64)"
            )
        machine = match["machine"]
        if machine != MACHINES[arch]:
            raise TagError(f"its machine is {machine}, and {arch} needs {MACHINES[arch]}")
        if match["legacy"]:
            minor = _LEGACY[match["legacy"]]
            if minor < _LOWEST[machine]:
                raise TagError(f"manylinux{match['legacy']} was never defined for {machine}")
            return cls("manylinux", 2, minor, machine)
        if match["family"] is None:
            return cls("linux", 0, 0, machine)
        return cls(match["family"], int(match["major"]), int(match["minor"]), machine)

    def expand(self) -> Iterator[str]:
        """This tag and, best first, every older one whose wheels run where this one's do.

        The legacy aliases stand together behind the glibc of the newest: pip, given manylinux2014, puts the
        older two right behind it, and the order of both backends must be the same.
        """
        if self.family == "linux":
            yield f"linux_{self.machine}"
            return
        lowest = _LOWEST[self.machine] if self.family == "manylinux" else 0
        legacy = [name for name, minor in _LEGACY.items() if lowest <= minor <= self.minor]
        for minor in range(self.minor, min(self.minor, lowest) - 1, -1):
            yield f"{self.family}_{self.major}_{minor}_{self.machine}"
            if self.family == "manylinux" and legacy and minor == _LEGACY[legacy[0]]:
                yield from (f"manylinux{name}_{self.machine}" for name in legacy)


@dataclass(frozen=True)
class Target:
    """One runtime on one architecture, with the platform tags that its wheels may carry."""

    runtime: str
    arch: Arch
    tags: tuple[str, ...] = ()
    """The user's platform tags in priority order; empty for those of the runtime's glibc."""

    @cached_property
    def _runtime(self) -> Runtime:
        return RUNTIMES[self.runtime]

    @property
    def machine(self) -> str:
        """The architecture in the words of wheels and markers: x86_64 or aarch64."""
        return MACHINES[self.arch]

    @property
    def version(self) -> tuple[int, int]:
        """Python's major and minor version."""
        return self._runtime.version

    @property
    def full_version(self) -> str:
        """The Python version for markers and `Requires-Python`, such as 3.13.0."""
        return f"{self.version[0]}.{self.version[1]}.{self._runtime.patch}"

    @property
    def abi(self) -> str:
        """CPython's ABI tag: cp313, and cp37m for Python 3.7 (PEP 425's m flag went away with 3.8)."""
        return f"cp{self.version[0]}{self.version[1]}" + ("m" if self.version < (3, 8) else "")

    @property
    def site(self) -> str:
        """The folder of a layer, below python/, that this version of Python alone looks into.

        https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
        """
        return f"lib/python{self.version[0]}.{self.version[1]}/site-packages/"

    def passes_over(self, path: str) -> bool:
        """Whether a path of a layer, below python/, is in the folder of another version of Python."""
        return SITE.match(path) is not None and not path.startswith(self.site)

    @cached_property
    def given(self) -> tuple[PlatformTag, ...]:
        """The tags that everything else follows from: the user's, or the newest of the runtime's glibc."""
        if self.tags:
            return tuple(PlatformTag.parse(tag, self.arch) for tag in self.tags)
        return (PlatformTag("manylinux", 2, self._runtime.glibc, self.machine),)

    @cached_property
    def platforms(self) -> tuple[str, ...]:
        """Every platform tag that a wheel may carry, best first, legacy aliases included."""
        return tuple(dict.fromkeys(tag for given in self.given for tag in given.expand()))

    @cached_property
    def wheel_tags(self) -> tuple[Tag, ...]:
        """Every tag that a wheel may carry, best first: the order in which pip ranks wheels."""
        from packaging.tags import compatible_tags, cpython_tags  # noqa: PLC0415

        version, abi = self.version, self.abi
        interpreter = f"cp{version[0]}{version[1]}"
        return (
            *cpython_tags(version, [abi], list(self.platforms)),
            *compatible_tags(version, interpreter, list(self.platforms)),
        )

    @cached_property
    def markers(self) -> dict[str, str]:
        """The marker environment (PEP 508) of the function, whatever the host is."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.full_version,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.full_version,
            "python_version": f"{self.version[0]}.{self.version[1]}",
            "sys_platform": "linux",
        }

    def admitted(self, requires_python: str | None) -> bool:
        """Whether a `Requires-Python` (PEP 440) admits this Python; malformed ones admit all, as in pip."""
        from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415

        try:
            specifier = SpecifierSet(requires_python or "")
        except InvalidSpecifier:
            return True
        return specifier.contains(self.full_version, prereleases=True)

    def __str__(self) -> str:
        return f"{self.runtime} on {self.arch}"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What a deprecated runtime no longer allows, and since when."""

    runtime: Runtime
    update_blocked: bool
    create_blocked: bool

    def __str__(self) -> str:
        row = self.runtime
        said = f"AWS deprecated {row.name} on {row.deprecated}"
        for what, blocked, day in (
            ("creating functions", self.create_blocked, row.create_blocked),
            ("updating them", self.update_blocked, row.update_blocked),
        ):
            said += f"; {what} {f'has been blocked since {day}' if blocked else f'is blocked from {day} on'}"
        return said


def lifecycle(runtime: str, today: date) -> Lifecycle | None:
    """What AWS says of this runtime on the given day; None while it is fully supported."""
    row = RUNTIMES[runtime]
    if today < row.deprecated:
        return None
    return Lifecycle(
        row,
        update_blocked=today >= row.update_blocked,
        create_blocked=today >= row.create_blocked,
    )


def newest() -> str:
    """The newest runtime, for hints."""
    return next(iter(RUNTIMES))
