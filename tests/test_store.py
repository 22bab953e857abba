from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from loopback import Index, serving
from wheelhouse import Wheelhouse
from workbench import BACKENDS, Workbench

from lambda_bundle.cache import Cache
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.installers import Work
from lambda_bundle.orders import Order
from lambda_bundle.sets import DependencySet
from lambda_bundle.store import Store
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Requirements

both = pytest.mark.parametrize("backend", BACKENDS)
PY311 = Target("python3.11", "x86_64")
PY313 = Target("python3.13", "x86_64")


class Shared:
    """One store that many ask at once."""

    def __init__(self, bench: Workbench, pool: ThreadPoolExecutor) -> None:
        self.bench = bench
        self.cache = Cache(bench.folder / "store")
        self.store = Store(self.cache, pool)

    def ask(
        self, wanted: Requirements, *, backend: str = "uv", target: Target = PY313, work: Work | None = None
    ) -> DependencySet | BundleError:
        try:
            return self.store.dependencies(self.bench.order(wanted, target, backend, work))
        except BundleError as error:
            return error

    def ask_all(self, all_wanted: Sequence[Requirements], **how: str) -> list[DependencySet | BundleError]:
        together = Barrier(len(all_wanted))

        def ask(wanted: Requirements) -> DependencySet | BundleError:
            together.wait()
            return self.ask(wanted, **how)  # type: ignore[arg-type]

        with ThreadPoolExecutor(len(all_wanted)) as callers:
            return list(callers.map(ask, all_wanted))

    @property
    def inodes(self) -> dict[Path, int]:
        """What is in the cache, and which folder it is: one that was made anew has another number."""
        return {path: path.stat().st_ino for path in self.cache.folder.glob("sets/[!.]*")}

    @property
    def built(self) -> int:
        """How many dependency sets were built; each has a folder of its own."""
        return len(list(self.cache.folder.glob("sets/[!.]*")))

    @property
    def resolved(self) -> int:
        """How often a backend was asked what requirements resolve to."""
        return len(list(self.bench.folder.glob("work-*/requirements.in")))


