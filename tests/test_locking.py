"""`invoke lock` writes down what requirements stand for; bundling holds on to that, or says why it cannot."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st
from localcode import archive, commit, project, released, repository
from packaging.pylock import Pylock
from projects import TASKS, Project, functions
from wheelhouse import Wheelhouse, sha256
from workbench import uv_and_at_length_pip
from workshop import Workshop

from lambda_bundle import BundleError, Code, Problem, load, plan
from lambda_bundle.errors import Where
from lambda_bundle.lock import Origin, Source, Wheel, pick
from lambda_bundle.lockfile import Paper, Resolved, asked, check, is_current, render
from lambda_bundle.pool import lock
from lambda_bundle.projects import Place
from lambda_bundle.pylock import choose
from lambda_bundle.reqfile import read
from lambda_bundle.result import Locked
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Requirements

HANDLER = "def handler(event, context): ...\n"
BACKENDS = ("uv", "pip")
FOREIGN = 'lock-version = "1.0"\ncreated-by = "hand"\npackages = []\n'


@dataclass(frozen=True)
class Shop(Workshop):
    """A workshop that locks, too."""

    def ended(self, *only: str, upgrade: bool = False, **environ: str) -> dict[str, Locked]:
        jobs = plan(load(self.root / "bundles.toml"), only or ("*",))
        found = lock(jobs, workers=2, upgrade=upgrade, environ={**self.environ, **environ})
        return {one.job.name: one for one in found}

    def lock(self, name: str = "api", **options: Any) -> str:
        """Lock, and give the text; it must have been written, and be what PEP 751 describes."""
        one = self.ended(name, **options)[name]
        assert {problem.code for problem in one.problems} <= {Code.UNLOCKABLE}  # the wheels are elsewhere
        assert (one.status, one.path) == ("locked", self.path(name))
        text = self.path(name).read_text(encoding="utf-8")
        Pylock.from_dict(tomli.loads(text)).validate()
        assert str(self.root.parent) not in text
        return text

    def keeps(self, name: str = "api") -> Locked:
        """Lock again; nothing may be written."""
        before = self.path(name).stat()
        one = self.ended(name)[name]
        assert one.status == "kept"
        assert self.path(name).stat() == before
        return one

    def refuses(self, name: str = "api", **options: Any) -> Problem:
        """The one problem that keeps a lock from being written."""
        one = self.ended(name, **options)[name]
        assert (one.status, one.path) == ("failed", None)
        (problem,) = one.problems
        return problem

    def path(self, name: str = "api") -> Path:
        return self.root / f"src/pylock.{name}.toml"

    def versions(self, name: str = "api") -> dict[str, str | None]:
        packages = tomli.loads(self.path(name).read_text(encoding="utf-8"))["packages"]
        return {one["name"]: one.get("version") for one in packages}

    def wheels(self, name: str = "api", **options: Any) -> list[str]:
        """What a bundle gets; nothing may be said of it."""
        result = self.bundle(name, **options)[name]
        assert [f"{one.where}: {one.message}" for one in result.problems] == []
        assert result.artifact is not None
        return [wheel.filename for wheel in result.artifact.wheels]

    def spoil(self, old: str, new: str, name: str = "api") -> None:
        text = self.path(name).read_text(encoding="utf-8")
        assert old in text
        self.path(name).write_text(text.replace(old, new), encoding="utf-8")

    def problem(self, name: str = "api", **options: Any) -> Problem:
        """The one problem that keeps an artifact from being built."""
        (problem,) = self.fail(name, **options)
        return problem


@pytest.fixture
def shop(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Shop:
    """A function that asks for one package, of which there are two versions and which needs another."""
    wheelhouse.wheel("pure", "1.0", requires=["other>=1", "windows; sys_platform == 'win32'"])
    wheelhouse.wheel("other", "2.0")
    wheelhouse.wheel("other", "2.0", "cp313-cp313-manylinux_2_28_aarch64", files={"other/fast.py": "1\n"})
    wheelhouse.wheel("other", "2.0", "cp313-cp313-manylinux_2_28_x86_64", files={"other/slow.py": "1\n"})
    made = Shop(tmp_path / "repo", environ)
    made.write({"src/app.py": HANDLER, "src/requirements.txt": "pure\n"})
    made.declare({"api": {}})
    return made


PURE = "pure-1.0-py3-none-any.whl"
OTHER = "other-2.0-cp313-cp313-manylinux_2_28_aarch64.whl"

# --- from requirements to a bundle


@pytest.mark.parametrize(("locking", "bundling"), [BACKENDS, BACKENDS[::-1]])
def test_what_one_backend_locks_the_other_bundles(locking: str, bundling: str, shop: Shop) -> None:
    shop.declare({"api": {"backend": locking}})
    unlocked = shop.build()["api"]
    text = shop.lock()
    (package, _) = tomli.loads(text)["packages"]
    assert [one["name"] for one in package["wheels"]] == [OTHER]
    shop.declare({"api": {"backend": bundling}})
    locked = shop.build()["api"]
    assert locked.pop("pylock.api.toml") == text.encode()
    assert locked == unlocked
    shop.path().unlink()
    assert shop.lock() == text


def test_it_says_what_it_is_for(shop: Shop) -> None:
    document = tomli.loads(shop.lock())
    assert document["lock-version"] == "1.0"
    assert document["created-by"] == "lambda-bundle"
    assert document["requires-python"] == "==3.13.*"
    (environment,) = Pylock.from_dict(document).environments or ()
    assert environment.evaluate(Target("python3.13", "arm64").markers)
    assert not environment.evaluate(Target("python3.13", "x86_64").markers)
    assert not environment.evaluate(Target("python3.12", "arm64").markers)
    assert shop.versions() == {"other": "2.0", "pure": "1.0"}


def test_newer_versions_come_in_when_they_are_asked_for(shop: Shop, wheelhouse: Wheelhouse) -> None:
    shop.lock()
    wheelhouse.wheel("pure", "1.1")
    assert shop.keeps().packages == 2
    assert shop.wheels(upgrade=True) == [OTHER, PURE]
    wheelhouse.wheel("pure", "1.2", requires=["more"])
    wheelhouse.wheel("more", "3.0")
    assert shop.ended(upgrade=True)["api"].changes == (
        ("more", None, "3.0"),
        ("other", "2.0", None),
        ("pure", "1.0", "1.2"),
    )
    assert shop.ended(upgrade=True)["api"].changes == ()
    assert shop.versions() == {"more": "3.0", "pure": "1.2"}
    assert shop.wheels() == ["more-3.0-py3-none-any.whl", "pure-1.2-py3-none-any.whl"]


def test_versions_stay_when_something_else_is_asked_for_too(shop: Shop, wheelhouse: Wheelhouse) -> None:
    shop.lock()
    wheelhouse.wheel("pure", "1.1")
    wheelhouse.wheel("more", "3.0")
    shop.write({"src/requirements.txt": "pure\nmore\n"})
    shop.lock()
    assert shop.versions() == {"more": "3.0", "other": "2.0", "pure": "1.0"}
    shop.write({"src/requirements.txt": "pure>1.0\nmore\n"})
    shop.lock()
    assert shop.versions() == {"more": "3.0", "pure": "1.1"}


def test_versions_that_do_not_fit_any_more_are_chosen_anew(shop: Shop, wheelhouse: Wheelhouse) -> None:
    shop.lock()
    wheelhouse.wheel("pure", "1.1")
    wheelhouse.wheel("more", "3.0", requires=["other<2"])
    wheelhouse.wheel("other", "1.5")
    shop.write({"src/requirements.txt": "pure\nmore\n"})
    one = shop.ended()["api"]
    assert one.status == "locked"
    warning, _ = one.problems
    assert (warning.code, warning.severity) == (Code.LOCK_ANEW, "warning")
    assert shop.versions() == {"more": "3.0", "other": "1.5", "pure": "1.1"}


def test_an_error_of_the_requirements_leaves_the_lock_as_it_is(shop: Shop) -> None:
    text = shop.lock()
    shop.write({"src/requirements.txt": "pure\nnot-there\n"})
    assert shop.refuses().code is Code.PACKAGE_NOT_FOUND
    assert shop.path().read_text(encoding="utf-8") == text


def test_hashes_that_the_requirements_list(shop: Shop) -> None:
    shop.lock()
    hashes = {
        file["name"]: file["hashes"]["sha256"]
        for one in tomli.loads(shop.path().read_text(encoding="utf-8"))["packages"]
        for file in one["wheels"]
    }
    assert hashes.keys() == {PURE, OTHER}
    listed = f"pure==1.0 --hash=sha256:{hashes[PURE]}\nother==2.0 --hash=sha256:{hashes[OTHER]}\n"
    shop.write({"src/requirements.txt": listed})
    shop.lock()
    assert shop.wheels() == [OTHER, PURE]
    shop.spoil(hashes[PURE], "00" * 32)
    assert shop.problem(environ={"UV_CACHE_DIR": str(shop.root.parent / "new")}).code is Code.HASH_MISMATCH


def test_files_outside_of_the_repository_are_told(shop: Shop) -> None:
    """Nobody else has them; those within are fine."""
    (warning,) = shop.ended()["api"].problems
    assert (warning.code, warning.severity) == (Code.UNLOCKABLE, "warning")
    assert warning.where.file == "src/pylock.api.toml"
    assert warning.message.endswith(f"outside of the repository: {OTHER} and 1 more")
    shutil.copytree(shop.environ["UV_FIND_LINKS"], shop.root / "wheels")
    within = str(shop.root / "wheels")
    assert shop.ended(upgrade=True, UV_FIND_LINKS=within)["api"].problems == ()


def test_locks_of_others_are_no_sources(shop: Shop) -> None:
    """Functions that share an entry would change with each other's locks."""
    shop.declare({"api": {}, "more": {"include": ["pylock.api.toml"]}, "third": {}})
    shop.ended()
    found = {name: {path for path in one if path.startswith("pylock.")} for name, one in shop.build().items()}
    assert found == {
        "api": {"pylock.api.toml"},
        "more": {"pylock.api.toml", "pylock.more.toml"},
        "third": {"pylock.third.toml"},
    }


