from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Environment
from packaging.pylock import Pylock, PylockSelectError

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.lock import pick
from lambda_bundle.pylock import Locked, choose
from lambda_bundle.targets import RUNTIMES, Target

TARGET = Target("python3.12", "arm64")
FOLDER = Path("/locks").absolute()


def wheel(name: str, tag: str = "py3-none-any", version: str = "1.0", **more: Any) -> dict[str, Any]:
    file = f"{name}-{version}-{tag}.whl"
    return {"url": f"https://files.example/{file}", "hashes": {"sha256": "ab" * 32}, **more}


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "wheels": [wheel(name)], **more}


def lock(*packages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"lock-version": "1.0", "created-by": "tests", "packages": list(packages), **more}


def chosen(data: dict[str, Any], target: Target = TARGET, **options: Any) -> Locked:
    return choose(data, target, folder=FOLDER, where=Where(file="pylock.toml"), hint="lock again", **options)


def problem(data: dict[str, Any], target: Target = TARGET, **options: Any) -> Problem:
    with pytest.raises(BundleError) as caught:
        chosen(data, target, **options)
    (one,) = caught.value.problems
    assert one.where.file == "pylock.toml"
    return one


@pytest.mark.parametrize(
    ("marker", "taken"),
    [
        ("python_version < '3.12'", False),
        ("python_full_version >= '3.12.1'", True),
        ("platform_machine == 'aarch64'", True),
        ("sys_platform == 'win32'", False),
        ("'fast' in extras", False),
        ("'aws' in dependency_groups", False),
        ("'base' in dependency_groups", True),
    ],
)
def test_markers_are_those_of_the_target(marker: str, *, taken: bool) -> None:
    more = {"extras": ["fast"], "dependency-groups": ["aws", "base"], "default-groups": ["base"]}
    assert chosen(lock(package("a", marker=marker), **more)).names == ({"a"} if taken else set())


def test_extras_and_groups_that_are_asked_for() -> None:
    data = lock(
        package("a", marker="'fast' in extras"),
        package("b", marker="'aws' in dependency_groups"),
        package("c", marker="'base' in dependency_groups"),
        **{"extras": ["fast"], "dependency-groups": ["aws", "base"], "default-groups": ["base"]},
    )
    assert chosen(data, extras=["Fast"], groups=["aws"]).names == {"a", "b", "c"}
    assert problem(data, extras=["fats"]).hint == 'did you mean "fast"?'
    one = problem(data, groups=["x"])
    assert (one.code, one.hint) == (Code.UNKNOWN_SELECTION, "there are aws, base")


def test_wheels_of_every_kind() -> None:
    data = lock(
        package("a", wheels=[wheel("a"), wheel("a", "cp312-cp312-manylinux_2_17_aarch64")]),
        {"name": "b", "archive": {"path": "../b-2.0-py3-none-any.whl", "hashes": {"sha512": "cd" * 64}}},
    )
    found, misfits = pick(chosen(data).candidates, TARGET, {})
    assert not misfits
    a, b = found
    assert a.filename == "a-1.0-cp312-cp312-manylinux_2_17_aarch64.whl"
    assert (b.version, b.url) == ("2.0", (FOLDER.parent / "b-2.0-py3-none-any.whl").as_uri())
    assert (b.sha256, b.hashes) == (None, (f"sha512:{'cd' * 64}",))


def test_what_has_to_be_built() -> None:
    commit = "7f354030b57a55287ca8e3bff5b078d92352002f"
    hashes = {"sha256": "ab" * 32, "md5": "00" * 16}
    data = lock(
        {"name": "a", "directory": {"path": "../libs/a", "editable": True}},
        {"name": "b", "directory": {"path": "b", "subdirectory": "python"}},
        {"name": "c", "vcs": {"type": "git", "url": "https://git.example/c", "commit-id": commit}},
        {"name": "d", "vcs": {"type": "git", "path": "d", "commit-id": commit, "subdirectory": "py"}},
        {"name": "e", "archive": {"url": "https://files.example/e.zip", "hashes": hashes}},
        package("f", sdist={"url": "https://files.example/f-1.0.tar.gz", "hashes": hashes}),
    )
    found = chosen(data)
    assert [(one.name, one.folder, one.url, one.subdirectory) for one in found.sources] == [
        ("a", FOLDER.parent / "libs" / "a", None, None),
        ("b", FOLDER / "b" / "python", None, None),
        ("c", None, f"git+https://git.example/c@{commit}", None),
        ("d", None, f"git+{(FOLDER / 'd').as_uri()}@{commit}", "py"),
        ("e", None, "https://files.example/e.zip", None),
    ]
    assert found.sources[-1].hashes == (f"sha256:{'ab' * 32}",)
    (f,) = found.candidates
    assert f.sdist is not None
    assert (f.sdist.url, f.sdist.hashes) == ("https://files.example/f-1.0.tar.gz", (f"sha256:{'ab' * 32}",))
    assert found.names == set("abcdef")


