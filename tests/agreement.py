"""Whether our verdict on symbol versions agrees with auditwheel's, wheel by wheel and system by system.

    python tests/agreement.py FOLDER [--write]

fetches the wheels of `NAMES` into FOLDER (what is there already stays as it is), asks both, says what
differs, and with `--write` puts it into docs/verify-agreement.md. It is no test: it takes minutes and
gigabytes. `test_binaries_index.py` does the same for a few wheels.

auditwheel names the oldest manylinux policy whose symbol versions suffice for a wheel; a system of glibc 2.N
is to load what satisfies a policy up to manylinux_2_N. The tag in a module's file name is put aside here, so
that a wheel for one Python can be asked about on every system.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from packaging.utils import parse_wheel_filename

import lambda_bundle
from lambda_bundle.binaries import inspect, judge
from lambda_bundle.errors import Code
from lambda_bundle.targets import RUNTIMES, Target

AUDITWHEEL = "6.8.2"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "verify-agreement.md"
SYSTEMS = ("python3.7", "python3.11", "python3.13")
"""One runtime of each operating system."""
SETS = (("3.13", "x86_64"), ("3.11", "aarch64"))
"""For which Python and machine wheels are fetched. Their platform may be as new as manylinux_2_40."""
NAMES = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").split()
"""Projects with wheels for Linux that many functions use."""
GCC = {"GLIBCXX", "CXXABI", "GCC"}
OWN_LIBRARY = (
    "auditwheel counts what is needed of a libstdc++ or libgcc in the wheel; the system's is not used"
)
WEAK = (
    "newer versions are marked as weak: the dynamic linker goes on without them, and auditwheel counts them"
)
OLDER_GCC = "manylinux_2_26 ends at older versions of libstdc++ and libgcc than Amazon Linux 2 has"
OTHER_FAMILIES = "auditwheel orders versions of zlib and libatomic too, and we do not"
TEXT = """\
# Agreement with auditwheel

