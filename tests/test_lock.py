from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import parse_wheel_filename

from lambda_bundle.lock import Candidates, Unfit, Wheel, best, fits, newest, pick, promised, wheel_file
from lambda_bundle.targets import Target

A, B, C = "a" * 64, "b" * 64, "c" * 64
TARGET = Target("python3.12", "x86_64")
MUSL_FIRST = Target("python3.12", "x86_64", ("musllinux_1_2_x86_64", "manylinux_2_28_x86_64"))


def wheel(rest: str, *, name: str = "pkg", sha256: str | None = A) -> Wheel:
    filename = f"{name}-{rest}.whl"
    version = rest.partition("-")[0]
    return Wheel(name=name, version=version, filename=filename, url=f"https://host/{filename}", sha256=sha256)


def candidates(*wheels: Wheel) -> Candidates:
    return Candidates(name=wheels[0].name, version=wheels[0].version, wheels=wheels)


CP312 = "1-cp312-cp312-"
CHOICES = {
    "the newest glibc": (
        TARGET,
        [f"{CP312}manylinux_2_17_x86_64", f"{CP312}manylinux_2_34_x86_64", f"{CP312}manylinux_2_28_x86_64"],
        f"{CP312}manylinux_2_34_x86_64",
    ),
    "not a newer glibc than there is": (
        TARGET,
        [f"{CP312}manylinux_2_35_x86_64", f"{CP312}manylinux1_x86_64"],
        f"{CP312}manylinux1_x86_64",
    ),
    "one of several tags": (
        TARGET,
        [f"{CP312}manylinux_2_17_x86_64.manylinux2014_x86_64", f"{CP312}manylinux_2_12_x86_64"],
        f"{CP312}manylinux_2_17_x86_64.manylinux2014_x86_64",
    ),
    "the ABI before the platform": (
        TARGET,
        ["1-cp38-abi3-manylinux_2_34_x86_64", f"{CP312}manylinux_2_5_x86_64"],
        f"{CP312}manylinux_2_5_x86_64",
    ),
    "the newest abi3": (
        TARGET,
        ["1-cp38-abi3-manylinux_2_17_x86_64", "1-cp311-abi3-manylinux_2_17_x86_64"],
        "1-cp311-abi3-manylinux_2_17_x86_64",
    ),
    "no abi3 of a newer Python": (
        TARGET,
        ["1-cp313-abi3-manylinux_2_17_x86_64", "1-py3-none-any"],
        "1-py3-none-any",
    ),
    "compiled before pure": (
        TARGET,
        ["1-py3-none-any", f"{CP312}manylinux_2_17_x86_64"],
        f"{CP312}manylinux_2_17_x86_64",
    ),
    "this machine": (
        TARGET,
        [f"{CP312}manylinux_2_34_aarch64", f"{CP312}manylinux_2_17_x86_64"],
        f"{CP312}manylinux_2_17_x86_64",
    ),
    "the highest build number": (
        TARGET,
        ["1-py3-none-any", "1-2-py3-none-any", "1-10-py3-none-any"],
        "1-10-py3-none-any",
    ),
    "the tag before the build number": (
        TARGET,
        ["1-9-py3-none-any", f"{CP312}manylinux_2_17_x86_64"],
        f"{CP312}manylinux_2_17_x86_64",
    ),
    "musl where it is wanted first": (
        MUSL_FIRST,
        [f"{CP312}manylinux_2_28_x86_64", f"{CP312}musllinux_1_1_x86_64"],
        f"{CP312}musllinux_1_1_x86_64",
    ),
    "no musl where it is not wanted": (TARGET, [f"{CP312}musllinux_1_1_x86_64"], None),
    "no other Python": (TARGET, ["1-cp311-cp311-manylinux_2_17_x86_64"], None),
    "no free-threaded Python": (TARGET, ["1-cp312-cp312t-manylinux_2_17_x86_64"], None),
    "no other system": (TARGET, [f"{CP312}win_amd64", f"{CP312}macosx_11_0_x86_64"], None),
    "nothing": (TARGET, [], None),
}


@pytest.mark.parametrize("case", CHOICES)
def test_best(case: str) -> None:
    target, names, expected = CHOICES[case]
    for wheels in ([wheel(name) for name in names], [wheel(name) for name in reversed(names)]):
        chosen = best(wheels, target)
        assert (None if chosen is None else chosen.filename) == (expected and f"pkg-{expected}.whl")


ALL_TAGS = sorted(
    {
        f"{python}-{abi}-{platform}"
        for python, abi in (("cp312", "cp312"), ("cp312", "abi3"), ("cp39", "abi3"), ("cp313", "cp313"))
        for platform in ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_34_x86_64")
    }
    | {"cp312-cp312-musllinux_1_2_x86_64", "cp312-cp312-linux_x86_64", "py3-none-any", "cp312-none-any"}
)