def test_newer_version_of_the_format() -> None:
    """PEP 751: tools should warn where the minor version is not one that they know."""
    assert not chosen(lock(package("a"))).warnings
    found = chosen(lock(package("a"), **{"lock-version": "1.1"}))
    assert found.names == {"a"}
    (warning,) = found.warnings
    assert (warning.code, warning.severity) == (Code.LOCK_UNSUITABLE, "warning")
    assert "is of version 1.1 of its format" in warning.message


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        ({"lock-version": "1.0"}, Code.LOCK_INVALID, "created-by"),
        (lock(package("a"), **{"lock-version": "9.0"}), Code.LOCK_INVALID, "is of version 9.0 of its format"),
        (lock({"name": "a"}), Code.LOCK_INVALID, "packages[0]"),
        (lock(package("a"), package("a", version="1.0")), Code.LOCK_INVALID, "more than once"),
        (lock(**{"requires-python": ">=3.13"}), Code.LOCK_UNSUITABLE, ">=3.13"),
        (lock(environments=["sys_platform == 'win32'"]), Code.LOCK_UNSUITABLE, "win32"),
        (lock(package("a", **{"requires-python": "<3.12"})), Code.PYTHON_UNSUPPORTED, "<3.12"),
        (
            lock({"name": "a", "vcs": {"type": "hg", "url": "https://hg.example/a", "commit-id": "1"}}),
            Code.SOURCE_REQUIREMENT,
            "hg",
        ),
    ],
)
def test_what_cannot_be_the_law(data: dict[str, Any], code: Code, told: str) -> None:
    one = problem(data)
    assert one.code == code
    assert told in one.message
    assert one.hint


MARKERS = st.sampled_from(
    [
        *("python_version >= '3.11'", "python_version < '3.11'", "sys_platform == 'linux'"),
        *("platform_machine == 'x86_64'", "'x' in extras", "os_name == 'nt'", None),
    ]
)
TAGS = st.sampled_from(
    [
        *("py3-none-any", "cp312-cp312-manylinux_2_17_x86_64", "cp39-abi3-manylinux2014_aarch64"),
        *("cp313-cp313-manylinux_2_28_aarch64", "cp310-cp310-manylinux_2_24_x86_64"),
    ]
)
PACKAGES = st.lists(
    st.tuples(st.sampled_from("abcd"), MARKERS, st.lists(TAGS, min_size=1, max_size=4, unique=True)),
    max_size=6,
)
TARGETS = st.builds(
    Target,
    st.sampled_from([one for one in RUNTIMES if one != "python3.7"]),
    st.sampled_from(["x86_64", "arm64"]),
)


@given(PACKAGES, TARGETS)
def test_the_choice_is_that_of_packaging(
    found: list[tuple[str, str | None, list[str]]], target: Target
) -> None:
    packages = [
        package(name, wheels=[wheel(name, tag) for tag in tags], **({"marker": marker} if marker else {}))
        for name, marker, tags in found
    ]
    data = lock(*packages, extras=["x"])
    reference = Pylock.from_dict(copy.deepcopy(data))
    try:
        theirs = {
            one.name: file.filename  # type: ignore[union-attr]
            for one, file in reference.select(
                environment=cast("Environment", target.markers), tags=target.wheel_tags
            )
        }
    except PylockSelectError:
        theirs = None
    try:
        wheels, misfits = pick(chosen(data, target).candidates, target, {})
        ours = None if misfits else {one.name: one.filename for one in wheels}
    except BundleError:
        ours = None
    assert ours == theirs