@pytest.fixture
def shared(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Iterator[Shared]:
    assert wheelhouse.folder.is_dir()
    with ThreadPoolExecutor(4) as pool:
        yield Shared(Workbench(tmp_path, environ), pool)


def content_of(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def problem(found: DependencySet | BundleError) -> Problem:
    assert isinstance(found, BundleError)
    return found.problems[0]


@both
def test_same_set_is_built_once(backend: str, wheelhouse: Wheelhouse, shared: Shared) -> None:
    wheelhouse.wheel("pkg", requires=["dep"])
    wheelhouse.wheel("dep")
    names = [f"f{number}.txt" for number in range(8)]
    wanted = [
        shared.bench.requirements("# comments differ\n" * number + "pkg\n", PY313, name)
        for number, name in enumerate(names)
    ]
    found = shared.ask_all(wanted, backend=backend)
    assert len({id(one) for one in found}) == 1
    assert shared.built == 1
    assert shared.resolved == 1


def test_nothing_is_built_for_nothing(shared: Shared) -> None:
    wanted = shared.bench.requirements("pkg; sys_platform == 'win32'\n", PY313)
    found = shared.ask(wanted)
    assert isinstance(found, DependencySet)
    assert (found.files, shared.resolved, shared.built) == ({}, 0, 0)


def test_what_makes_sets_different(wheelhouse: Wheelhouse, shared: Shared) -> None:
    """Each difference that may change the outcome, and none that may not."""
    house = wheelhouse.folder.as_uri()
    for version in ("1.0", "2.0a1"):
        wheelhouse.wheel("pkg", version)
    bench = shared.bench
    (bench.folder / "constraints.txt").write_text("pkg<3\n")
    texts = [
        "pkg\n",
        "pkg==1.0\n",
        "--pre\npkg\n",
        f"-f {house}\npkg\n",
        "--no-index\npkg\n",
        "--trusted-host host\npkg\n",
        f"--extra-index-url {house}\npkg\n",
        "-c constraints.txt\npkg\n",
    ]
    for count, text in enumerate(texts, start=1):
        for _ in range(2):
            assert isinstance(shared.ask(bench.requirements(text, PY313)), DependencySet)
        assert shared.resolved == count
    plain = bench.requirements("pkg\n", PY313)
    more: list[Mapping[str, object]] = [
        {"target": PY311},
        {"target": Target("python3.13", "arm64")},
        {"target": Target("python3.13", "x86_64", ("manylinux2014_x86_64",))},
        {"backend": "pip"},
        {"work": replace(bench.work(), environ={**bench.environ, "UV_EXCLUDE_NEWER": "2099-01-01"})},
    ]
    for count, how in enumerate(more, start=len(texts) + 1):
        assert isinstance(shared.ask(plain, **how), DependencySet)  # type: ignore[arg-type]
        assert shared.resolved == count
    passing: list[Mapping[str, object]] = [
        {"target": Target("python3.13", "x86_64")},
        {"work": replace(bench.work(), timeout=60.0)},
        {"work": replace(bench.work(), environ={**bench.environ, "API_BASE": "x", "UV_HTTP_TIMEOUT": "9"})},
    ]
    for how in passing:
        assert isinstance(shared.ask(plain, **how), DependencySet)  # type: ignore[arg-type]
    assert shared.resolved == len(texts) + len(more)
    assert shared.built == 3, "two versions with uv, and one with pip: the same wheels are installed once"


def test_tags_that_mean_the_same_are_the_same(wheelhouse: Wheelhouse, shared: Shared) -> None:
    wheelhouse.wheel("pkg")
    wanted = shared.bench.requirements("pkg\n", PY313)
    for tags in ((), ("manylinux_2_34_x86_64",), ("manylinux_2_34_x86_64", "manylinux2014_x86_64")):
        shared.ask(wanted, target=Target("python3.13", "x86_64", tags))
    assert shared.resolved == shared.built == 1


@both
def test_errors_name_the_place_of_each_caller(backend: str, wheelhouse: Wheelhouse, shared: Shared) -> None:
    wheelhouse.sdist("sources")
    wheelhouse.wheel("top")
    texts = {"a.txt": "top\nsources\n", "b.txt": "\n\ntop\n# here:\nsources\n", "c.txt": "top\n\nsources\n"}
    wanted = [shared.bench.requirements(text, PY313, name) for name, text in texts.items()]
    told = [problem(found) for found in shared.ask_all(wanted, backend=backend)]
    assert {one.code for one in told} == {Code.SOURCE_ONLY}
    assert [one.where for one in told] == [
        Where(file="a.txt", line=2),
        Where(file="b.txt", line=5),
        Where(file="c.txt", line=3),
    ]
    assert [str(one.where.file) for one in told] == list(texts)


def test_errors_name_the_constraint_of_each_caller(wheelhouse: Wheelhouse, shared: Shared) -> None:
    wheelhouse.sdist("sources")
    wheelhouse.wheel("top", requires=["sources"])
    wanted = []
    for name in ("a", "b"):
        (shared.bench.folder / f"{name}-limits.txt").write_text("sources==1.0\n")
        wanted.append(shared.bench.requirements(f"top\n-c {name}-limits.txt\n", PY313, f"{name}.txt"))
    places = [problem(found).where for found in map(shared.ask, wanted)]
    assert places == [Where(file="a-limits.txt", line=1), Where(file="b-limits.txt", line=1)]


def test_each_caller_gets_an_error_of_its_own(shared: Shared) -> None:
    """Stages add what they know of their entry to it."""
    wanted = [shared.bench.requirements("absent\n", PY313, name) for name in ("a.txt", "b.txt")]
    first, second = map(shared.ask, wanted)
    assert first is not second


@both
def test_every_file_is_fetched_once(backend: str, shared: Shared) -> None:
    """Several distinct sets at once have wheels in common; an index says that files never change."""
    served = Wheelhouse(shared.bench.folder / "served")
    served.folder.mkdir()
    sets = {"a": ["x", "y", "z"], "b": ["y", "z"], "c": ["z", "x"], "d": ["x", "y", "z", "w"]}
    for name, requires in sets.items():
        served.wheel(name, requires=requires)
    for name in "wxyz":
        served.wheel(name, files={f"{name}.py": name * 100_000})
    shared.bench.environ.pop("PIP_NO_INDEX")
    index = Index(folder=served.folder, delay=0.3)
    with serving(index) as host:
        text = "--index-url http://{host}/simple\n--trusted-host {host}\n{name}\n"  # pip keeps no others
        wanted = [shared.bench.requirements(text.format(host=host, name=name), PY313) for name in sets]
        found = shared.ask_all(wanted, backend=backend)
    for dependencies, (name, requires) in zip(found, sets.items(), strict=True):
        assert isinstance(dependencies, DependencySet)
        assert {wheel.name for wheel in dependencies.wheels} == {name, *requires}
        assert {f"{one}.py" for one in requires} <= dependencies.files.keys()
    assert index.fetched == {f"{name}-1.0-py3-none-any.whl": 1 for name in "abcdwxyz"}
    assert shared.built == len(sets)


def online(shared: Shared, names: str, **how: Any) -> tuple[Index, Wheelhouse]:
    """An index with a wheel of each name."""
    served = Wheelhouse(shared.bench.folder / "served")
    served.folder.mkdir()
    for name in names:
        served.wheel(name, files={f"{name}.py": name * 100_000})
    return Index(folder=served.folder, **how), served


def test_every_file_is_fetched_once_whatever_the_index_says(shared: Shared) -> None:
    """One that says nothing of how long its files are good would have uv fetch them for each set."""
    index, _ = online(shared, "wxyz", lasting=False, delay=0.2)
    sets = ["wxy", "xyz", "wz", "yz"]
    with serving(index) as host:
        text = "--index-url http://{host}/simple\n{lines}\n"
        wanted = [
            shared.bench.requirements(text.format(host=host, lines="\n".join(names)), PY313) for names in sets
        ]
        for number in range(2):
            for found, names in zip(shared.ask_all(wanted), sets, strict=True):
                assert isinstance(found, DependencySet)
                assert {wheel.name for wheel in found.wheels} == set(names)
            assert index.fetched == {f"{name}-1.0-py3-none-any.whl": 1 for name in "wxyz"}
            with ThreadPoolExecutor(4) as pool:  # what is kept is gone, and uv has its cache
                shared.store = Store(Cache(shared.bench.folder / f"another {number}"), pool)
                for one, names in zip(wanted, sets, strict=True):
                    found = shared.ask(one)
                    assert isinstance(found, DependencySet)
                    assert {wheel.name for wheel in found.wheels} == set(names)


@pytest.mark.parametrize(("lines", "again"), [("a==1.0\nx==1.0", False), ("a==1.0", True), ("a\nx", True)])
def test_an_index_is_asked_again_for_what_is_not_pinned(shared: Shared, lines: str, *, again: bool) -> None:
    index, served = online(shared, "x")
    served.wheel("a", requires=["x"])
    with serving(index) as host:
        wanted = shared.bench.requirements(f"--index-url http://{host}/simple\n{lines}\n", PY313)
        assert isinstance(shared.ask(wanted), DependencySet)
        before = dict(index.asked)
        served.wheel("x", "2.0")
        with ThreadPoolExecutor(1) as pool:
            shared.store = Store(Cache(shared.bench.folder / "another"), pool)
            found = shared.ask(wanted)
    assert isinstance(found, DependencySet)
    versions = {wheel.name: wheel.version for wheel in found.wheels}
    assert versions == {"a": "1.0", "x": "2.0" if again else "1.0"}
    assert (dict(index.asked) != before) == again


def test_wheel_that_could_not_be_fetched_blocks_nobody(shared: Shared) -> None:
    served = Wheelhouse(shared.bench.folder / "served")
    served.folder.mkdir()
    changed = served.wheel("changed").name
    for name in ("a", "b"):
        served.wheel(name, requires=["changed"])
    with serving(Index(folder=served.folder, promised={changed: "1" * 64})) as host:
        text = "--index-url http://{host}/simple\n{name}\n"
        wanted = [shared.bench.requirements(text.format(host=host, name=name), PY313) for name in "ab"]
        found = shared.ask_all(wanted)
    assert [problem(one).code for one in found] == [Code.HASH_MISMATCH] * 2


def test_what_is_installed_lies_in_the_cache(wheelhouse: Wheelhouse, shared: Shared) -> None:
    wheelhouse.wheel("Pkg_Name", "1.0")
    order = shared.bench.order(shared.bench.requirements("pkg.name\n", PY313), PY313)
    found = shared.store.dependencies(order)
    folder = shared.store.folder(found, order)
    assert folder.parent == shared.cache.path("trees", found.key)
    assert found.infos == ("Pkg_Name-1.0.dist-info",)
    files = {path: file.read_bytes() for path, file in shared.store.tree(found, order).items()}
    assert found.hashes == {path: sha256(content).hexdigest() for path, content in files.items()}
    assert files == content_of(folder)
    assert found.owner("Pkg_Name/__init__.py") == "pkg-name 1.0"
    assert list(files) == sorted(files)


def test_sets_that_were_tried_are_not_installed_again(wheelhouse: Wheelhouse, shared: Shared) -> None:
    """Whether uv's choice admits the Python is known once it is installed."""
    for version in ("2.0", "3.0", "4.0"):
        wheelhouse.wheel("pkg", version, python="<3.13")
    wheelhouse.wheel("pkg", "1.0")
    found = shared.ask(shared.bench.requirements("pkg\n", PY313))
    assert isinstance(found, DependencySet)
    assert [wheel.version for wheel in found.wheels] == ["1.0"]
    assert not [path for path in found.files if not path.startswith(("pkg/", "pkg-1.0.dist-info/"))]
    before = shared.inodes
    with ThreadPoolExecutor(1) as pool:
        again = Shared(shared.bench, pool)
        assert again.ask(shared.bench.requirements("pkg\n", PY313)) == found
    assert again.inodes == before


def test_only_who_waits_for_work_gives_its_slot_away(wheelhouse: Wheelhouse, shared: Shared) -> None:
    """Not whoever finds a set at hand; nor who reads a file that others may wait for, slot in hand."""
    wheelhouse.wheel("pure", files={"pure/__init__.py": "1\n"})
    given: list[str] = []

    def asking(store: Store, what: str) -> tuple[DependencySet, Order]:
        @contextmanager
        def waiting() -> Iterator[None]:
            given.append(what)
            yield

        wanted = shared.bench.requirements("pure==1.0", PY313)
        order = replace(shared.bench.order(wanted, PY313), waiting=waiting)
        return store.dependencies(order), order

    found, order = asking(shared.store, "made")
    asking(shared.store, "made already")
    shared.store.pack(found, order, "", lambda: None)
    asking(shared.store, "packed already")
    shared.store.pack(found, order, "", lambda: None)
    assert given == ["made", "made"]
    shutil.rmtree(shared.cache.folder / "packs")
    with ThreadPoolExecutor(1) as pool:
        later = Store(shared.cache, pool)
        found, order = asking(later, "kept")
        assert later.read(found, order, "pure/__init__.py", "") == b"1\n"
        assert given == ["made", "made"]
        shutil.rmtree(shared.cache.folder / "trees")
        anew = Store(shared.cache, pool)
        found, order = asking(anew, "unpacked")
        assert (anew.folder(found, order) / "pure/__init__.py").read_bytes() == b"1\n"
    assert given == ["made", "made", "unpacked"]