@given(st.lists(st.sampled_from(ALL_TAGS), unique=True), st.sampled_from([TARGET, MUSL_FIRST]))
def test_best_is_the_lowest_rank_in_any_order(tags: list[str], target: Target) -> None:
    ranks = {tag: rank for rank, tag in enumerate(target.wheel_tags)}
    fitting = {
        tag: min(ranks[one] for one in parse_wheel_filename(f"pkg-1-{tag}.whl")[3])
        for tag in tags
        if fits(f"pkg-1-{tag}.whl", target)
    }
    chosen = best([wheel(f"1-{tag}") for tag in tags], target)
    if not fitting:
        assert chosen is None
    else:
        assert chosen == wheel(f"1-{min(fitting, key=lambda tag: fitting[tag])}")


ANY = "1-py3-none-any"
PROMISES: dict[str, tuple[str | None, tuple[str, ...], tuple[str, ...]]] = {
    "the index says it": (A, (), (f"sha256:{A}",)),
    "nobody says it": (None, (), ()),
    "the requirements allow that of the index": (A, (f"sha256:{B}", f"sha256:{A}"), (f"sha256:{A}",)),
    "only the requirements say it": (None, (f"sha256:{B}", f"sha512:{C}"), (f"sha256:{B}", f"sha512:{C}")),
    "they speak of other kinds": (A, (f"sha512:{C}",), (f"sha512:{C}",)),
}


@pytest.mark.parametrize("case", PROMISES)
def test_promised(case: str) -> None:
    sha256, listed, expected = PROMISES[case]
    assert promised(wheel(ANY, sha256=sha256), {"pkg": listed} if listed else {}) == expected


def test_promised_by_another_package() -> None:
    assert promised(wheel(ANY), {"other": (f"sha256:{B}",)}) == (f"sha256:{A}",)


PICKS: dict[str, tuple[Wheel, Mapping[str, tuple[str, ...]], bool]] = {
    "without hashes": (wheel(ANY), {}, True),
    "with its hash": (wheel(ANY), {"pkg": (f"sha256:{A}",)}, True),
    "with several hashes": (wheel(ANY), {"pkg": (f"sha256:{B}", f"sha256:{A}")}, True),
    "with hashes of another package": (wheel(ANY), {"other": (f"sha256:{B}",)}, True),
    "with another hash": (wheel(ANY), {"pkg": (f"sha256:{B}",)}, False),
    "with a hash of another kind too": (wheel(ANY), {"pkg": (f"sha256:{B}", f"sha512:{C}")}, False),
    "with a hash of another kind only": (wheel(ANY), {"pkg": (f"sha512:{C}",)}, True),
    "where the index says no hash": (wheel(ANY, sha256=None), {"pkg": (f"sha256:{B}",)}, True),
}


@pytest.mark.parametrize("case", PICKS)
def test_pick(case: str) -> None:
    one, allowed, taken = PICKS[case]
    refused = Unfit(name="pkg", version="1", wheels=(one.filename,), hashes=allowed.get("pkg", ()))
    assert pick([candidates(one)], TARGET, allowed) == (((one,), ()) if taken else ((), (refused,)))


def test_pick_takes_a_trusted_wheel_before_a_better_one() -> None:
    better, trusted = wheel(f"{CP312}manylinux_2_17_x86_64", sha256=B), wheel(ANY)
    chosen, unfit = pick([candidates(better, trusted)], TARGET, {"pkg": (f"sha256:{A}",)})
    assert (chosen, unfit) == ((trusted,), ())


def test_pick_reports_what_has_no_wheel_in_order() -> None:
    mac, windows = wheel("1-cp312-cp312-macosx_11_0_arm64"), wheel("1-cp312-cp312-win_amd64")
    here = wheel("2-cp311-cp311-linux_x86_64", name="zed")
    pure = wheel(ANY, name="ant")
    found = [candidates(here), candidates(windows, mac), candidates(pure)]
    assert pick(found, TARGET, {}) == (
        (pure,),
        (
            Unfit(name="pkg", version="1", wheels=(mac.filename, windows.filename)),
            Unfit(name="zed", version="2", wheels=(here.filename,)),
        ),
    )


def test_unfit_for_its_tags_and_not_for_its_hash() -> None:
    """A wheel that would not do anyway is not refused for its hash."""
    windows = wheel("1-cp312-cp312-win_amd64")
    (_, (unfit,)) = pick([candidates(windows)], TARGET, {"pkg": (f"sha256:{B}",)})
    assert unfit.hashes == ()


def test_platforms_of_a_wheel() -> None:
    many = wheel(f"{CP312}manylinux_2_17_x86_64.manylinux2014_x86_64")
    assert many.platforms == {"manylinux_2_17_x86_64", "manylinux2014_x86_64"}


@pytest.mark.parametrize(
    "url",
    [
        "https://host/a%20b/pkg-1.0%2Bcpu-py3-none-any.whl?token=x/y#sha256=0",
        "file:///srv/pkg-1.0+cpu-py3-none-any.whl",
    ],
)
def test_wheel_file(url: str) -> None:
    assert wheel_file(url) == "pkg-1.0+cpu-py3-none-any.whl"


def test_newest() -> None:
    assert newest(["1.9", "1.10rc1", "1.2"]) == "1.10rc1"
