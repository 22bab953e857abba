from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags

from lambda_bundle.targets import (
    MACHINES,
    RUNTIMES,
    PlatformTag,
    TagError,
    Target,
    lifecycle,
    newest,
)

GLIBCS = {
    "python3.7": 17,
    **{f"python3.{minor}": 26 for minor in (8, 9, 10, 11)},
    **{f"python3.{minor}": 34 for minor in (12, 13, 14)},
}
LEGACY = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
TARGETS = [Target(name, arch) for name, runtime in RUNTIMES.items() for arch in runtime.archs]

targets = st.sampled_from(TARGETS)


@st.composite
def user_tags(draw: st.DrawFn, machine: str) -> str:
    family = draw(st.sampled_from(["manylinux_2_", "musllinux_1_", "manylinux", "linux"]))
    if family == "linux":
        return f"linux_{machine}"
    if family == "manylinux":
        legacy = ["2014"] if machine == "aarch64" else ["1", "2010", "2014"]
        return f"manylinux{draw(st.sampled_from(legacy))}_{machine}"
    return f"{family}{draw(st.integers(0, 45))}_{machine}"


@st.composite
def tagged_targets(draw: st.DrawFn) -> Target:
    plain = draw(targets)
    tags = draw(st.lists(user_tags(plain.machine), min_size=1, max_size=4))
    return Target(plain.runtime, plain.arch, tuple(tags))


def glibc(tag: str) -> int:
    """The minor version of glibc that a manylinux tag stands for."""
    if match := re.match(r"manylinux_2_(\d+)_", tag):
        return int(match[1])
    return LEGACY[tag.partition("_")[0]]


# --- the table of runtimes


def test_runtimes_and_their_architectures() -> None:
    both = ("x86_64", "arm64")
    archs = {name: both if name != "python3.7" else ("x86_64",) for name in GLIBCS}
    assert {name: runtime.archs for name, runtime in RUNTIMES.items()} == archs


@pytest.mark.parametrize("name", RUNTIMES)
def test_row(name: str) -> None:
    row = RUNTIMES[name]
    assert row.name == name
    assert f"python{row.version[0]}.{row.version[1]}" == name
    assert row.glibc == GLIBCS[name]
    assert row.deprecated < row.create_blocked < row.update_blocked


def test_newest_runtime() -> None:
    versions = {name: runtime.version for name, runtime in RUNTIMES.items()}
    assert newest() == max(versions, key=lambda name: versions[name])


# --- tags from the glibc

ALL_2_17 = [
    *("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"),
    *(f"manylinux_2_{minor}_x86_64" for minor in range(16, 4, -1)),
]


@pytest.mark.parametrize(
    ("target", "platforms"),
    [
        (Target("python3.7", "x86_64"), ALL_2_17),
        (
            Target("python3.11", "x86_64"),
            [*(f"manylinux_2_{minor}_x86_64" for minor in range(26, 17, -1)), *ALL_2_17],
        ),
        (
            Target("python3.8", "arm64"),
            [*(f"manylinux_2_{minor}_aarch64" for minor in range(26, 16, -1)), "manylinux2014_aarch64"],
        ),
        (
            Target("python3.12", "arm64"),
            [*(f"manylinux_2_{minor}_aarch64" for minor in range(34, 16, -1)), "manylinux2014_aarch64"],
        ),
    ],
    ids=str,
)
def test_default_tags(target: Target, platforms: list[str]) -> None:
    assert list(target.platforms) == platforms


@given(targets)
def test_no_tag_exceeds_the_glibc(target: Target) -> None:
    ceiling = GLIBCS[target.runtime]
    assert max(map(glibc, target.platforms)) == ceiling
    assert all(tag.endswith(f"_{target.machine}") for tag in target.platforms)


@given(targets)
def test_every_glibc_has_its_tag_best_first(target: Target) -> None:
    lowest = 5 if target.arch == "x86_64" else 17
    modern = [glibc(tag) for tag in target.platforms if tag.startswith("manylinux_")]
    legacy = [glibc(tag) for tag in target.platforms if not tag.startswith("manylinux_")]
    assert modern == list(range(GLIBCS[target.runtime], lowest - 1, -1))
    assert legacy == [minor for minor in (17, 12, 5) if minor >= lowest]
    assert len(set(target.platforms)) == len(target.platforms)


@given(tagged_targets())
def test_given_tags_replace_the_default_ones_in_their_order(target: Target) -> None:
    implied: set[str] = set()
    leading = []
    for tag in target.tags:
        if tag not in implied:
            leading.append(target.platforms.index(tag))
        implied.update(PlatformTag.parse(tag, target.arch).expand())
    assert target.platforms[0] == next(PlatformTag.parse(target.tags[0], target.arch).expand())
    assert leading == sorted(leading)
    assert set(target.platforms) == implied