def test_what_is_skipped_is_not_in_it(shop: Shop) -> None:
    shop.declare({"api": {"skip": ["other"]}})
    shop.lock()
    assert shop.versions() == {"pure": "1.0"}
    assert shop.wheels() == [PURE]
    shop.declare({"api": {}})
    assert shop.problem().code is Code.LOCK_STALE
    shop.declare({"api": {"skip": ["nobody"]}})
    warning, _ = shop.ended()["api"].problems
    assert warning.code is Code.SKIP_UNUSED


def test_requirements_that_a_hook_writes(shop: Shop) -> None:
    (shop.root / "src/requirements.txt").unlink()
    hook = {"hooks": {"before": ["echo pure > requirements.txt"]}}
    shop.declare({"api": {}})
    text = (shop.root / "bundles.toml").read_text(encoding="utf-8")
    shop.write({"bundles.toml": f"{text}hooks.before = {hook['hooks']['before']}\n"})
    shop.lock()
    assert not (shop.root / "src/requirements.txt").exists()
    assert shop.wheels() == [OTHER, PURE]


def test_nothing_but_the_lock_is_written(shop: Shop) -> None:
    before = set(shop.root.rglob("*"))
    shop.lock()
    assert set(shop.root.rglob("*")) == {*before, shop.path()}


