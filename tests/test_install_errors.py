"""What keeps dependencies from being installed, told in the same way whichever backend finds it."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from loopback import Index, serving
from wheelhouse import Wheelhouse, sha256
from workbench import BACKENDS, Workbench, both, uv_and_at_length_pip

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.targets import Target

PY311 = Target("python3.11", "x86_64")
ZEROS = "sha256:" + "0" * 64
LINE = Where(file="requirements.txt", line=1)
SECOND = Where(file="requirements.txt", line=2)
CONSTRAINT = Where(file="constraints.txt", line=1)
NOWHERE = Where()


@pytest.fixture
def bench(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workbench:
    assert wheelhouse.folder.is_dir()
    return Workbench(tmp_path, environ)


@dataclass(frozen=True)
class Case:
    """Requirements that fail, and how that is told."""

    asks: str
    code: Code
    says: str
    """A pattern for the whole message."""
    where: Where = LINE
    had: tuple[str, ...] = ()
    """The wheels that the detail names; with the tags that were wanted."""
    pip: bool = True
    """Whether every run of the suite asks pip too, which takes its time, and not only campaigns."""


def populate(house: Wheelhouse) -> None:
    """Packages that fail, each in its own way, and others that ask for them."""
    for version in ("1.0", "2.0"):
        house.sdist("src", version)
        house.wheel("mac", version, "cp311-cp311-macosx_11_0_arm64")
        house.wheel("new", version, "cp311-cp311-manylinux_2_28_x86_64")
        house.wheel("lower", version, python=f">=3.1{version[0]}.99")
        house.wheel("upper", version, python="<3.11")
        house.wheel("fine", version)
        for name in ("src", "mac", "new", "lower", "absent"):
            house.wheel(f"any-needs-{name}", version, requires=[name])
        house.wheel("any-needs-late", version, requires=["fine>=3"])
    for name in ("src", "mac<2", "new", "lower", "upper", "absent>=1", "fine>=3"):
        house.wheel(f"needs-{re.split('[<>]', name)[0]}", requires=[name])
    house.wheel("mixed", "1.0", "cp311-cp311-win_amd64")
    house.sdist("mixed", "2.0")
    house.wheel("arm", tag="cp311-cp311-manylinux_2_17_aarch64")
    house.wheel("other-python", tag="cp39-cp39-manylinux_2_17_x86_64")
    house.wheel("free", tag="cp311-cp311t-manylinux_2_17_x86_64")
    house.wheel("old-tag", tag="cp36-cp36m-manylinux_2_17_x86_64")
    house.wheel("future", tag="cp312-cp312-manylinux_2_17_x86_64", python=">=3.12")
    for tag in ("cp311-cp311-win32", "cp311-cp311-win_amd64", "cp39-cp39-manylinux_2_17_x86_64"):
        house.wheel("many", tag=tag)
    house.wheel("early", "1.0a1")


def source_only(asks: str, what: str, where: Where = LINE, *, pip: bool = True) -> Case:
    says = f"{what} has only a source distribution, no wheel for python3.11 on x86_64"
    return Case(asks, Code.SOURCE_ONLY, says, where, pip=pip)


def no_wheel(asks: str, what: str, *had: str, where: Where = LINE, pip: bool = True) -> Case:
    says = rf"{what} has no wheel for python3.11 on x86_64( \(it requires Python >=3.12\))?"
    also = "(; nor have the other versions that were allowed: 1.0)?"
    return Case(asks, Code.NO_WHEEL, says + also, where, had, pip)


def python(asks: str, what: str, requires: str, where: Where = LINE, *, pip: bool = True) -> Case:
    says = f"{what} requires Python {requires}, and python3.11 on x86_64 is not that"
    return Case(asks, Code.PYTHON_UNSUPPORTED, says, where, pip=pip)


def unknown(asks: str, name: str, where: Where = LINE, *, pip: bool = True) -> Case:
    return Case(asks, Code.PACKAGE_NOT_FOUND, f"no index has a package called {name}", where, pip=pip)


def no_version(asks: str, what: str, newest: str, where: Where = LINE, *, pip: bool = True) -> Case:
    says = f"no index has {what}; the newest version is {newest}"
    return Case(asks, Code.PACKAGE_NOT_FOUND, says, where, pip=pip)


CASES = [
    source_only("src", "src 2.0"),
    source_only("fine\nsrc==1.0", "src 1.0", SECOND, pip=False),
    source_only("src<2", "src 1.0", pip=False),
    source_only("needs-src", "src 2.0", NOWHERE, pip=False),
    source_only("any-needs-src", "src 2.0", NOWHERE, pip=False),
    source_only("needs-src\n-c constraints.txt", "src 1.0", CONSTRAINT),
    source_only("mixed", "mixed 2.0", pip=False),
    no_wheel("mac", "mac 2.0", "mac-2.0-cp311-cp311-macosx_11_0_arm64", pip=False),
    no_wheel("fine\nmac==1.0", "mac 1.0", "mac-1.0-cp311-cp311-macosx_11_0_arm64", where=SECOND),
    no_wheel("needs-mac", "mac 1.0", "mac-1.0-cp311-cp311-macosx_11_0_arm64", where=NOWHERE, pip=False),
    no_wheel("any-needs-mac", "mac 2.0", "mac-2.0-cp311-cp311-macosx_11_0_arm64", where=NOWHERE, pip=False),
    no_wheel("new", "new 2.0", "new-2.0-cp311-cp311-manylinux_2_28_x86_64", pip=False),
    no_wheel("new==1.0", "new 1.0", "new-1.0-cp311-cp311-manylinux_2_28_x86_64", pip=False),
    no_wheel(
        "any-needs-new", "new 2.0", "new-2.0-cp311-cp311-manylinux_2_28_x86_64", where=NOWHERE, pip=False
    ),
    no_wheel("arm", "arm 1.0", "arm-1.0-cp311-cp311-manylinux_2_17_aarch64", pip=False),
    no_wheel(
        "other-python", "other-python 1.0", "other_python-1.0-cp39-cp39-manylinux_2_17_x86_64", pip=False
    ),
    no_wheel("free", "free 1.0", "free-1.0-cp311-cp311t-manylinux_2_17_x86_64", pip=False),
    no_wheel("old-tag", "old-tag 1.0", "old_tag-1.0-cp36-cp36m-manylinux_2_17_x86_64", pip=False),
    no_wheel("future", "future 1.0", "future-1.0-cp312-cp312-manylinux_2_17_x86_64", pip=False),
    no_wheel(
        "many",
        "many 1.0",
        "many-1.0-cp39-cp39-manylinux_2_17_x86_64",  # for Linux on x86_64: nearer than those for Windows
        "many-1.0-cp311-cp311-win32",
        "many-1.0-cp311-cp311-win_amd64",
        pip=False,
    ),
    python("lower", "lower 2.0", ">=3.12.99"),
    python("lower==1.0", "lower 1.0", ">=3.11.99", pip=False),
    python("needs-lower", "lower 2.0", ">=3.12.99", NOWHERE, pip=False),
    python("any-needs-lower", "lower 2.0", ">=3.12.99", NOWHERE),
    python("upper==2.0", "upper 2.0", "<3.11", pip=False),
    python("upper", "upper 2.0", "<3.11", pip=False),
    python("needs-upper", "upper 2.0", "<3.11", NOWHERE, pip=False),
    unknown("fine\nabsent==1.0", "absent", SECOND, pip=False),
    unknown("needs-absent", "absent", NOWHERE, pip=False),
    unknown("any-needs-absent", "absent", NOWHERE),
    no_version("fine==3.0", "fine==3.0", "2.0"),
    no_version("fine>2,<3", "fine(>2,<3|<3,>2)", "2.0", pip=False),
    no_version("fine~=1.5", "fine(~=1.5|>=1.5,<2.dev0)", "2.0", pip=False),
    no_version("fine[extra]==3.0", "fine==3.0", "2.0", pip=False),
    no_version("needs-fine", "fine>=3", "2.0", NOWHERE, pip=False),
    no_version("any-needs-late", "fine>=3", "2.0", NOWHERE, pip=False),
    no_version("early==1.0", "early==1.0", "1.0a1", pip=False),
]


@pytest.mark.parametrize(
    ("backend", "case"),
    [
        pytest.param(
            *(backend, case),
            id=f"{backend} {case.asks}".replace("\n", " "),
            marks=[] if case.pip or backend == "uv" else pytest.mark.campaign,
        )
        for backend in BACKENDS
        for case in CASES
    ],
)
def test_unsolvable(backend: str, case: Case, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    populate(wheelhouse)
    (bench.folder / "constraints.txt").write_text("src==1.0\n")
    problem = bench.problem(backend, case.asks, PY311)
    assert problem.code is case.code
    assert re.fullmatch(case.says, problem.message), problem.message
    assert problem.where == case.where
    assert problem.severity == "error"
    assert problem.hint
    if case.had:
        assert problem.detail
        wanted, had = problem.detail.split(f"the wheels of {case.says.split(' has')[0]}:\n")
        assert wanted.startswith("wanted, best first:\n  cp311, abi3 or any, on manylinux_2_26_x86_64, ")
        assert had.split() == [f"{name}.whl" for name in case.had]
    else:
        assert problem.detail is None
    assert not wheelhouse.mark.exists()


@both
def test_problems_of_several_packages(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """Direct wheels that do not fit are found all at once; each says where it was asked for."""
    places = [
        wheelhouse.wheel(name, tag=tag)
        for name, tag in (("a", "cp311-cp311-win_amd64"), ("b", "cp39-cp39-manylinux_2_17_x86_64"))
    ]
    with pytest.raises(BundleError) as caught:
        bench.dependencies(backend, "".join(f"{place.as_uri()}\n" for place in places), PY311)
    told = [(one.code, one.message, one.where) for one in caught.value.problems][: len(places)]
    expected = [
        (Code.NO_WHEEL, f"{name} 1.0 has no wheel for {PY311}", Where(file="requirements.txt", line=line))
        for line, name in enumerate("ab", start=1)
    ]
    assert told == expected


DIRECT: Mapping[str, tuple[str, str | None, Code]] = {
    "for another system": ("cp311-cp311-win_amd64", None, Code.NO_WHEEL),
    "for a newer glibc": ("cp311-cp311-manylinux_2_28_x86_64", None, Code.NO_WHEEL),
    "for musl": ("cp311-cp311-musllinux_1_2_x86_64", None, Code.NO_WHEEL),
    "for another machine": ("cp311-cp311-manylinux_2_17_aarch64", None, Code.NO_WHEEL),
    "built here": ("cp311-cp311-linux_x86_64", None, Code.NO_WHEEL),
    "for a newer Python": ("py3-none-any", ">=3.12", Code.PYTHON_UNSUPPORTED),
    "for an older Python": ("py3-none-any", "<3.11", Code.PYTHON_UNSUPPORTED),
}

PIPS_OWN = ("for another system", "for a newer Python")
"""One of each kind: wheels that do not fit are found in their names, before pip is asked."""


@pytest.mark.parametrize(
    ("case", "backend"),
    [
        *(pytest.param(case, "uv", id=f"{case}-uv") for case in DIRECT),
        *(
            pytest.param(
                case, "pip", id=f"{case}-pip", marks=[] if case in PIPS_OWN else pytest.mark.campaign
            )
            for case in DIRECT
        ),
    ],
)
def test_direct_wheel_that_does_not_fit(
    case: str, backend: str, wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    tag, requires, code = DIRECT[case]
    place = wheelhouse.wheel("direct", tag=tag, python=requires)
    wheelhouse.wheel("direct", "0.9")
    problem = bench.problem(backend, f"direct @ {place.as_uri()}\n", PY311)
    assert (problem.code, problem.where) == (code, LINE)
    assert problem.message.startswith("direct 1.0 ")
    assert str(PY311) in problem.message
    if code is Code.NO_WHEEL:
        assert problem.detail
        assert problem.detail.endswith(f"the wheels of direct 1.0:\n  {place.name}")
    else:
        assert f"requires Python {requires}, " in problem.message


CONFLICTS = ("needs-two\nfine==1.0", "needs-two\nneeds-one", "fine==1.0\nfine==2.0")


@pytest.mark.parametrize(
    ("backend", "asks"),
    [
        *(("uv", asks) for asks in CONFLICTS),
        ("pip", CONFLICTS[0]),
        *(pytest.param("pip", asks, marks=pytest.mark.campaign) for asks in CONFLICTS[1:]),
    ],
)
def test_conflict(asks: str, backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    for version in ("1.0", "2.0"):
        wheelhouse.wheel("fine", version)
    wheelhouse.wheel("needs-one", requires=["fine<2"])
    wheelhouse.wheel("needs-two", requires=["fine>=2"])
    problem = bench.problem(backend, asks, PY311)
    assert problem.code is Code.CONFLICT
    assert problem.detail
    assert "fine" in problem.detail
    assert all(name in problem.detail for name in asks.split() if not name.startswith("fine"))


@both
def test_distribution_with_broken_metadata(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    wheelhouse.wheel("broken", requires=["this is no requirement"])
    problem = bench.problem(backend, "broken", PY311)
    assert problem.code is Code.CONFLICT
    assert problem.detail
    assert re.search("broken.* has (an )?invalid|broken.* has invalid metadata", problem.detail)


@both
def test_what_is_sent_for_a_wheel_and_is_none(backend: str, bench: Workbench) -> None:
    """A page to log in, for example."""
    served = bench.folder / "pages"
    served.mkdir()
    (served / "pkg-1.0-py3-none-any.whl").write_text("<html>who are you?</html>")
    bench.environ.pop("PIP_NO_INDEX", None)
    with serving(Index(folder=served)) as host:
        problem = bench.problem(backend, f"--index-url http://{host}/simple\npkg==1.0\n", PY311)
    assert problem.code is Code.INDEX_UNREACHABLE
    assert problem.message == "what a package index sent for a wheel is none"


# --- hashes


@both
def test_hash_of_none_of_the_wheels(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    wheelhouse.wheel("pkg")
    problem = bench.problem(backend, f"# locked\npkg==1.0 --hash={ZEROS}\n", PY311)
    assert (problem.code, problem.where) == (Code.HASH_MISMATCH, SECOND)
    assert "pkg" in problem.message
    assert problem.detail
    assert "0" * 64 in problem.detail


@pytest.mark.parametrize(
    ("backend", "length"),
    [("uv", 96), ("uv", 128), ("pip", 96), pytest.param("pip", 128, marks=pytest.mark.campaign)],
)
def test_hash_of_another_kind_of_none_of_the_wheels(
    length: int, backend: str, wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    wheelhouse.wheel("pkg")
    kind = {96: "sha384", 128: "sha512"}[length]
    problem = bench.problem(backend, f"pkg==1.0 --hash={kind}:{'0' * length}\n", PY311)
    assert (problem.code, problem.where) == (Code.HASH_MISMATCH, LINE)
    assert "pkg" in problem.message


@both
def test_hash_in_a_url_that_is_wrong(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    place = wheelhouse.wheel("pkg").as_uri()
    wheelhouse.wheel("other")
    problem = bench.problem(backend, f"other\npkg @ {place}#{ZEROS.replace(':', '=')}\n", PY311)
    assert (problem.code, problem.where) == (Code.HASH_MISMATCH, SECOND)
    assert "pkg" in problem.message


@both
def test_dependency_without_a_hash(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    top = wheelhouse.wheel("top", requires=["dep>=1", "windows; sys_platform == 'win32'"])
    wheelhouse.wheel("dep", "1.5", requires=["deeper"])
    wheelhouse.wheel("deeper")
    with pytest.raises(BundleError) as caught:
        bench.dependencies(backend, f"top==1.0 --hash={sha256(top)}\n", PY311)
    problem = next(one for one in caught.value.problems if "dep>=1" in one.message or "dep==" in one.message)
    assert problem.code is Code.HASH_MISSING
    assert re.fullmatch(
        r"dep(>=1|==1\.5) is needed, and the requirements list no hash for it", problem.message
    )
    assert "windows" not in str([one.message for one in caught.value.problems])


@both
def test_list_with_hashes_that_contradicts_itself(
    backend: str, wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    top, dep = wheelhouse.wheel("top", requires=["dep>=2"]), wheelhouse.wheel("dep", "1.0")
    wheelhouse.wheel("dep", "2.0")
    text = f"top==1.0 --hash={sha256(top)}\ndep==1.0 --hash={sha256(dep)}\n"
    problem = bench.problem(backend, text, PY311)
    assert problem.code is Code.CONFLICT
    assert problem.detail
    assert "dep>=2" in problem.detail
    assert "dep==1.0" in problem.detail


def test_hashes_that_uv_cannot_tell_apart(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    true = hashlib.sha512(wheelhouse.wheel("pkg").read_bytes()).hexdigest()
    text = f"pkg==1.0 --hash=sha512:{true} --hash=sha512:{'0' * 128}\n"
    problem = bench.problem("uv", text, PY311)
    assert (problem.code, problem.where) == (Code.HASH_MISSING, LINE)
    assert problem.message == "pkg 1.0 is listed with several hashes, and none is a sha256"
    assert bench.files("pip", text, PY311) == ["pkg-1.0-py3-none-any.whl"]


# --- indexes


@pytest.fixture
def packages(tmp_path: Path) -> Wheelhouse:
    """What the index on the loopback has."""
    (tmp_path / "packages").mkdir()
    return Wheelhouse(tmp_path / "packages")


@pytest.fixture
def online(bench: Workbench) -> Workbench:
    """A workbench that asks the index that the requirements name, once."""
    del bench.environ["PIP_NO_INDEX"]
    bench.environ.update(UV_HTTP_RETRIES="0", PIP_RETRIES="0", PIP_TIMEOUT="5", NO_PROXY="127.0.0.1")
    return bench


@contextmanager
def indexed(index: Index, credentials: str = "") -> Iterator[str]:
    """The line of a requirements file that names an index."""
    with serving(index) as host:
        yield f"--index-url http://{credentials}{host}/simple\n"


def spoken(problem: Problem) -> str:
    return f"{problem.message} {problem.detail} {problem.hint} {problem.where}"


@both
def test_index(backend: str, packages: Wheelhouse, online: Workbench) -> None:
    """A file without a hash is fine there, and where two would do, the hash in the requirements chooses."""
    top = packages.wheel("top", requires=["dep", "other"])
    packages.wheel("dep", tag="cp311-cp311-manylinux_2_17_x86_64")
    pure = packages.wheel("dep")
    other = packages.wheel("other")
    with indexed(Index(folder=packages.folder, promised={top.name: ""})) as line:
        wheels = online.dependencies(backend, f"{line}top\n", PY311).wheels
        assert [wheel.name for wheel in wheels] == ["dep", "other", "top"]
        pins = ((top, "top"), (pure, "dep"), (other, "other"))
        text = line + "".join(f"{name}==1.0 --hash={sha256(file)}\n" for file, name in pins)
        files = online.files(backend, text, PY311)
    assert files == [pure.name, other.name, top.name]


NOTHING = {
    "absent": (Code.PACKAGE_NOT_FOUND, "no index has a package called absent"),
    "src": (Code.SOURCE_ONLY, "src 1.0 has only a source distribution, no wheel for {target}"),
    "lower": (Code.PYTHON_UNSUPPORTED, "lower 1.0 requires Python >=3.12, and {target} is not that"),
    "future": (Code.NO_WHEEL, "future 1.0 has no wheel for {target}"),
    "futures": (Code.NO_WHEEL, "futures 1.0 has no wheel for {target}"),
}
AS_IN_A_FOLDER = ("src", "futures")
"""Of these an index tells pip nothing that a folder does not."""


@pytest.mark.parametrize(
    ("asks", "backend"),
    [
        pytest.param(
            *(asks, backend),
            marks=pytest.mark.campaign if backend == "pip" and asks in AS_IN_A_FOLDER else [],
        )
        for asks in NOTHING
        for backend in BACKENDS
    ],
)
def test_index_that_has_nothing_that_fits(
    asks: str, backend: str, packages: Wheelhouse, online: Workbench
) -> None:
    """An index says more than a folder does: what Python each file requires."""
    code, says = NOTHING[asks]
    packages.sdist("src")
    packages.wheel("lower", python=">=3.12")
    packages.wheel("future", tag="cp312-cp312-manylinux_2_17_x86_64", python=">=3.12")
    packages.wheel("futures", tag="py2-none-any", python=">=2.6,<3")
    for name in ("src-of-no-version.whl", "src-nonsense.tar.gz", "future-nonsense-py3-none-any.whl"):
        (packages.folder / name).touch()
    with indexed(Index(folder=packages.folder)) as line:
        problem = online.problem(backend, f"{line}{asks}\n", PY311)
    assert (problem.code, problem.where) == (code, SECOND)
    assert problem.message.split(" (it requires")[0] == says.format(target=PY311)
    if asks == "future":
        assert problem.detail
        assert "future-1.0-cp312-cp312-manylinux_2_17_x86_64.whl" in problem.detail


@both
def test_file_that_has_changed_since_its_hash(backend: str, packages: Wheelhouse, online: Workbench) -> None:
    changed = packages.wheel("changed").name
    with indexed(Index(folder=packages.folder, promised={changed: "1" * 64})) as line:
        problem = online.problem(backend, f"{line}changed==1.0\n", PY311)
    assert (problem.code, problem.where) == (Code.HASH_MISMATCH, SECOND)
    assert problem.message == (
        "a file of changed does not have the hash that the index or the requirements promise"
    )
    assert problem.detail
    assert "1" * 64 in problem.detail


@both
def test_index_that_nobody_answers_for(backend: str, online: Workbench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    problem = online.problem(backend, f"--index-url http://127.0.0.1:{port}/simple\nsix\n", PY311)
    assert problem.code is Code.INDEX_UNREACHABLE
    assert problem.detail
    assert f"127.0.0.1:{port}" in problem.detail


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        ("uv", "application/vnd.pypi.simple.v1+json"),
        ("uv", "text/plain"),
        ("pip", "application/vnd.pypi.simple.v1+json"),
    ],
)
def test_index_that_answers_something_else(
    kind: str, backend: str, packages: Wheelhouse, online: Workbench
) -> None:
    with indexed(Index(folder=packages.folder, page=(kind, b"{"))) as line:
        problem = online.problem(backend, f"{line}six\n", PY311)
    assert problem.code is Code.INDEX_UNREACHABLE
    assert problem.message == "a package index answered with something else than a list of files"
    assert "Traceback" not in f"{problem.detail}"


def test_package_whose_page_is_in_the_cache_and_no_more(packages: Wheelhouse, online: Workbench) -> None:
    """uv tells of it in other words than of one that it has never heard of."""
    packages.wheel("lib", "1.0")
    packages.wheel("lib", "2.0")
    online.environ["UV_CACHE_DIR"] = str(online.folder / "uv cache")
    with indexed(Index(folder=packages.folder, good=600)) as line:
        assert online.files("uv", f"{line}lib==1.0\n", PY311) == ["lib-1.0-py3-none-any.whl"]
        wanted = online.requirements(f"{line}lib>=1.5\n", PY311)
        with pytest.raises(BundleError) as caught:
            online.backend("uv").resolve(wanted, PY311, replace(online.work(wanted), offline=True), ())
    (problem,) = caught.value.problems
    assert (problem.code, problem.where.line) == (Code.OFFLINE, 2)
    assert problem.message.startswith("lib is in no cache")


@uv_and_at_length_pip
def test_file_that_nobody_answers_for(backend: str, online: Workbench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    text = f"six @ http://127.0.0.1:{port}/six-1.0-py3-none-any.whl\n"
    problem = online.problem(backend, text, PY311)
    assert problem.code is Code.INDEX_UNREACHABLE


@pytest.mark.parametrize(
    ("backend", "refusal"),
    [("uv", 401), ("uv", 403), ("pip", 403), pytest.param("pip", 401, marks=pytest.mark.campaign)],
)
def test_index_that_refuses_the_credentials(
    refusal: int, backend: str, packages: Wheelhouse, online: Workbench
) -> None:
    packages.wheel("pkg")
    index = Index(folder=packages.folder, credentials="me:right", refusal=refusal)
    with indexed(index, "me:s3cr%2Ft@") as line:
        problem = online.problem(backend, f"{line}pkg\n", PY311)
    assert problem.code is Code.INDEX_UNAUTHORIZED
    assert problem.detail
    assert str(refusal) in problem.detail
    assert not re.search(r"s3cr|%2Ft", spoken(problem))


@uv_and_at_length_pip
def test_index_that_asks_for_credentials(backend: str, packages: Wheelhouse, online: Workbench) -> None:
    packages.wheel("pkg")
    with indexed(Index(folder=packages.folder, credentials="me:right")) as line:
        problem = online.problem(backend, f"{line}pkg\n", PY311)
    assert problem.code is Code.INDEX_UNAUTHORIZED


@both
def test_credentials(backend: str, packages: Wheelhouse, online: Workbench) -> None:
    """They open the index, and others the file that stands at a URL of its own."""
    packages.wheel("pkg", requires=["dep"])
    packages.wheel("dep")
    packages.wheel("direct")
    with (
        serving(Index(folder=packages.folder, credentials="me:s3cret")) as host,
        serving(Index(folder=packages.folder, credentials="you:0ther")) as other,
    ):
        text = f"--extra-index-url http://me:s3cret@{host}/simple\npkg\n"
        text += f"direct @ http://you:0ther@{other}/files/direct-1.0-py3-none-any.whl\n"
        wheels = online.dependencies(backend, text, PY311).wheels
    assert [wheel.name for wheel in wheels] == ["dep", "direct", "pkg"]


# --- other failures


@both
def test_command_that_fails(backend: str, bench: Workbench) -> None:
    """A failure of no kind that is known: the command and what it said are shown."""
    bench.environ.update(UV_LINK_MODE="nonsense", PIP_CONSTRAINT="nonsense.txt")
    problem = bench.problem(backend, "six==1.0\n", PY311)
    assert problem.code is Code.COMMAND_FAILED
    assert problem.message.startswith(f"{backend} ended with exit code ")
    assert problem.detail
    assert problem.detail.startswith("$ ")
    assert "nonsense" in problem.detail


def test_folder_of_the_environment_that_is_not_there(bench: Workbench) -> None:
    bench.environ["UV_FIND_LINKS"] = str(bench.folder / "nowhere")
    problem = bench.problem("uv", "six==1.0\n", PY311)
    assert problem.code is Code.REQUIREMENTS_MISSING
    assert "nowhere" in (problem.detail or "")
    assert "UV_FIND_LINKS" in (problem.hint or "")


def test_sources_that_a_distribution_requires_by_url(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """pip would build them, --only-binary or not; uv refuses every URL that is not asked for directly."""
    sources = wheelhouse.sdist("sources", tools=True).rename(bench.folder / "sources-1.0.tar.gz")
    wheelhouse.wheel("top", requires=[f"sources @ {sources.as_uri()}"])
    problem = bench.problem("pip", "top", PY311)
    assert problem.code is Code.SOURCE_REQUIREMENT
    assert problem.message.startswith(f"top requires sources as sources ({sources}), ")
    with serving(Index(folder=bench.folder)) as host:
        place = f"http://me:s3cret@{host}/files/sources-1.0.tar.gz"
        wheelhouse.wheel("named", requires=[f"sources @ {place}"])
        served = bench.problem("pip", "named", PY311)
    assert served.code is Code.SOURCE_REQUIREMENT
    assert served.message.startswith(f"named requires sources as sources (http://****@{host}/")
    assert bench.problem("uv", "top", PY311).code is Code.COMMAND_FAILED
    assert not wheelhouse.mark.exists()