@given(tagged_targets())
def test_no_tag_is_newer_than_one_that_was_given(target: Target) -> None:
    def ceiling(tags: tuple[str, ...]) -> int:
        return max((glibc(tag) for tag in tags if tag.startswith("manylinux")), default=-1)

    assert ceiling(target.platforms) == ceiling(target.tags)


@pytest.mark.parametrize(
    ("tags", "platforms"),
    [
        (
            ("musllinux_1_2_aarch64", "manylinux_2_18_aarch64"),
            [
                "musllinux_1_2_aarch64",
                "musllinux_1_1_aarch64",
                "musllinux_1_0_aarch64",
                "manylinux_2_18_aarch64",
                "manylinux_2_17_aarch64",
                "manylinux2014_aarch64",
            ],
        ),
        (
            ("manylinux2014_aarch64", "linux_aarch64"),
            ["manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"],
        ),
        (("manylinux_2_16_aarch64",), ["manylinux_2_16_aarch64"]),
        (("linux_aarch64", "musllinux_1_0_aarch64"), ["linux_aarch64", "musllinux_1_0_aarch64"]),
    ],
    ids=" ".join,
)
def test_given_tags(tags: tuple[str, ...], platforms: list[str]) -> None:
    assert list(Target("python3.13", "arm64", tags).platforms) == platforms


BAD_TAGS = {
    "manylinux_2_17_aarch64": "its machine is aarch64, and x86_64 needs x86_64",
    "linux_i686": "its machine is i686",
    "manylinux2014_arm64": "its machine is arm64",
    "macosx_11_0_arm64": "not a Linux platform tag",
    "win_amd64": "not a Linux platform tag",
    "any": "not a Linux platform tag",
    "": "not a Linux platform tag",
    "manylinux": "not a Linux platform tag",
    "manylinux_x86_64": "not a Linux platform tag",
    "manylinux_2_x86_64": "not a Linux platform tag",
    "manylinux_2_28": "not a Linux platform tag",
    "manylinux_2.28_x86_64": "not a Linux platform tag",
    "manylinux-2-28-x86_64": "not a Linux platform tag",
    "manylinux2015_x86_64": "not a Linux platform tag",
    "manylinux_3_0_x86_64": "not a Linux platform tag",
    "manylinux_1_17_x86_64": "not a Linux platform tag",
    "musllinux_2_2_x86_64": "not a Linux platform tag",
    "musllinux_x86_64": "not a Linux platform tag",
    "manylinux_2_2014_x86_64": "not a Linux platform tag",
    "manylinux_2_017_x86_64": "not a Linux platform tag",
    "manylinux_2_²_x86_64": "not a Linux platform tag",
    "manylinux_2_28_x86_64\n": "not a Linux platform tag",
    " manylinux_2_28_x86_64": "not a Linux platform tag",
    "Manylinux_2_28_x86_64": "not a Linux platform tag",
    "cp313-cp313-manylinux_2_28_x86_64": "not a Linux platform tag",
}


@pytest.mark.parametrize("tag", BAD_TAGS)
def test_bad_tag(tag: str) -> None:
    with pytest.raises(TagError, match=re.escape(BAD_TAGS[tag])):
        PlatformTag.parse(tag, "x86_64")


@pytest.mark.parametrize("tag", ["manylinux1_aarch64", "manylinux2010_aarch64"])
def test_alias_that_a_machine_never_had(tag: str) -> None:
    with pytest.raises(TagError, match="never defined for aarch64"):
        PlatformTag.parse(tag, "arm64")


@given(st.sampled_from(sorted(MACHINES)), st.data())
def test_parsed_tag_is_among_what_it_stands_for(arch: str, data: st.DataObject) -> None:
    text = data.draw(user_tags(MACHINES[arch]))
    assert text in tuple(PlatformTag.parse(text, arch).expand())


# --- tags of wheels


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_abi(target: Target) -> None:
    minor = target.version[1]
    assert target.abi == ("cp37m" if minor == 7 else f"cp3{minor}")


@given(targets)
def test_wheel_tags_are_those_of_packaging(target: Target) -> None:
    platforms = list(target.platforms)
    assert list(target.wheel_tags) == [
        *cpython_tags(target.version, [target.abi], platforms),
        *compatible_tags(target.version, f"cp3{target.version[1]}", platforms),
    ]


@given(st.one_of(targets, tagged_targets()))
def test_what_no_wheel_for_the_target_carries(target: Target) -> None:
    tags = set(target.wheel_tags)
    best = target.platforms[0]
    interpreter = f"cp3{target.version[1]}"
    newer = f"cp3{target.version[1] + 1}"
    assert Tag(interpreter, target.abi, best) in tags
    assert Tag("py3", "none", "any") in tags
    assert not any(tag.abi.endswith("t") for tag in tags)
    assert Tag(interpreter, f"{interpreter}t", best) not in tags
    assert not {tag for tag in tags if tag.interpreter == newer}
    assert {tag.abi for tag in tags if tag.interpreter != interpreter} <= {"abi3", "none"}
    assert not {tag for tag in tags if tag.abi != "none" and tag.platform == "any"}