# --- what does not match


def test_a_lock_that_is_older_than_its_requirements(shop: Shop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("more")
    shop.lock()
    shop.write({"src/requirements.txt": "# of interest for people only\n\npure  # indeed\n"})
    assert shop.wheels() == [OTHER, PURE]
    shop.keeps()
    for changed in ("pure>=1\n", "pure[fast]\n", "pure\nmore\n", "-c limits.txt\npure\n", "--pre\npure\n"):
        shop.write({"src/requirements.txt": changed, "src/limits.txt": "other<3\n"})
        problem = shop.problem(force=False)
        assert problem.code is Code.LOCK_STALE, changed
        assert problem.where.file == "src/pylock.api.toml"
        assert problem.hint == "run `invoke lock --only api`"
        assert "src/requirements.txt" in problem.message
    shop.lock()
    assert shop.bundle(force=False)["api"].status == "built"
    assert shop.bundle(force=False)["api"].status == "fresh"


@pytest.mark.parametrize(
    "values", [{"runtime": "python3.12"}, {"arch": "x86_64"}, {"tags": ["manylinux_2_17_aarch64"]}]
)
def test_a_lock_for_another_target(values: dict[str, Any], shop: Shop) -> None:
    shop.lock()
    shop.declare({"api": values})
    problem = shop.problem()
    assert problem.code is Code.LOCK_UNSUITABLE
    assert "python3.13 on arm64 (manylinux_2_34_aarch64)" in problem.message
    assert problem.hint == "run `invoke lock --only api`"
    shop.lock()
    assert PURE in shop.wheels()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('[[packages]]\nname = "pure"', '<<<<<<< HEAD\n[[packages]]\nname = "pure"'),
        ("sha256 = ", "sha256 = 1 #"),
        ('name = "pure"\n', ""),
        ("format = 1", "format = 99"),
        ("runtime = ", "running = "),
        ("[[tool.lambda-bundle.targets]]", "[tool.lambda-bundle.targets]"),
    ],
)
def test_a_damaged_lock(old: str, new: str, shop: Shop) -> None:
    text = shop.lock()
    shop.spoil(old, new)
    problem = shop.problem()
    assert problem.code in {Code.LOCK_INVALID, Code.LOCK_UNSUITABLE}
    assert problem.hint == "run `invoke lock --only api`"
    assert shop.lock() == text