Whether a system has the symbol versions that a wheel needs is a question that auditwheel answers too: it
names the oldest manylinux policy that suffices. A system of glibc 2.N is to load what satisfies a policy up
to `manylinux_2_N`. This page compares that with [our verdict](errors.md#pythonlocalbundlingsymboltoonew) on
{wheels} wheels of {projects} projects, each on every system that has its machine.

Measured on {day} with lambda-bundle {ours} and auditwheel {auditwheel}. `python tests/agreement.py FOLDER
--write` measures it again with the newest wheels, and writes this page. They may ask for up to
`manylinux_2_40`, so that there is something to refuse. On both sides the binaries decide. The tag in the
file name of a module is put aside, so that a wheel for one Python can be asked about on every system.

| system | wheels | both: loads | both: too new | different |
|---|---|---|---|---|
{rows}

{agreeing} of {verdicts} verdicts agree.

## Differences

| wheel | runtime | our verdict | auditwheel's policy | why |
|---|---|---|---|---|
{differences}

What auditwheel looks at beside symbol versions has no part in this: instruction sets, and libraries that
are not on its list of those that every system has. We ask about libraries [in another
way](errors.md#pythonlocalbundlinglibrarymissing): libGL is on that list, and not on Lambda.

## The projects

{names}.
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What both say of one wheel on one system."""

    wheel: str
    runtime: str
    ours: tuple[str, ...]
    """The symbol versions that we say the system lacks, with the library."""
    policy: str
    versions: Mapping[str, tuple[str, ...]]
    """What auditwheel counts, by library."""
    weak: frozenset[str]
    """The versions that every binary marks as weak: the dynamic linker goes on without them."""

    @property
    def loads(self) -> bool:
        """Our verdict."""
        return not self.ours

    @property
    def theirs(self) -> bool:
        """auditwheel's verdict."""
        match = re.match(r"manylinux_2_(\d+)_", self.policy)
        return not self.policy or (match is not None and int(match[1]) <= RUNTIMES[self.runtime].glibc)


def machine_of(wheel: Path) -> str:
    """x86_64 or aarch64."""
    platforms = {tag.platform for tag in parse_wheel_filename(wheel.name)[3]}
    return "aarch64" if all(platform.endswith("aarch64") for platform in platforms) else "x86_64"


def fetch(folder: Path, names: Iterable[str], python: str, machine: str) -> None:
    """Download a wheel of each project that has one for this Python and machine."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), "--python-version", python]
    command += ["--implementation", "cp"]
    for abi in (f"cp{python.replace('.', '')}", "abi3", "none"):
        command += ["--abi", abi]
    platforms = [f"manylinux_2_{minor}" for minor in range(40, 4, -1)]
    for platform in (*platforms, "manylinux2014", "manylinux2010", "manylinux1"):
        command += ["--platform", f"{platform}_{machine}"]
    left = list(names)
    while left:
        done = subprocess.run([*command, *left], capture_output=True, encoding="utf-8", check=False)
        if done.returncode == 0:
            return
        missing = re.search(r"No matching distribution found for (\S+)", done.stderr)
        if missing is None:
            raise SystemExit(done.stderr)
        left.remove(re.split(r"[=<>~!]", missing[1])[0] if missing[1] not in left else missing[1])


def answers(wheels: Iterable[Path], kept: Path | None = None) -> list[Answer]:
    """What both say of each wheel on each system that has its machine.

    `kept` is a file for what auditwheel has said, which takes it seconds for a wheel.
    """
    known = json.loads(kept.read_text(encoding="utf-8")) if kept and kept.is_file() else {}
    found = []
    by_machine: dict[str, list[Path]] = {}
    for wheel in sorted(wheels):
        by_machine.setdefault(machine_of(wheel), []).append(wheel)
    for machine, some in by_machine.items():
        known |= _auditwheel(machine, [wheel for wheel in some if wheel.name not in known])
        if kept:
            kept.write_text(json.dumps(known, indent=1), encoding="utf-8")
        arch = {"x86_64": "x86_64", "aarch64": "arm64"}[machine]
        for wheel in some:
            theirs = known[wheel.name]
            versions = {library: tuple(names) for library, names in theirs["versions"].items()}
            runtimes = [runtime for runtime in SYSTEMS if arch in RUNTIMES[runtime].archs]
            verdicts, weak = _ours(wheel, runtimes, arch)
            found += [
                Answer(
                    wheel=wheel.name,
                    runtime=runtime,
                    ours=ours,
                    policy=theirs["policy"],
                    versions=versions,
                    weak=weak,
                )
                for runtime, ours in verdicts.items()
            ]
    return found


def _auditwheel(machine: str, wheels: list[Path]) -> dict[str, dict[str, Any]]:
    """By file name; several at once."""
    script = Path(__file__).with_name("auditwheel_says.py")
    command = ["-m", "uv", "run", "--quiet", "--no-project", "--with", f"auditwheel=={AUDITWHEEL}", "python"]

    def ask(some: list[Path]) -> dict[str, dict[str, Any]]:
        told = subprocess.run(
            [sys.executable, *command, script, machine, *some],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
        said: dict[str, dict[str, Any]] = json.loads(told.stdout)
        return said

    shares = os.cpu_count() or 1
    with ThreadPoolExecutor(shares) as pool:
        answered = pool.map(ask, filter(None, (wheels[number::shares] for number in range(shares))))
        return {Path(wheel).name: said for some in answered for wheel, said in some.items()}


def _ours(
    wheel: Path, runtimes: Iterable[str], arch: str
) -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    """Our verdict by runtime, and the weak versions."""
    with TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        tree = {}
        for name in archive.namelist():
            if not name.endswith(("/", ".py", ".pyi")):
                tree[re.sub(r"\.cpython-[^./]*\.so$", ".abi3.so", name)] = Path(archive.extract(name, folder))
        found = inspect(tree)
        weak = _weak(tree[path] for path, binary in found.items() if binary.machine)
    said = {}
    for runtime in runtimes:
        problems = judge(found, target=Target(runtime, arch), files=tree, owner=lambda _: None)
        too_new = (problem.message for problem in problems if problem.code is Code.SYMBOL_TOO_NEW)
        needs = {re.sub(r"it needs (\S+) of ([^,]+),.*", r"\1 of \2", message) for message in too_new}
        said[runtime] = tuple(sorted(needs))
    return said, weak


def _weak(files: Iterable[Path]) -> frozenset[str]:
    """The versions that are weak in every file, as pyelftools alone reads them (VER_FLG_WEAK is 2)."""
    flags: dict[str, bool] = {}
    for file in files:
        with file.open("rb") as stream:
            for section in ELFFile(stream).iter_sections("SHT_GNU_verneed"):
                assert isinstance(section, GNUVerNeedSection)
                for _, names in section.iter_versions():
                    for one in names:
                        flags[one.name] = flags.get(one.name, True) and bool(one["vna_flags"] & 2)
    return frozenset(name for name, weak in flags.items() if weak)


def explanation(answer: Answer) -> str:
    """Why the two verdicts differ, from what auditwheel counts; "" when that does not explain it."""
    if answer.theirs:
        return ""
    glibc = RUNTIMES[answer.runtime].glibc
    beyond = [
        (library, name)
        for library, names in answer.versions.items()
        for name in names
        if name.startswith("GLIBC_2.") and int(name.split(".")[1]) > glibc
    ]
    if beyond:
        return WEAK if {name for _, name in beyond} <= answer.weak else ""
    families = {
        name.partition("_")[0]: library for library, names in answer.versions.items() for name in names
    }
    if any(re.search(r"-[0-9a-f]{8}[0-9a-f-]*\.so", families.get(family, "")) for family in GCC):
        return OWN_LIBRARY
    if glibc == 26 and GCC & families.keys():
        return OLDER_GCC
    return OTHER_FAMILIES if {"ZLIB", "LIBATOMIC"} & families.keys() else ""


def page(found: list[Answer], day: date) -> str:
    """The page of the documentation."""
    wheels = {answer.wheel for answer in found}
    projects = {parse_wheel_filename(wheel)[0] for wheel in wheels}
    rows = []
    for runtime in SYSTEMS:
        some = [answer for answer in found if answer.runtime == runtime]
        both = sum(answer.loads and answer.theirs for answer in some)
        neither = sum(not answer.loads and not answer.theirs for answer in some)
        name = f"{RUNTIMES[runtime].system} ({runtime})"
        rows.append(f"| {name} | {len(some)} | {both} | {neither} | {len(some) - both - neither} |")
    different = [answer for answer in found if answer.loads != answer.theirs]
    listed = [
        f"| {answer.wheel} | {answer.runtime} | {'loads' if answer.loads else ', '.join(answer.ours)} "
        f"| {answer.policy} | {explanation(answer) or 'unexplained'} |"
        for answer in different
    ]
    return TEXT.format(
        day=day,
        auditwheel=AUDITWHEEL,
        ours=lambda_bundle.__version__,
        wheels=len(wheels),
        projects=len(projects),
        verdicts=len(found),
        agreeing=len(found) - len(different),
        rows="\n".join(rows),
        differences="\n".join(listed) or "| none | | | | |",
        names="\n".join(textwrap.wrap(", ".join(sorted(projects)), 118, break_on_hyphens=False)),
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    for python, machine in SETS:
        place = given.folder / f"{python}-{machine}"
        if not place.is_dir():
            place.mkdir(parents=True)
            fetch(place, NAMES, python, machine)
    wheels = [wheel for wheel in given.folder.glob("*/*.whl") if not wheel.name.endswith("-none-any.whl")]
    found = answers(wheels, given.folder / f"auditwheel-{AUDITWHEEL}.json")
    today = datetime.now(tz=timezone.utc).date()
    sys.stdout.write(page(found, today))
    if given.write:
        PAGE.write_text(page(found, today), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
