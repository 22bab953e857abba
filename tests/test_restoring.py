"""Zips that are gone are the same when they come back: put together again where that can be, else built."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from loopback import Index, serving
from wheelhouse import Wheelhouse
from workshop import Workshop, one_function, told, wheels

from lambda_bundle import BundleError, Code, Job, Progress
from lambda_bundle.cache import KINDS, Cache
from lambda_bundle.errors import Stage
from lambda_bundle.freshness import KIND


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workshop:
    """A function with a dependency."""
    return one_function(tmp_path / "repo", environ, wheelhouse)


def cut_off(workshop: Workshop) -> None:
    """From now on nothing can be installed: there are no wheels, and no cache but records and packs."""
    for folder in ("UV_FIND_LINKS", "UV_CACHE_DIR"):
        emptied(Path(workshop.environ[folder]))
    for kind in set(KINDS) - {KIND, "packs"}:
        shutil.rmtree(Cache.of(workshop.environ).folder / kind, ignore_errors=True)


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def gone(workshop: Workshop) -> dict[str, bytes]:
    """Remove the output folder; what was in it."""
    before = files(workshop.output)
    shutil.rmtree(workshop.output)
    return before


def test_nothing_is_needed_but_packs_and_sources(workshop: Workshop) -> None:
    workshop.write({"bare/app.py": "def handler(event, context): ...\n"})
    workshop.declare(
        {"api": {}, "other": {"arch": "x86_64"}, "bare": {"entry": "bare"}},
        {"common": {"runtimes": ["python3.12", "python3.13"]}},
    )
    first = workshop.bundle(force=False)
    assert {name: told(result) for name, result in first.items()} == {name: [] for name in first}
    before = gone(workshop)
    cut_off(workshop)
    again = workshop.bundle(force=False)
    assert [(one.status, one.reasons) for one in again.values()] == [
        ("built", (f"dist/{name}.zip is missing",)) for name in first
    ]
    assert [one.problems for one in again.values()] == [one.problems for one in first.values()]
    assert files(workshop.output) == before
    assert {one.status for one in workshop.bundle(force=False).values()} == {"fresh"}


def test_what_somebody_changed_is_replaced(workshop: Workshop) -> None:
    workshop.bundle(force=False)
    before = files(workshop.output)
    cut_off(workshop)
    (workshop.output / "api.zip").write_bytes(b"no zip")
    assert workshop.bundle(force=False)["api"].reasons == ("dist/api.zip is not what was built",)
    assert files(workshop.output) == before
    (workshop.output / "manifest.json").unlink()
    (workshop.output / "api").mkdir()  # not ours: no manifest lists it
    assert workshop.bundle(force=False)["api"].status == "built"
    (workshop.output / "api").rmdir()
    assert files(workshop.output) == before


def test_what_is_not_gone_is_left_alone(workshop: Workshop) -> None:
    workshop.declare({"api": {}, "other": {}, "broken": {"handler": "app.nothing"}})
    workshop.bundle(force=False)
    (workshop.output / "api.zip").unlink()
    before = (workshop.output / "other.zip").stat()
    results = workshop.bundle(force=False)
    assert [one.status for one in results.values()] == ["built", "fresh", "failed"]
    assert (workshop.output / "other.zip").stat() == before
    assert list(workshop.manifest) == ["api", "other"]


# --- where it must be built


def damaged(cache: Path) -> None:
    (pack,) = (cache / "packs").iterdir()
    content = bytearray((pack / "members").read_bytes())
    content[len(content) // 2] ^= 1
    (pack / "members").write_bytes(content)


def another_hash(cache: Path) -> None:
    (record,) = (cache / KIND).glob("*/api.json")
    document = Cache.read(record)
    document["artifact"]["archived"]["sha256"] = "0" * 64
    Cache(cache.parent).write(record, document)


@pytest.mark.parametrize(
    "spoil",
    [lambda cache: shutil.rmtree(cache / "packs"), damaged, another_hash],
    ids=["no pack", "damaged pack", "another hash"],
)
def test_what_does_not_come_out_the_same_is_built(
    workshop: Workshop, spoil: Callable[[Path], object]
) -> None:
    workshop.bundle(force=False)
    before = gone(workshop)
    spoil(Cache.of(workshop.environ).folder)
    assert workshop.bundle(force=False)["api"].status == "built"
    assert files(workshop.output) == before
    before = gone(workshop)
    cut_off(workshop)  # what was spoiled is whole again
    assert workshop.bundle(force=False)["api"].status == "built"
    assert files(workshop.output) == before


@pytest.mark.skipif(os.name == "nt", reason="these hooks are for POSIX shells")
@pytest.mark.parametrize("when", ["before", "after"])
def test_hooks_run_again(workshop: Workshop, when: str) -> None:
    count = workshop.root / "count"
    workshop.declare({"api": {f"hooks.{when}": [f"echo . >> '{count}'"]}})
    workshop.bundle(force=False)
    before = gone(workshop)
    assert workshop.bundle(force=False)["api"].status == "built"
    assert count.read_text() == ".\n.\n"
    assert files(workshop.output) == before


@pytest.mark.parametrize("hashed", [True, False])
def test_an_index_without_hashes_is_asked_again(
    workshop: Workshop, wheelhouse: Wheelhouse, hashed: bool
) -> None:
    """Nobody knows what it gives next time. (uv looks what the hash is.)"""
    workshop.declare({"api": {"backend": "pip"}})
    (wheel,) = wheelhouse.folder.iterdir()
    index = Index(folder=wheelhouse.folder, promised={} if hashed else {wheel.name: ""})
    with serving(index) as host:
        environ = {"PIP_INDEX_URL": f"http://{host}/simple", "PIP_FIND_LINKS": "", "PIP_NO_INDEX": "0"}
        assert told(workshop.bundle(force=False, environ=environ)["api"]) == []
        before = index.asked.total()
        shutil.rmtree(workshop.output)
        assert workshop.bundle(force=False, environ=environ)["api"].status == "built"
    assert (index.asked.total() == before) == hashed


def test_what_is_asked_for_besides(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    workshop.bundle(force=False)
    wheelhouse.wheel("pure", "1.1", files={"pure/__init__.py": "2\n"})
    gone(workshop)
    workshop.bundle(force=False)
    assert wheels(workshop) == [("pure", "1.0")]
    gone(workshop)
    workshop.bundle(force=False, upgrade=True)
    assert wheels(workshop) == [("pure", "1.1")]
    gone(workshop)
    result = workshop.bundle(force=False, locked=True)["api"]
    assert (result.status, [one.code for one in result.problems]) == ("failed", [Code.LOCK_MISSING])


def test_layers_that_carry_something_else_by_now(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    workshop.write({"common/requirements.txt": "pure\n"})
    both = {"api": {"layers": ["common"]}, "other": {"layers": ["common"]}}
    workshop.declare(both, {"common": {"entry": "common"}})
    workshop.bundle(force=False)
    before = gone(workshop)
    cut_off(workshop)
    assert {one.status for one in workshop.bundle(force=False).values()} == {"built"}
    assert files(workshop.output) == before
    wheelhouse.wheel("pure", "1.1", files={"pure/__init__.py": "2\n"})
    assert workshop.bundle("common", force=False, upgrade=True)["common"].status == "built"
    gone(workshop)
    artifact = workshop.bundle("api", force=False)["api"].artifact
    assert artifact is not None
    assert [(one.name, one.version) for one in artifact.left_out] == [("pure", "1.1")]


# --- what comes between


class Between(Progress):
    """Does something when so many jobs have begun to be put together again."""

    def __init__(self, action: Callable[[], object], count: int = 1) -> None:
        self._action, self._left = action, count

    def entered(self, job: Job, stage: Stage) -> None:
        self._left -= 1
        if not self._left:
            assert stage == "archive", job
            self._action()


def test_source_that_goes_meanwhile(workshop: Workshop) -> None:
    workshop.bundle(force=False)
    gone(workshop)
    data = workshop.root / "src" / "pkg" / "data.txt"
    result = workshop.bundle(force=False, progress=Between(data.unlink))["api"]
    assert result.status == "built"
    assert workshop.bundle(force=False)["api"].status == "fresh"
    without = gone(workshop)
    workshop.bundle()
    assert files(workshop.output) == without


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
def test_interrupted(workshop: Workshop) -> None:
    names = [f"f{number}" for number in range(20)]
    workshop.declare({name: {} for name in names})
    workshop.bundle(force=False)
    before = gone(workshop)

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)  # until it is heard

    with pytest.raises(KeyboardInterrupt):
        workshop.bundle(force=False, progress=Between(interrupt, 5), workers=1)
    there = files(workshop.output)
    assert {"manifest.json", *(f"{name}.zip" for name in workshop.manifest)} == there.keys() < before.keys()
    assert all(there[name] == before[name] for name in there.keys() - {"manifest.json"})
    workshop.bundle(force=False)
    assert files(workshop.output) == before


def test_output_folder_that_cannot_be(workshop: Workshop) -> None:
    workshop.bundle(force=False)
    gone(workshop)
    workshop.output.write_text("a file")
    with pytest.raises(BundleError) as caught:
        workshop.bundle(force=False)
    assert [one.code for one in caught.value.problems] == [Code.OUTPUT_UNWRITABLE]
    assert workshop.output.read_text() == "a file"