def test_a_wheel_that_is_not_what_was_locked(shop: Shop) -> None:
    (shop.root / "src/wheels").mkdir()
    house = Wheelhouse(shop.root / "src/wheels")
    house.wheel("own", requires=["pure"])
    shop.write({"src/requirements.txt": "./wheels/own-1.0-py3-none-any.whl\n"})
    text = shop.lock()
    assert 'path = "wheels/own-1.0-py3-none-any.whl"' in text
    assert shop.bundle(force=False)["api"].status == "built"
    house.wheel("own", files={"own.py": "2\n"})
    assert shop.problem(force=False).code is Code.LOCK_STALE
    shop.lock()
    assert shop.versions() == {"own": "1.0"}


def test_requirements_that_are_gone(shop: Shop) -> None:
    shop.lock()
    (shop.root / "src/requirements.txt").unlink()
    for problem in (shop.problem(), shop.refuses()):
        assert problem.code is Code.LOCK_STALE
        assert problem.hint == "remove it, or write the requirements again"


def test_another_lock_beside_it(shop: Shop) -> None:
    shop.lock()
    shop.write({"src/pylock.toml": FOREIGN})
    for problem in (shop.problem(), shop.refuses()):
        assert problem.code is Code.LOCK_STALE
        assert "src/pylock.toml is a lock by itself" in problem.message


def test_requirements_that_list_nothing_any_more(shop: Shop) -> None:
    shop.lock()
    shop.write({"src/requirements.txt": "# nothing\n"})
    assert shop.problem().code is Code.LOCK_STALE
    shop.lock()
    assert shop.versions() == {}
    assert shop.wheels(locked=True) == []


# --- which file is meant


def test_a_lock_of_another_tool_is_left_alone(shop: Shop) -> None:
    shop.write({"src/pylock.api.toml": FOREIGN})
    one = shop.ended()["api"]
    assert (one.status, one.note) == ("skipped", "src/pylock.api.toml is a lock")
    assert shop.path().read_text(encoding="utf-8") == FOREIGN


def test_keys_that_name_what_was_locked(shop: Shop) -> None:
    shop.write({"deps/api.txt": "-r more.txt\n", "deps/more.txt": "pure\n"})
    for values in ({"requirements": "deps/api.txt"}, {"packaging": "requirements"}):
        shop.declare({"api": values})
        shop.lock()
        assert shop.wheels(locked=True) == [OTHER, PURE]
        shop.path().unlink()
    shop.declare({"api": {"requirements": "deps/api.txt"}})
    shop.ended()
    assert shop.bundle(force=False)["api"].status == "built"
    shop.write({"deps/more.txt": "pure>0\n"})
    assert shop.problem(force=False).code is Code.LOCK_STALE
    shop.declare({"api": {"requirements": "src/pylock.api.toml"}})
    assert shop.wheels(locked=True) == [OTHER, PURE]


def test_keys_that_name_another_lock(shop: Shop) -> None:
    shop.lock()
    shop.write({"src/pylock.toml": FOREIGN})
    shop.declare({"api": {"requirements": "src/pylock.toml"}})
    assert shop.wheels() == []
    assert shop.ended()["api"].note == "src/pylock.toml is a lock"


# --- bundle --locked


def test_locked_refuses_what_nothing_pins(shop: Shop) -> None:
    shop.declare({"api": {}, "bare": {"entry": "bare"}, "empty": {"entry": "empty"}})
    shop.write({f"{name}/app.py": HANDLER for name in ("bare", "empty")})
    shop.write({"empty/requirements.txt": "# nothing yet\n"})
    results = shop.bundle(locked=True)
    assert {name: one.status for name, one in results.items()} == {
        "api": "failed",
        "bare": "built",
        "empty": "built",
    }
    (problem,) = results["api"].problems
    assert problem.code is Code.LOCK_MISSING
    assert problem.hint == "run `invoke lock --only api`"
    assert {name: one.status for name, one in shop.ended().items()} == {
        "api": "locked",
        "bare": "skipped",
        "empty": "skipped",
    }
    assert shop.bundle("api", locked=True)["api"].status == "built"