@pytest.mark.parametrize(
    "target",
    [
        Target("python3.7", "x86_64"),
        Target("python3.13", "arm64"),
        Target("python3.12", "arm64", ("musllinux_1_2_aarch64", "manylinux_2_28_aarch64")),
        Target("python3.9", "x86_64", ("manylinux2010_x86_64", "linux_x86_64", "manylinux2014_x86_64")),
    ],
    ids=lambda target: f"{target} {' '.join(target.tags)}",
)
def test_order_is_that_of_pip(target: Target, clean_environ: Mapping[str, str]) -> None:
    options = ["--python-version", target.full_version, "--implementation", "cp", "--abi", target.abi]
    options += [part for platform in target.platforms for part in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "debug", "--verbose", *options]
    told = subprocess.run(command, env=dict(clean_environ), capture_output=True, text=True, check=True)
    _, *listed = told.stdout.partition("Compatible tags:")[2].splitlines()
    assert [str(tag) for tag in target.wheel_tags] == [line.strip() for line in listed]


# --- markers

MARKERS = [
    ('sys_platform == "linux"', True),
    ('sys_platform == "win32" or sys_platform == "darwin"', False),
    ('os_name == "posix" and platform_system == "Linux"', True),
    ('platform_python_implementation == "CPython" and implementation_name == "cpython"', True),
    ('platform_machine == "aarch64"', True),
    ('platform_machine == "arm64" or platform_machine == "x86_64"', False),
    ('python_version < "3.11"', True),
    ('python_version >= "3.10" and python_version < "3.10.1"', True),
    ('python_full_version >= "3.10.1"', True),
    ('python_full_version < "3.10.1"', False),
    ('implementation_version >= "3.10.1"', True),
    ('platform_release == "" and platform_version == ""', True),
]


@pytest.mark.parametrize(("marker", "holds"), MARKERS)
def test_marker(marker: str, holds: bool) -> None:
    assert Marker(marker).evaluate(Target("python3.10", "arm64").markers) is holds


@given(targets)
def test_markers_know_no_host(target: Target) -> None:
    assert len(target.markers) == 11
    assert target.markers["python_version"] == target.runtime.removeprefix("python")
    assert target.markers["python_full_version"] == target.full_version
    assert target.full_version.startswith(f"{target.markers['python_version']}.")
    assert target.markers["platform_machine"] == {"x86_64": "x86_64", "arm64": "aarch64"}[target.arch]


@pytest.mark.parametrize(
    ("requires", "admitted"),
    [
        (None, True),
        ("", True),
        (">=3.8", True),
        (">=3.11", False),
        ("<3.10", False),
        ("<3.11,>=3.9", True),
        (">=3.10.2,!=3.10.3", True),
        ("==3.10.*", True),
        (">=3.6.*", True),  # malformed by PEP 440, and on the index all the same
    ],
)
def test_requires_python(requires: str | None, admitted: bool) -> None:
    assert Target("python3.10", "x86_64").admitted(requires) is admitted


# --- lifecycle

LIFECYCLE = [
    ("python3.13", "2026-11-15", None),
    ("python3.13", "2029-06-29", None),
    (
        "python3.13",
        "2029-06-30",
        (
            "AWS deprecated python3.13 on 2029-06-30; creating functions is blocked from 2029-07-31 on; "
            "updating them is blocked from 2029-08-31 on"
        ),
    ),
    (
        "python3.10",
        "2027-02-01",
        (
            "AWS deprecated python3.10 on 2026-10-31; creating functions has been blocked since 2027-02-01; "
            "updating them is blocked from 2027-03-03 on"
        ),
    ),
    (
        "python3.8",
        "2026-11-15",
        (
            "AWS deprecated python3.8 on 2024-10-14; creating functions is blocked from 2027-02-01 on; "
            "updating them is blocked from 2027-03-03 on"
        ),
    ),
    (
        "python3.7",
        "2027-03-03",
        (
            "AWS deprecated python3.7 on 2023-12-04; creating functions has been blocked since 2024-01-09; "
            "updating them has been blocked since 2027-03-03"
        ),
    ),
]


@pytest.mark.parametrize(("runtime", "today", "said"), LIFECYCLE)
def test_lifecycle(runtime: str, today: str, said: str | None) -> None:
    state = lifecycle(runtime, date.fromisoformat(today))
    assert (None if state is None else str(state)) == said


@given(st.sampled_from(sorted(RUNTIMES)), st.dates(date(2020, 1, 1), date(2035, 1, 1)))
def test_lifecycle_follows_the_dates(runtime: str, today: date) -> None:
    row, state = RUNTIMES[runtime], lifecycle(runtime, today)
    assert (state is None) == (today < row.deprecated)
    if state is not None:
        assert state.create_blocked == (today >= row.create_blocked)
        assert state.update_blocked == (today >= row.update_blocked)


def test_target_names_itself() -> None:
    assert str(Target("python3.12", "arm64", ("linux_aarch64",))) == "python3.12 on arm64"
