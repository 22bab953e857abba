"""What is judged of a dependency set alone, and what is judged of everything together: the same is said."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from elffiles import Elf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from results import job

from lambda_bundle import binaries, hygiene
from lambda_bundle.contents import Contents, Share
from lambda_bundle.copies import File
from lambda_bundle.elf import Binary
from lambda_bundle.errors import Problem
from lambda_bundle.installed import Distribution
from lambda_bundle.process import Children
from lambda_bundle.processes import Processes
from lambda_bundle.reading import Desk, read_one
from lambda_bundle.sets import DependencySet
from lambda_bundle.stage import folders_of
from lambda_bundle.targets import Target
from lambda_bundle.verify import Part, Shelf, part_of, subject, verify

TARGET = Target("python3.13", "arm64")
OTHER = Target("python3.12", "arm64")
LIBRARIES = ("liba.so.1", "libb.so", "libc.so.6", "libcrypt.so.1", "libexpat.so.1")
PATHS = (
    *("liba.so.1", "pkg/libb.so", "pkg/core.abi3.so", "pkg/core.cpython-312-aarch64-linux-gnu.so"),
    *("pkg/core.cpython-313-aarch64-linux-gnu.so", "other/libb.so", "other/liba.so.1", "pkg/tool"),
)
TEXTS = ("pkg/core.py", "pkg/__init__.py", "notes.txt", "libd.so", "other/a\\b.txt", "pkg/liba.so.1", "z.key")


@st.composite
def elves(draw: st.DrawFn) -> Binary:
    machine = draw(st.sampled_from(["aarch64", "aarch64", "aarch64", "x86_64"]))
    needed = tuple(draw(st.lists(st.sampled_from(LIBRARIES), max_size=2, unique=True)))
    version = draw(st.sampled_from(["GLIBC_2.17", "GLIBC_2.17", "GLIBC_2.99"]))
    return Binary(
        machine=machine,
        bits=64,
        type=draw(st.sampled_from(["shared", "shared", "executable"])),
        soname=draw(st.sampled_from([None, "liba.so.1", "libb.so"])),
        needed=needed,
        versions={name: (version,) for name in needed if name == "libc.so.6"},
        init=draw(st.booleans()),
        portable=draw(st.sampled_from([False, False, True])),
    )


Elves = st.dictionaries(st.sampled_from(PATHS), elves(), max_size=4)
Names = st.sets(st.sampled_from(TEXTS), max_size=4)


def a_set(name: str, found: Mapping[str, Binary], texts: Iterable[str]) -> DependencySet:
    files = {path: File(1, 0o644, "") for path in sorted({*found, *texts, "d.dist-info/METADATA"})}
    one = Distribution(
        name="d",
        version="1",
        requires_python=">=3.13",
        requires=("gone",),
        extras=(),
        info="d.dist-info",
        files={},
    )
    return DependencySet(
        key=name,
        files=files,
        size=len(files),
        hashes=dict.fromkeys(files, ""),
        folders=folders_of(files),
        distributions=(one,),
        owners=dict.fromkeys(files, 0),
        binaries=found,
    )


def a_share(found: DependencySet, target: Target, site: str, gone: Iterable[str] = ()) -> Share:
    kept = found.files.keys() - set(gone)
    return Share(
        target=target,
        site=site,
        order=cast("Any", None),
        found=found,
        kept=kept,
        read=lambda path: f"# {path}\n".encode(),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("own")
    (made / "text").write_text("x = 1\n")
    (made / "elf").write_bytes(Elf(machine="aarch64", needed=["liba.so.1", "libz9.so"]).write())
    return made


def together(contents: Contents, target: Target) -> Part:
    """Everything in an artifact as one part, of which nothing is known."""
    share = contents.share(target)
    files = {path for one in contents.shares for path, _ in one.files} | set(contents.own)
    others = tuple(one.site for one in contents.shares if one is not share)
    mine = {path: file for path, file in contents.own.items() if not path.startswith(others)}
    theirs = {f"{share.site}{path}": one for path, one in share.found.binaries.items() if path in share.kept}
    metadata = f"{share.site}d.dist-info/METADATA"
    code = {f"{share.site}{path}" for path in share.found.files} - {metadata}
    is_left = bool(files & (code or {metadata}))
    return Part(
        files=frozenset(files),
        folders=frozenset(folders_of(files)),
        names=tuple(hygiene.names(sorted(files))),
        binaries={**theirs, **binaries.inspect(mine)},
        distributions=share.found.distributions if is_left else (),
    )


def both_ways(contents: Contents, folder: Path, target: Target) -> tuple[Problem, ...]:
    """What is said, which must be the same whatever is known of the parts."""
    children = Children()
    processes = Processes(children, os.environ, folder, 1)
    desk = Desk(children=children, environ=os.environ, scratch=folder, processes=processes)
    known: dict[tuple[str, str, Target], Part] = {}

    def part(share: Share, target: Target) -> Part:
        key = (share.found.key, share.site, target)
        if key not in known:
            known[key] = part_of(share, target)
        return known[key]

    shelf = Shelf(part=part, read=lambda share, path, target: read_one(share.read(path), target))
    shared = subject(contents, target, shelf)
    plain = replace(
        shared,
        content=replace(shared.content, parts=(together(contents, target),)),
        layers=tuple(
            replace(one, parts=(together(layer, target),))
            for one, layer in zip(shared.layers, contents.layers, strict=True)
        ),
    )
    with closing(processes):
        first = verify(shared, desk)
        assert first == verify(plain, desk)
    assert {path: shared.owner(path) for path in TEXTS} == {path: plain.owner(path) for path in TEXTS}
    assert sorted(shared.content.files) == sorted(plain.content.files)
    return first


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=Elves,
    texts=Names,
    own=st.dictionaries(
        st.sampled_from((*PATHS, *TEXTS)), st.sampled_from(["text", "text", "elf"]), max_size=3
    ),
    gone=st.sets(st.sampled_from((*PATHS, *TEXTS)), max_size=1),
    layer=st.none() | st.tuples(Elves, Names),
    several=st.booleans(),
)
def test_parts_and_the_whole(
    folder: Path,
    found: dict[str, Binary],
    texts: set[str],
    own: dict[str, str],
    gone: set[str],
    layer: tuple[dict[str, Binary], set[str]] | None,
    several: bool,
) -> None:
    """Own files, binaries among them, beside a set; files that a hook removed; a layer for two runtimes."""
    made = job(folder / "dist", "api")

    def contents(number: int, found: dict[str, Binary], texts: set[str], *layers: Contents) -> Contents:
        one = a_set(f"set {number}", found, texts)
        mine = {path: folder / kind for path, kind in sorted(own.items())} if not number else {}
        shares = [a_share(one, TARGET, "", gone)]
        here = made
        if number and several:
            here = replace(made, target=TARGET, further=(OTHER,))
            sites = [f"lib/python3.{minor}/site-packages/" for minor in (13, 12)]
            shares = [a_share(one, target, site) for target, site in zip((TARGET, OTHER), sites, strict=True)]
        kept = {path for share in shares for path, _ in share.files}
        return Contents(
            job=replace(here, before=("true",), handler=None),
            seen={},
            folders={},
            own={path: file for path, file in mine.items() if path not in kept},
            shares=tuple(shares),
            layers=layers,
        )

    layers = () if layer is None else (contents(1, *layer),)
    both_ways(contents(0, found, texts, *layers), folder, TARGET)
    for one in layers:
        both_ways(one, folder, TARGET)
        if several:
            both_ways(one, folder, OTHER)


def test_what_is_sound_alone_is_not_what_is_judged_with_more(folder: Path) -> None:
    """Files beside a set can be what it lacks, and other binaries can need what nobody has."""
    library = Binary(machine="aarch64", bits=64, type="shared", soname="liba.so.1")
    alone = a_set("alone", {"liba.so.1": library}, ())
    share = a_share(alone, TARGET, "")
    assert part_of(share, TARGET).is_sound
    lacking = a_set("lacking", {"pkg/core.abi3.so": replace(library, soname=None, needed=("liba.so.1",))}, ())
    assert not part_of(a_share(lacking, TARGET, ""), TARGET).is_sound
    cases: list[tuple[DependencySet, dict[str, Path], int]] = [
        (alone, {}, 0),
        (alone, {"pkg/mine.abi3.so": folder / "elf"}, 1),  # it needs another library as well
        (lacking, {}, 1),
        (lacking, {"lib/liba.so.1": folder / "text"}, 0),
    ]
    for found, own, said in cases:
        contents = Contents(
            job=job(folder / "dist", handler=None, before=("true",)),
            seen={},
            folders={},
            own=own,
            shares=(a_share(found, TARGET, ""),),
        )
        problems = both_ways(contents, folder, TARGET)
        assert [one.code.name for one in problems].count("LIBRARY_MISSING") == said