def test_locked_looks_again_at_what_is_up_to_date(shop: Shop) -> None:
    assert shop.bundle(force=False)["api"].status == "built"
    assert shop.bundle(force=False)["api"].status == "fresh"
    assert shop.problem(force=False, locked=True).code is Code.LOCK_MISSING
    shop.lock()
    assert shop.bundle(force=False, locked=True)["api"].reasons != ()
    assert shop.bundle(force=False, locked=True)["api"].status == "fresh"


def test_locked_wants_locks_of_layers_too(shop: Shop) -> None:
    shop.write({"base/requirements.txt": "other\n"})
    shop.declare({"api": {"layers": ["common"]}}, {"common": {"entry": "base"}})
    shop.lock()
    assert shop.versions() == {"other": "2.0", "pure": "1.0"}
    problem = shop.problem("api", locked=True)
    assert (problem.code, problem.where.name) == (Code.LOCK_MISSING, "common")
    assert shop.ended("common")["common"].status == "locked"
    assert shop.wheels("api", locked=True) == [PURE]


# --- layers for several runtimes


def test_one_lock_for_several_runtimes(shop: Shop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("base", "1.0", requires=["old; python_version < '3.12'", "other"])
    wheelhouse.wheel("base", "2.0", python=">=3.12", requires=["other"])
    wheelhouse.wheel("other", "2.0", "cp312-cp312-manylinux_2_17_aarch64", files={"other/fast.py": "2\n"})
    wheelhouse.wheel("other", "2.0", "cp311-abi3-manylinux_2_17_aarch64", files={"other/fast.py": "3\n"})
    wheelhouse.wheel("old")
    shop.write({"src/requirements.txt": "base\n"})
    runtimes = ["python3.11", "python3.12", "python3.13"]
    shop.declare({}, {"common": {"runtimes": runtimes}})
    before = shop.bundle()["common"]
    document = tomli.loads(shop.lock("common"))
    told_of = [(one["name"], one["version"], one.get("marker")) for one in document["packages"]]
    assert told_of == [
        ("base", "1.0", "python_version == '3.11'"),
        ("base", "2.0", "python_version == '3.12' or python_version == '3.13'"),
        ("old", "1.0", "python_version == '3.11'"),
        ("other", "2.0", None),
    ]
    after = shop.bundle(locked=True)["common"]
    assert after.artifact is not None
    assert before.artifact is not None
    assert after.artifact.runtimes == before.artifact.runtimes
    assert len(after.artifact.wheels) == 6
    shop.declare({}, {"common": {"runtimes": [*runtimes, "python3.14"]}})
    (problem,) = shop.fail()
    assert problem.code is Code.LOCK_UNSUITABLE
    shop.declare({}, {"common": {"runtimes": runtimes[:2]}})
    assert shop.bundle(locked=True)["common"].status == "built"
    shop.lock("common")
    assert "3.13" not in shop.path("common").read_text(encoding="utf-8")


TARGETS = tuple(Target(f"python3.{minor}", "arm64") for minor in (11, 12, 13))
TAGS = ("py3-none-any", "cp311-abi3-manylinux_2_17_aarch64", "cp312-cp312-manylinux_2_17_aarch64")


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.lists(
            st.none() | st.tuples(st.sampled_from(["1.0", "2.0"]), st.sampled_from(TAGS)),
            min_size=3,
            max_size=3,
        ),
    )
)
def test_what_is_written_is_read_again(sets: dict[str, list[tuple[str, str] | None]]) -> None:
    chosen: dict[Target, list[Wheel]] = {target: [] for target in TARGETS}
    for name, found in sets.items():
        for target, one in zip(TARGETS, found, strict=True):
            if one is None or (one[1].startswith("cp312") and target.version != (3, 12)):
                continue
            chosen[target].append(wheel(name, *one))
    resolved = [
        Resolved(target=target, digest="sha256:0", wheels=tuple(wheels), origins={})
        for target, wheels in chosen.items()
    ]
    text = render(resolved, Paper(name="x", folder=Path("/x").absolute()))
    assert text == render(resolved, Paper(name="x", folder=Path("/y").absolute()))
    data = tomli.loads(text)
    for target, wheels in chosen.items():
        check(data, target, "sha256:0", where=Where(file="pylock.x.toml"), source="requirements.txt")
        locked = choose(data, target, folder=Path("/x"), where=Where(file="pylock.x.toml"), hint="")
        assert pick(locked.candidates, target, {}) == (tuple(sorted(wheels, key=lambda one: one.name)), ())
    assert is_current(data, dict.fromkeys(TARGETS, "sha256:0"))
    assert not is_current(data, dict.fromkeys(TARGETS[1:], "sha256:0"))
    assert not is_current(data, dict.fromkeys(TARGETS, "sha256:1"))


