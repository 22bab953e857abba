"""Wheels are installed once in a run, and no set can tell what was installed before it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from threading import Barrier

import pytest
from wheelhouse import Wheelhouse, elf
from workbench import Workbench, both

from lambda_bundle.cache import Cache
from lambda_bundle.errors import BundleError
from lambda_bundle.lock import Wheel
from lambda_bundle.orders import Order
from lambda_bundle.pieces import Pieces
from lambda_bundle.sets import DependencySet
from lambda_bundle.spool import Spool
from lambda_bundle.store import Store
from lambda_bundle.targets import Target

X86, ARM = Target("python3.13", "x86_64"), Target("python3.13", "arm64")


@pytest.fixture
def bench(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workbench:
    """Wheels of which some bring the same paths, with the same content or another."""
    wheelhouse.wheel("plain", files={"plain/__init__.py": "1\n", "space/__init__.py": ""})
    wheelhouse.wheel("equal", files={"equal.py": "2\n", "space/__init__.py": ""})
    wheelhouse.wheel("other", files={"other.py": "3\n", "plain/__init__.py": "another\n"})
    wheelhouse.wheel("alone", files={"alone.py": "4\n", "alone.data/scripts/run": "#!/bin/sh\n"})
    for machine in ("x86_64", "aarch64"):
        files = {"native/ext.so": elf(machine)}
        wheelhouse.wheel("native", tag=f"cp313-cp313-manylinux_2_17_{machine}", files=files)
    return Workbench(tmp_path, environ)


def installed_folders(cache: Cache) -> list[str]:
    """The .dist-info folders of what is installed for the run, one for each time."""
    return sorted(path.name for path in cache.folder.glob("trees/.*/tree/*.dist-info"))


def ask(store: Store, bench: Workbench, names: Sequence[str], target: Target, backend: str) -> DependencySet:
    wanted = bench.requirements("".join(f"{name}\n" for name in names), target)
    return store.dependencies(bench.order(wanted, target, backend))


def packed(store: Store, bench: Workbench, found: DependencySet, target: Target) -> bytes:
    """Every byte of the compressed form."""
    order = bench.order(bench.requirements("", target), target)
    return store.pack(found, order, "", lambda: None).content.read_bytes()


@both
def test_what_several_sets_need_is_installed_once(backend: str, bench: Workbench) -> None:
    cache = Cache(bench.folder / "store")
    with ThreadPoolExecutor(2) as pool:
        store = Store(cache, pool)
        for target, machine in ((X86, "x86_64"), (ARM, "aarch64")):
            for names in (["alone", "native"], ["alone", "equal", "native"]):
                found = ask(store, bench, names, target, backend)
                assert {one.name for one in found.distributions} == set(names)
                assert found.binaries["native/ext.so"].machine == machine
        names = ["alone", "equal", "native", "native"]
        assert installed_folders(cache) == [f"{name}-1.0.dist-info" for name in names]
        store.close()
    for kind in ("trees", "packs"):
        assert not list((cache.folder / kind).iterdir())


@pytest.mark.parametrize("last", [["other", "alone"], ["plain", "equal"], ["plain", "other"]], ids="-".join)
def test_no_set_can_tell_what_was_there_before(bench: Workbench, last: list[str]) -> None:
    """Distributions that bring the same path: what a RECORD says of it depends on who is in the set."""
    with ThreadPoolExecutor(2) as pool:
        fresh = Store(Cache(bench.folder / "fresh"), pool)
        expected = ask(fresh, bench, last, X86, "uv")
        content = packed(fresh, bench, expected, X86)
        for number, before in enumerate(
            permutations([["plain"], ["equal"], ["other", "plain"], ["alone"]], 2)
        ):
            store = Store(Cache(bench.folder / str(number)), pool)
            for names in before:
                ask(store, bench, names, X86, "uv")
            assert ask(store, bench, last, X86, "uv") == expected
            assert packed(store, bench, expected, X86) == content
            assert packed(store, bench, ask(store, bench, before[0], X86, "uv"), X86)


@both
def test_many_who_want_the_same_at_once(backend: str, bench: Workbench) -> None:
    """Nobody waits for what nobody installs, and everything is installed once."""
    some = [["alone", "native"], ["native", "equal"], ["equal", "alone"], ["alone", "equal", "native"]]
    wanted = [bench.requirements("\n".join(names), X86, f"{number}.txt") for number, names in enumerate(some)]
    orders = [bench.order(one, X86, backend) for one in wanted]
    resolved = [order.resolve(()) for order in orders]
    cache, together = Cache(bench.folder / "cache"), Barrier(len(some))
    pieces = Pieces(cache, Spool(lambda: bench.folder))

    def get(order: Order, wheels: Sequence[Wheel]) -> set[str]:
        together.wait()
        return {piece.distribution.name for piece in pieces.get(order, wheels) if piece.distribution}

    with ThreadPoolExecutor(len(some)) as callers:
        assert list(callers.map(get, orders, resolved)) == [set(names) for names in some]
    assert installed_folders(cache) == [f"{name}-1.0.dist-info" for name in ("alone", "equal", "native")]


def test_what_fails_is_tried_again_by_whoever_needs_it(bench: Workbench) -> None:
    """A wheel that cannot be installed takes those beside it along, and nobody else."""
    wanted = bench.requirements("alone\n", X86)
    alone = bench.order(wanted, X86, "uv").resolve(())
    filename = "broken-1.0-py3-none-any.whl"
    url = (bench.folder / filename).as_uri()
    wheels = [*alone, Wheel(name="broken", version="1.0", filename=filename, url=url, sha256=None)]
    pieces, together = Pieces(Cache(bench.folder / "cache"), Spool(lambda: bench.folder)), Barrier(4)

    def get(wheels: Sequence[Wheel]) -> bool:
        together.wait()
        try:
            return bool(pieces.get(bench.order(wanted, X86, "uv"), wheels))
        except BundleError:
            return False

    with ThreadPoolExecutor(4) as callers:
        assert list(callers.map(get, [wheels, alone, wheels, alone])) == [False, True, False, True]