def wheel(name: str, version: str, tag: str) -> Wheel:
    file = f"{name}-{version}-{tag}.whl"
    digest = f"{len(file):064x}"
    return Wheel(
        name=name, version=version, filename=file, url=f"https://files.example/{file}", sha256=digest
    )


# --- what was asked for


def reading(folder: Path, text: str, **environ: str) -> Requirements:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text(text, encoding="utf-8")
    return read(
        folder / "requirements.txt",
        markers=Target("python3.13", "arm64").markers,
        environ=environ,
        shown=str,
        resolve=lambda base, relative: Path(os.path.normpath(base / relative)),
    )


def digest(folder: Path, text: str, **environ: str) -> str:
    return asked(reading(folder, text, **environ), Place(root=folder, entry=folder))


def test_the_same_is_asked_for_in_every_checkout(tmp_path: Path) -> None:
    text = (
        "--index-url https://u:${TOKEN}@packages.example.com/simple\n--find-links wheels\n"
        "b>=1,<2 ; sys_platform == 'linux'\na[x,y]\n./lib\ngit+https://u:${TOKEN}@git.example/x@main\n"
    )
    other = (
        "-i https://v:${TOKEN}@packages.example.com/simple\n-f ./wheels\n"
        "./lib\nA[Y,x]\nc; sys_platform == 'win32'\nB<2,>=1\ngit+https://u:${TOKEN}@git.example/x@main\n"
    )
    for name in ("one", "two words"):
        for folder in ("lib", "wheels"):
            (tmp_path / name / folder).mkdir(parents=True)
        (tmp_path / name / "lib/pyproject.toml").write_text("", encoding="utf-8")
    one = digest(tmp_path / "one", text, TOKEN="Qx0first")
    assert digest(tmp_path / "two words", other, TOKEN="Qx0second") == one
    for changed in (
        text.replace("<2", "<3"),
        text.replace("[x,y]", "[x]"),
        text.replace("@main", "@v1"),
        f"--pre\n{text}",
    ):
        assert digest(tmp_path / "one", changed, TOKEN="Qx0first") != one


# --- local code


@uv_and_at_length_pip
def test_local_code_is_built_from_its_folder(backend: str, shop: Shop) -> None:
    project(shop.root / "libs/near", requires=["pure", "far @ {root}/../far"])
    project(shop.root / "libs/far")
    shop.write({"src/requirements.txt": "../libs/near\n"})
    shop.declare({"api": {"backend": backend}})
    before = shop.build()["api"]
    document = tomli.loads(shop.lock())
    found = {one["name"]: one.get("directory") for one in document["packages"]}
    assert found["near"] == {"path": "../libs/near"}
    assert found["far"] == {"path": "../libs/far"}
    after = shop.build(locked=True)["api"]
    assert {name: data for name, data in after.items() if name != "pylock.api.toml"} == before
    shop.keeps()
    shop.write({"libs/near/src/near/__init__.py": "changed\n"})
    assert b"changed" in shop.build(locked=True)["api"]["near/__init__.py"]
    shop.keeps()
    project(shop.root / "libs/near", requires=["pure", "other", "far @ {root}/../far"])
    problem = shop.problem(locked=True)
    assert (problem.code, problem.hint) == (Code.LOCK_STALE, "run `invoke lock --only api`")
    assert "libs/near" in problem.message
    shop.lock()
    assert shop.bundle(locked=True)["api"].status == "built"


def test_git_is_locked_at_a_commit(shop: Shop, tmp_path: Path) -> None:
    remote = repository(project(tmp_path / "remote/far", "far"), shop.environ)
    shop.write({"src/requirements.txt": f"git+{remote.as_uri()}@main\n"})
    document = tomli.loads(shop.lock())
    (package,) = document["packages"]
    assert package["vcs"]["path"] == "../../remote/far"
    before = shop.build()["api"]
    project(remote, "far", "2.0", requires=["pure"])
    newer = commit(remote, shop.environ)
    assert package["vcs"]["commit-id"] != newer
    assert shop.build(locked=True)["api"] == before
    assert newer in shop.lock(upgrade=True)
    assert shop.versions() == {"far": None, "other": "2.0", "pure": "1.0"}


def test_an_archive_has_its_hash(shop: Shop, tmp_path: Path) -> None:
    archive(project(tmp_path / "far"), shop.root / "src/far-1.0.tar.gz")
    shop.write({"src/requirements.txt": "./far-1.0.tar.gz\n"})
    (package,) = tomli.loads(shop.lock())["packages"]
    assert package["archive"]["path"] == "far-1.0.tar.gz"
    assert package["archive"]["hashes"].keys() == {"sha256"}
    assert shop.wheels(locked=True) == ["far-1.0-py3-none-any.whl"]


def test_a_source_distribution_that_may_be_built(shop: Shop, wheelhouse: Wheelhouse, tmp_path: Path) -> None:
    packed = released(wheelhouse, tmp_path, "old", "1.5", requires=["pure"])
    shop.write({"src/requirements.txt": "old\n"})
    shop.declare({"api": {"sdists": ["old"]}})
    shop.bundle()  # what is kept of it is no matter
    (old, *_) = tomli.loads(shop.lock())["packages"]
    kind, _, value = sha256(packed).partition(":")
    assert (old["name"], old["version"], old["sdist"]["hashes"]) == ("old", "1.5", {kind: value})
    assert shop.versions() == {"old": "1.5", "other": "2.0", "pure": "1.0"}
    released(wheelhouse, tmp_path, "old", "1.6")
    shop.keeps()
    for backend in BACKENDS:
        shop.declare({"api": {"backend": backend, "sdists": ["old"]}})
        assert "old-1.5-py3-none-any.whl" in shop.wheels(locked=True)
    problem = shop.refuses(upgrade=True)
    assert (problem.code, 'backend = "uv"' in (problem.hint or "")) == (Code.UNLOCKABLE, True)
    shop.declare({"api": {}})
    assert shop.problem().code is Code.SOURCE_ONLY


def test_a_project_without_a_lock(shop: Shop) -> None:
    """It is resolved with a warning; with a lock there is none."""
    (shop.root / "src/requirements.txt").unlink()
    text = '[project]\nname = "x"\nversion = "1"\ndependencies = ["pure"]\n'
    text += '[dependency-groups]\nmore = ["other"]\n'
    shop.write({"src/pyproject.toml": text})
    assert [one.code for one in shop.bundle()["api"].problems] == [Code.UNPINNED]
    shop.lock()
    assert shop.wheels(locked=True) == [OTHER, PURE]
    shop.declare({"api": {"groups": ["more"]}})
    assert shop.problem().code is Code.LOCK_STALE


# --- what no lock can hold


def resolved(**values: Any) -> list[Resolved]:
    one = replace(wheel("a", "1.0", "py3-none-any"), **values)
    return [Resolved(target=TARGETS[0], digest="sha256:0", wheels=(one,), origins={})]


def unlockable(found: list[Resolved], **values: Any) -> Problem:
    with pytest.raises(BundleError) as caught:
        render(found, Paper(name="x", folder=Path("/x").absolute(), **values))
    (problem,) = caught.value.problems
    assert problem.code is Code.UNLOCKABLE
    assert "Qx0secret" not in f"{problem.message}{problem.hint}"
    return problem


def test_credentials_are_left_out_or_refused() -> None:
    text = render(
        resolved(url="https://u:Qx0secret@f.example/a-1.0-py3-none-any.whl#x=y"),
        Paper(name="x", folder=Path()),
    )
    assert 'url = "https://f.example/a-1.0-py3-none-any.whl"' in text
    assert "Qx0secret" not in text
    unlockable(resolved(url="https://f.example/a-1.0-py3-none-any.whl?token=Qx0secret"))
    unlockable(resolved(url="https://f.example/Qx0secret/a.whl"), secrets={"Qx0secret"})


def test_hashes_that_nobody_knows() -> None:
    assert "uv" in (unlockable(resolved(sha256=None)).hint or "")
    text = render(resolved(sha256=None, hashes=(f"sha512:{'ab' * 64}",)), Paper(name="x", folder=Path()))
    assert f'sha512 = "{"ab" * 64}"' in text
    unlockable(resolved(sha256=None, hashes=(f"sha512:{'ab' * 64}", f"sha512:{'cd' * 64}")))
    source = Source(name="a", where=Where(), url="https://f.example/a.zip")
    (one,) = resolved()
    origin = Origin(source=source, requires=())
    unlockable([replace(one, origins={"a": origin})])
    hashed = replace(origin, source=replace(source, hashes=(f"sha256:{'ab' * 32}",)))
    assert 'url = "https://f.example/a.zip"' in render(
        [replace(one, origins={"a": hashed})], Paper(name="x", folder=Path())
    )


@pytest.mark.skipif(os.name == "nt" or not os.geteuid(), reason="nothing keeps root from writing")
def test_a_folder_that_cannot_be_written(shop: Shop) -> None:
    (shop.root / "src").chmod(0o555)
    try:
        assert shop.refuses().code is Code.OUTPUT_UNWRITABLE
    finally:
        (shop.root / "src").chmod(0o755)


# --- the command


@pytest.fixture
def repo(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Project:
    wheelhouse.wheel("pure")
    wheelhouse.wheel("beside")
    made = Project(tmp_path / "repo", environ)
    made.write({"tasks.py": TASKS, "bundles.toml": functions("api"), "src/main.py": HANDLER})
    made.write({"src/requirements.txt": "pure\n"})
    return made


def test_the_commands(repo: Project) -> None:
    ran = repo.here("bundle", "--all", "--locked", "--json")
    assert (ran.code, ran.data["results"][0]["problems"][0]["code"]) == (1, Code.LOCK_MISSING.value)
    ran = repo.here("lock", "--all")
    assert (ran.code, ran.out.splitlines()[-1].split()[-1]) == (0, "src/pylock.api.toml")
    assert "1 locked" in ran.err
    ran = repo.here("lock", "--only", "a*", "--json", cwd="src")
    (row,) = ran.data["locks"]
    assert (row["name"], row["status"], row["packages"]) == ("api", "kept", 1)
    repo.write({"src/requirements.txt": "pure\nbeside\n"})
    ran = repo.here("lock", "--all")
    assert "api: + beside 1.0" in ran.err.splitlines()
    assert repo.here("bundle", "--all", "--locked").code == 0
    assert repo.here("plan", "--json").data["plan"][0]["requirements"] == "src/pylock.api.toml"


def test_command_lines_that_cannot_be_meant(repo: Project) -> None:
    assert repo.here("lock").code == 2
    assert repo.here("lock", "--all", "--only", "api").code == 2
    assert repo.here("lock", "--all", "--upgrade", "--offline").code == 2


def test_a_lock_that_cannot_be_made(repo: Project) -> None:
    repo.write({"src/requirements.txt": "not-there\n"})
    ran = repo.here("lock", "--all")
    assert ran.code == 1
    assert "error[PythonLocalBundlingPackageNotFound]" in ran.err
    assert not (repo.root / "src/pylock.api.toml").exists()
    assert not (repo.root / "dist").exists()


# --- the real index


@pytest.mark.index
def test_real_packages(tmp_path: Path, clean_environ: dict[str, str]) -> None:
    """A function and a layer for two runtimes: locked with one backend, and bundled alike with both."""
    shop = Shop(tmp_path / "repo", {**clean_environ, "LAMBDA_BUNDLE_CACHE": str(tmp_path / "cache")})
    shop.write({"src/app.py": HANDLER, "src/requirements.txt": "requests\ncharset-normalizer\n"})
    shop.write({"common/requirements.txt": "pydantic\n"})
    found = {}
    for locking, bundling in (BACKENDS, BACKENDS[::-1]):
        layer = {"entry": "common", "runtimes": ["python3.10", "python3.13"]}
        shop.declare({"api": {"backend": locking}}, {"common": {**layer, "backend": locking}})
        assert {one.status for one in shop.ended().values()} <= {"locked", "kept"}
        shop.declare({"api": {"backend": bundling}}, {"common": {**layer, "backend": bundling}})
        found[bundling] = shop.build(locked=True)
        texts = [path.read_text(encoding="utf-8") for path in sorted(shop.root.rglob("pylock.*.toml"))]
        assert all(str(tmp_path) not in text for text in texts)
        assert len(texts) == 2
    assert found["uv"] == found["pip"]
    names = set(found["uv"]["common"])
    assert any(name.endswith(".cpython-310-aarch64-linux-gnu.so") for name in names)
    assert any(name.endswith(".cpython-313-aarch64-linux-gnu.so") for name in names)
    assert "python/lib/python3.10/site-packages/exceptiongroup/__init__.py" not in names
