"""What is up to date stays untouched; whatever would change an artifact builds it again, and is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import TASKS, Project, functions
from wheelhouse import Wheelhouse, sha256
from workbench import uv_and_at_length_pip
from workshop import Workshop, modes, one_function, told

from lambda_bundle import Result, report
from lambda_bundle.cache import Cache

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these hooks are for POSIX shells")

HANDLER = "def handler(event, context): ...\n"
HOUR = 3600 * 10**9


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workshop:
    """A function with a dependency, and one that has none."""
    return one_function(tmp_path / "repo", environ, wheelhouse)


def aged(workshop: Workshop) -> Workshop:
    """Let the sources be old, so that their times are believed."""
    for path in workshop.root.rglob("*"):
        if not path.is_relative_to(workshop.output):
            os.utime(path, ns=(path.stat().st_mtime_ns - HOUR,) * 2)
    return workshop


def again(workshop: Workshop, **options: Any) -> Result:
    """Bundle what is not up to date; the one result."""
    return workshop.bundle("api", force=False, **options)["api"]


def why(workshop: Workshop, **options: Any) -> tuple[str, ...]:
    """Why it was built again, and it was; the next time it is not."""
    result = again(workshop, **options)
    assert told(result) == []
    assert (result.status, bool(result.reasons)) == ("built", True)
    assert again(workshop, **options).status == "fresh"
    return result.reasons


def document(result: Result) -> dict[str, Any]:
    (told_of,) = report.document([result])["results"]
    assert isinstance(told_of, dict)
    return {key: value for key, value in told_of.items() if key not in {"status", "seconds", "reasons"}}


# --- up to date


def test_nothing_is_done_for_what_is_up_to_date(workshop: Workshop) -> None:
    first = again(workshop)
    assert (first.status, first.reasons) == ("built", ("it was not built before",))
    artifact, manifest = workshop.output / "api.zip", workshop.output / "manifest.json"
    before = [
        (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) for path in (artifact, manifest)
    ]
    second = again(workshop)
    assert (second.status, second.reasons) == ("fresh", ())
    assert document(second) == document(first)
    after = [
        (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) for path in (artifact, manifest)
    ]
    assert after == before


@pytest.mark.parametrize("form", ["zip", "dir"])
def test_forced(workshop: Workshop, form: str) -> None:
    workshop.declare({"api": {"format": form}})
    again(workshop)
    assert again(workshop).status == "fresh"
    forced = workshop.bundle("api", force=True)["api"]
    assert (forced.status, forced.reasons) == ("built", ("--force",))
    assert again(workshop).status == "fresh"


def test_warnings_are_told_again(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("other", files={"pure/__init__.py": "2\n"})
    workshop.write({"src/requirements.txt": "pure\nother\n"})
    first, second = again(workshop), again(workshop)
    assert second.status == "fresh"
    assert second.problems == first.problems
    assert [one.severity for one in second.problems] == ["warning"]


def test_touching_changes_nothing(workshop: Workshop) -> None:
    again(aged(workshop))
    for path in (workshop.root / "src").rglob("*"):
        os.utime(path)
    assert again(workshop).status == "fresh"


def test_what_others_left_in_the_record_is_no_trouble(workshop: Workshop) -> None:
    again(workshop)
    (record,) = Cache.of(workshop.environ).folder.glob("builds/*/api.json")
    for damage in ("", "{", "[]", "{}", '{"settings": 1}', record.read_text()[:-40]):
        record.write_text(damage)
        assert why(workshop) == ("nothing is known of its last build",)


DAMAGE: tuple[object, ...] = (None, 7, "x", [[[]]], {"src": [[], "x"]})


def test_no_damage_to_a_part_of_the_record_is_trouble(workshop: Workshop) -> None:
    again(aged(workshop))
    (path,) = Cache.of(workshop.environ).folder.glob("builds/*/api.json")
    cache = Cache.of(workshop.environ)
    record = cache.read(path)
    for part in record:
        for damage in DAMAGE:
            cache.write(path, {**record, part: damage})
            assert again(workshop).status in {"built", "fresh"}, (part, damage)
            assert (workshop.output / "api.zip").exists()


def test_deleted_cache(workshop: Workshop) -> None:
    again(workshop)
    before = (workshop.output / "api.zip").read_bytes()
    shutil.rmtree(Cache.of(workshop.environ).root)
    assert why(workshop) == ("it was not built before",)
    assert (workshop.output / "api.zip").read_bytes() == before


def test_another_output_folder_is_another_artifact(workshop: Workshop, tmp_path: Path) -> None:
    again(workshop)
    assert why(workshop, output=tmp_path / "other") == ("it was not built before",)
    assert again(workshop).status == "fresh"


def test_failure_is_forgotten(workshop: Workshop) -> None:
    again(workshop)
    workshop.write({"src/requirements.txt": "nowhere\n"})
    assert again(workshop).status == "failed"
    workshop.write({"src/requirements.txt": "pure\n"})
    assert why(workshop) == ("it was not built before",)


# --- sources


def same_size(path: Path) -> None:
    """Change a file, and let it look as old and as large as before."""
    before = path.stat()
    path.write_text(path.read_text().replace("...", "0.0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def linked(path: Path, to: str) -> None:
    path.unlink()
    path.symlink_to(to)


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "edited": (lambda src: (src / "app.py").write_text("def handler(): ...\n"), "app.py changed"),
    "of the same size and time": (lambda src: same_size(src / "app.py"), "app.py changed"),
    "executable": (lambda src: (src / "app.py").chmod(0o755), "app.py changed"),
    "added": (lambda src: (src / "pkg" / "more.py").touch(), "pkg/more.py added"),
    "removed": (lambda src: (src / "pkg" / "data.txt").unlink(), "pkg/data.txt removed"),
    "another requirement": (
        lambda src: (src / "requirements.txt").write_text("pure==1.0\n"),
        "requirements.txt changed",
    ),
    "a link instead": (lambda src: linked(src / "pkg" / "data.txt", "../app.py"), "pkg/data.txt changed"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("old", [True, False])
def test_change_of_the_sources(workshop: Workshop, change: str, old: bool) -> None:
    if old:
        aged(workshop)
    again(workshop)
    make, reason = CHANGES[change]
    make(workshop.root / "src")
    assert why(workshop) == (reason,)


def test_what_is_known_of_entries_hides_no_change(workshop: Workshop) -> None:
    """Where nothing has changed, nothing is searched, and no file read for its hash."""
    entries: dict[str, Callable[[Path], object]] = {"nothing": lambda _: None}
    entries |= {name.replace(" ", "-"): make for name, (make, _) in CHANGES.items()}
    entries["emptied"] = lambda src: emptied(src / "pkg")
    # A hook that does nothing: without any, what has not changed would be put together again.
    workshop.declare({name: {"entry": name, "hooks.after": [":"]} for name in entries})
    for name in entries:
        shutil.copytree(workshop.root / "src", workshop.root / name)
    time.sleep(2.1)  # the times of what was just made are not believed
    first = workshop.build()
    shutil.rmtree(workshop.output)
    for name, make in entries.items():
        make(workshop.root / name)
    known = workshop.build(force=False)
    assert [name for name in entries if known[name] == first[name]] == ["nothing", "executable"]
    assert modes(workshop.output / "executable.zip") != modes(workshop.output / "nothing.zip")
    manifest = workshop.manifest
    shutil.rmtree(workshop.output)
    shutil.rmtree(Cache.of(workshop.environ).root)
    assert workshop.build() == known
    assert workshop.manifest == manifest
    assert {result.status for result in workshop.bundle(force=False).values()} == {"fresh"}


def test_what_is_left_out_does_not_count(workshop: Workshop) -> None:
    workshop.declare({"api": {"exclude": ["*.md"]}})
    again(workshop)
    workshop.write({"src/README.md": "", "src/__pycache__/app.pyc": "", "src/.venv/x": ""})
    assert again(workshop).status == "fresh"


@pytest.mark.parametrize("moved", [False, True])
def test_what_is_left_out_counts_where_it_says_what_to_install(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    monkeypatch.setattr("lambda_bundle.stamps._TICK", 0)  # the folders' times are believed at once
    workshop.declare({"api": {"exclude": ["*.toml", "*.md"]}})
    again(aged(workshop))
    if moved:  # the folder is not as it was, and what it brings is
        workshop.write({"src/README.md": ""})
        assert again(workshop).status == "fresh"
    workshop.write({"src/pylock.toml": ""})
    assert again(workshop).reasons == ("src/pylock.toml added",)


def test_environment_that_is_one_no_longer(workshop: Workshop) -> None:
    workshop.write({"src/env/pyvenv.cfg": "", "src/env/bin/python": ""})
    again(aged(workshop))
    (workshop.root / "src" / "env" / "pyvenv.cfg").unlink()
    assert why(workshop) == ("env/bin/python added",)


def test_linked_folder(workshop: Workshop) -> None:
    workshop.write({"shared/lib.py": "1\n", "other/lib.py": "2\n"})
    link = workshop.root / "src" / "lib"
    link.symlink_to("../shared")
    again(aged(workshop))
    workshop.write({"shared/lib.py": "3\n"})
    assert why(workshop) == ("lib/lib.py changed",)
    workshop.write({"shared/new.py": ""})
    assert why(workshop) == ("lib/new.py added",)
    link.unlink()
    link.symlink_to("../other")
    assert why(workshop) == ("lib/new.py removed", "lib/lib.py changed")


def test_sources_that_cannot_be_read(workshop: Workshop) -> None:
    again(workshop)
    (workshop.root / "src" / "gone").symlink_to("nowhere")
    result = again(workshop)
    assert (result.status, result.reasons) == ("failed", ("the sources are not what they were",))


def test_output_within_the_entry(workshop: Workshop) -> None:
    workshop.write({"app.py": HANDLER})
    workshop.declare({"api": {"entry": ".", "exclude": ["src/", "bundles.toml"]}})
    assert again(workshop).status == "built"
    assert again(workshop).status == "fresh"
    assert again(workshop).status == "fresh"


@settings(max_examples=20)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["app.py", "a.txt", "pkg/a.txt", "pkg/b/c.txt"]),
            st.sampled_from(["1", "2", "33", None]),
            st.sampled_from(["leave", "bundle", "remove", "spoil"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_changes_what_is_there_is_what_a_build_would_make(
    steps: list[tuple[str, str | None, str]],
    tmp_path_factory: pytest.TempPathFactory,
    clean_environ: dict[str, str],
) -> None:
    made = Workshop(tmp_path_factory.mktemp("repo"), clean_environ)
    made.write({"src/app.py": HANDLER})
    made.declare({"api": {}})
    for path, content, then in steps:
        file = made.root / "src" / path
        if content is not None:
            made.write({f"src/{path}": HANDLER + content})
        elif path != "app.py":
            file.unlink(missing_ok=True)
        if then == "bundle":
            again(made)
        elif then == "remove":
            shutil.rmtree(made.output, ignore_errors=True)
        elif then == "spoil" and made.output.is_dir():
            (made.output / "api.zip").write_bytes(b"")
    again(made)
    kept = (made.output / "api.zip").read_bytes()
    made.bundle("api", force=True)
    assert (made.output / "api.zip").read_bytes() == kept


# --- settings


SETTINGS: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "runtime": ({}, {"runtime": "python3.12"}, "runtime python3.13 → python3.12"),
    "arch": ({}, {"arch": "x86_64"}, "arch arm64 → x86_64"),
    "handler": ({}, {"handler": "app.other"}, "handler app.handler → app.other"),
    "backend": ({}, {"backend": "pip"}, "backend uv → pip"),
    "format": ({}, {"format": "dir"}, "format zip → dir"),
    "hook": ({"hooks.after": ["true"]}, {"hooks.after": ["true", "true"]}, "hooks.after changed"),
    "exclude": ({}, {"exclude": ["nothing"]}, "exclude changed"),
    "env": ({"env.A": "1"}, {"env.A": "2"}, "env.A changed"),
}


@pytest.mark.parametrize("key", SETTINGS)
def test_change_of_a_setting(workshop: Workshop, key: str) -> None:
    before, after, reason = SETTINGS[key]
    workshop.write({"src/app.py": HANDLER + "other = handler\n"})
    workshop.declare({"api": before})
    again(workshop)
    workshop.declare({"api": after})
    assert reason in why(workshop)


def test_timeout_and_other_functions_do_not_count(workshop: Workshop) -> None:
    again(workshop)
    workshop.declare({"api": {"timeout": 5}, "other": {}})
    assert again(workshop).status == "fresh"


def test_another_version_of_this_tool(workshop: Workshop) -> None:
    again(workshop)
    (record,) = Cache.of(workshop.environ).folder.glob("builds/*/api.json")
    cache = Cache.of(workshop.environ)
    content = cache.read(record)
    content["settings"]["lambda-bundle"] = "0.0.1"
    cache.write(record, content)
    (reason,) = why(workshop)
    assert reason.startswith("lambda-bundle 0.0.1 → ")


def test_variables_of_the_installers(workshop: Workshop) -> None:
    again(workshop)
    assert again(workshop, environ={"UV_HTTP_TIMEOUT": "77", "EDITOR": "ed"}).status == "fresh"
    assert again(workshop, environ={"UV_RUN_RECURSION_DEPTH": "1"}).status == "fresh", "`uv run` says so"
    stricter = {"UV_EXCLUDE_NEWER": "2030-01-01"}
    assert why(workshop, environ=stricter) == ("UV_EXCLUDE_NEWER changed",)
    secret = {**stricter, "UV_INDEX": "http://user:first@localhost:1/simple"}
    result = again(workshop, environ=secret)
    assert result.reasons == ("UV_INDEX changed",)


def test_relative_places_of_the_installers(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """They mean the same whether written from here or from the root."""
    wheels = Path(workshop.environ["UV_FIND_LINKS"])
    monkeypatch.chdir(wheels.parent)
    environ = {"UV_FIND_LINKS": wheels.name, "PIP_FIND_LINKS": wheels.name}
    again(workshop, environ=environ)
    assert again(workshop, environ=environ).status == "fresh"
    assert again(workshop).status == "fresh"
    monkeypatch.chdir(workshop.root)
    assert again(workshop, environ=environ).reasons == ("UV_FIND_LINKS changed",)


@uv_and_at_length_pip
def test_files_that_variables_name(workshop: Workshop, wheelhouse: Wheelhouse, backend: str) -> None:
    """Constraints hold from a cold cache to a warm one, and their content counts."""
    wheelhouse.wheel("pure", "1.1")
    wheelhouse.wheel("pure", "1.2")
    workshop.declare({"api": {"backend": backend}})
    file = workshop.root / "limits.txt"
    environ = {f"{backend.upper()}_CONSTRAINT": str(file)}

    def version() -> str:
        return str(workshop.manifest["api"]["wheels"][0]["version"])

    for limit, expected in (("<1.1", "1.0"), ("<1.2", "1.1"), ("<1.1", "1.0")):
        file.write_text(f"pure{limit}\n")
        assert again(workshop, environ=environ).reasons
        assert version() == expected
        assert again(workshop, environ=environ).status == "fresh"
    again(workshop)
    assert version() == "1.2"


def test_configuration_that_appears_or_gains_something(workshop: Workshop) -> None:
    """Of uv, above the entry; what else a pyproject.toml holds is no concern of ours."""
    tool = "[tool.other]\nline = 1\n"
    workshop.write({"pyproject.toml": tool})
    again(aged(workshop))
    workshop.write({"pyproject.toml": tool.replace("1", "2")})
    assert again(workshop).status == "fresh"
    links = f'[tool.uv]\nfind-links = ["{workshop.root / "more"}"]\n'
    (workshop.root / "more").mkdir()
    workshop.write({"pyproject.toml": tool + links})
    assert why(workshop) == ("pyproject.toml changed",)
    workshop.write({"uv.toml": links.replace("[tool.uv]\n", "")})
    assert why(workshop) == ("uv.toml added",)
    workshop.write({"src/uv.toml": links.replace("[tool.uv]\n", "")})
    assert "src/uv.toml added" in why(workshop)


def test_what_is_up_to_date_uses_the_cache(workshop: Workshop) -> None:
    """What it was made of goes last, although nothing was made."""
    again(workshop)
    cache = Cache.of(workshop.environ)
    long_ago = time.time() - 9 * 3600
    for entry in cache.entries():
        os.utime(entry.path, (long_ago, long_ago))
    assert again(workshop).status == "fresh"
    used = {entry.path.parent.name for entry in cache.entries() if entry.used > long_ago + 3600}
    assert used >= {"builds", "sets", "resolutions", "packs"}
    assert cache.prune(0) != [], "verdicts, for example"
    shutil.rmtree(workshop.output)
    assert again(workshop).status == "built"


def test_variables_of_pip(workshop: Workshop) -> None:
    """They are of no interest to what uv installs, but for what pip has put into a layer."""
    theirs, bare = {"environ": {"PIP_PRE": "1"}}, {"environ": {"UV_PRERELEASE": "allow"}}
    layer = {"common": {"entry": "src", "requirements": "requirements.txt"}}
    workshop.write({"plain/app.py": HANDLER})
    for function, layers, reasons in (
        ({}, None, ()),
        ({"backend": "pip"}, None, ("PIP_PRE changed",)),
        ({"entry": "plain", "layers": ["common"]}, layer, ()),
        (
            {"entry": "plain", "layers": ["common"]},
            {"common": {**layer["common"], "backend": "pip"}},
            ("PIP_PRE changed",),
        ),
    ):
        workshop.declare({"api": function}, layers)
        again(workshop)
        assert again(workshop, **theirs).reasons == reasons
        assert "UV_PRERELEASE changed" in again(workshop, **bare).reasons


# --- what changes while it is built

ONCE = 'test -e "$FLAG" || { touch "$FLAG"; %s; }'


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ('echo "# more" >> "$ROOT/common.txt"', "common.txt changed"),
        ('rm "$ROOT/common.txt"', "common.txt removed"),
        ('touch "$ROOT/src/app.py"', "src/app.py changed"),
        ('echo "# more" >> "$ROOT/src/app.py"', "app.py changed"),
        ('echo pure > "$ROOT/src/uv.lock"', "src/uv.lock added"),
        ('echo "# more" >> "$ROOT/layer/shared.py"', "layer/shared.py changed"),
    ],
    ids=lambda value: str(value).split()[-1],
)
def test_edits_during_a_build_are_seen_by_the_next(workshop: Workshop, edit: str, reason: str) -> None:
    """Nobody knows whether they came before or after the look."""
    workshop.write(
        {"common.txt": "pure\n", "src/requirements.txt": "-r ../common.txt\n", "layer/shared.py": ""}
    )
    environ = {"ROOT": str(workshop.root), "FLAG": str(workshop.root / "flag")}
    workshop.declare(
        {"api": {"hooks.after": [ONCE % edit], "layers": ["common"], "exclude": ["uv.lock"]}},
        {"common": {"entry": "layer"}},
    )
    assert again(workshop, environ=environ).status == "built"
    assert reason.removeprefix("src/") in {
        one.removeprefix("src/") for one in again(workshop, environ=environ).reasons
    }


# --- the artifact


@pytest.mark.parametrize("form", ["zip", "dir"])
def test_artifact_that_is_gone(workshop: Workshop, form: str) -> None:
    workshop.declare({"api": {"format": form}})
    again(workshop)
    name = "api.zip" if form == "zip" else "api"
    if form == "zip":
        (workshop.output / name).unlink()
    else:
        shutil.rmtree(workshop.output / name)
    assert why(workshop) == (f"dist/{name} is missing",)


def test_artifact_that_somebody_changed(workshop: Workshop) -> None:
    workshop.declare({"api": {}})
    again(workshop)
    (workshop.output / "api.zip").write_bytes(b"no zip")
    assert why(workshop) == ("dist/api.zip is not what was built",)


def test_folder_that_somebody_changed(workshop: Workshop) -> None:
    workshop.declare({"api": {"format": "dir"}})
    again(workshop)
    folder = workshop.output / "api"
    (folder / "pkg" / "data.txt").write_text("DATA\n")
    assert why(workshop) == ("dist/api is not what was built",)
    (folder / "new.py").touch()
    assert why(workshop) == ("dist/api is not what was built",)
    assert not (folder / "new.py").exists()


def instead(folder: Path, make: Callable[[], object]) -> None:
    shutil.rmtree(folder)
    make()


FOLDER_CHANGES: dict[str, Callable[[Path], object]] = {
    "of the same size and time": lambda folder: same_size(folder / "app.py"),
    "executable": lambda folder: (folder / "app.py").chmod(0o755),
    "removed": lambda folder: (folder / "pkg" / "data.txt").unlink(),
    "renamed": lambda folder: (folder / "pkg" / "data.txt").rename(folder / "pkg" / "data"),
    "moved": lambda folder: (folder / "pkg" / "data.txt").rename(folder / "data.txt"),
    "a link instead": lambda folder: linked(folder / "pkg" / "data.txt", "../app.py"),
    "deep down": lambda folder: (folder / "pure" / "__init__.py").write_text("2\n"),
    "empty": lambda folder: instead(folder, folder.mkdir),
    "a file instead": lambda folder: instead(folder, folder.touch),
}


@pytest.mark.parametrize("change", FOLDER_CHANGES)
def test_whatever_becomes_of_a_folder_shows(workshop: Workshop, change: str) -> None:
    workshop.declare({"api": {"format": "dir"}})
    again(workshop)
    FOLDER_CHANGES[change](workshop.output / "api")
    assert why(workshop) == ("dist/api is not what was built",)
    assert (workshop.output / "api" / "pkg" / "data.txt").read_text() == "data\n"


def test_the_record_of_a_folder_is_small(workshop: Workshop) -> None:
    workshop.declare(
        {"api": {"format": "dir", "hooks.before": ["mkdir many; cd many; seq 100 | xargs touch"]}}
    )
    again(workshop)
    (record,) = Cache.of(workshop.environ).folder.glob("builds/*/api.json")
    assert len(list((workshop.output / "api" / "many").iterdir())) == 100
    assert record.stat().st_size < 4000


def test_artifact_that_was_put_back(workshop: Workshop) -> None:
    """CI systems restore folders, with times of their own."""
    again(workshop)
    artifact = workshop.output / "api.zip"
    content = artifact.read_bytes()
    artifact.unlink()
    artifact.write_bytes(content)
    assert again(workshop).status == "fresh"
    assert again(workshop).status == "fresh"


def test_manifest_that_lost_it(workshop: Workshop) -> None:
    again(workshop)
    (workshop.output / "manifest.json").unlink()
    assert why(workshop) == ("the manifest does not list it as it was built",)
    assert workshop.manifest.keys() == {"api"}


def test_rows_of_what_is_fresh_stay_and_of_what_is_gone_leave(workshop: Workshop) -> None:
    workshop.declare({"api": {}, "other": {}})
    workshop.bundle(force=False)
    row = workshop.manifest["api"]
    workshop.declare({"api": {}})
    assert again(workshop).status == "fresh"
    assert workshop.manifest == {"api": row}


# --- requirements


def test_files_outside_of_the_bundle(workshop: Workshop) -> None:
    workshop.write({"src/requirements.txt": "-r ../common.txt\n", "common.txt": "pure\n"})
    workshop.declare({"api": {"exclude": ["requirements.txt"]}})
    again(aged(workshop))
    workshop.write({"common.txt": "pure>=1\n"})
    assert why(workshop) == ("common.txt changed",)
    workshop.write({"src/requirements.txt": "pure\n"})
    assert why(workshop) == ("src/requirements.txt changed",)
    (workshop.root / "src" / "requirements.txt").unlink()
    assert why(workshop) == ("src/requirements.txt removed",)
    workshop.write({"src/requirements.txt": "pure\n"})
    assert why(workshop) == ("src/requirements.txt added",)


def test_wheel_of_ones_own(workshop: Workshop) -> None:
    own = Wheelhouse(workshop.root / "wheels")
    own.folder.mkdir()
    own.wheel("mine", files={"mine.py": "1\n"})
    workshop.write({"src/requirements.txt": "../wheels/mine-1.0-py3-none-any.whl\n"})
    again(aged(workshop))
    own.wheel("mine", files={"mine.py": "2\n"})
    assert why(workshop) == ("wheels/mine-1.0-py3-none-any.whl changed",)
    assert workshop.build()["api"]["mine.py"] == b"2\n"


@uv_and_at_length_pip
def test_unpinned_stays_until_it_is_upgraded(
    workshop: Workshop, wheelhouse: Wheelhouse, backend: str
) -> None:
    workshop.declare({"api": {"backend": backend}, "bare": {"entry": "bare"}})
    workshop.write({"bare/app.py": HANDLER})

    def version() -> str:
        (wheel,) = workshop.manifest["api"]["wheels"]
        return str(wheel["version"])

    workshop.bundle(force=False)
    wheelhouse.wheel("pure", "1.1")
    assert again(workshop).status == "fresh"
    workshop.bundle("api", force=True)
    assert version() == "1.0"
    upgraded = workshop.bundle(force=False, upgrade=True)
    assert {name: one.reasons for name, one in upgraded.items()} == {"api": ("--upgrade",), "bare": ()}
    assert version() == "1.1"
    assert again(workshop).status == "fresh"
    wheelhouse.folder.joinpath("pure-1.1-py3-none-any.whl").unlink()
    workshop.bundle("api", force=True)
    assert version() == "1.0", "what is no longer there is resolved anew"


# --- layers


@pytest.mark.parametrize("file", ["requirements.txt", "more.py", "below/more.py", "pylock.common.toml"])
def test_what_is_new_in_a_layer(workshop: Workshop, file: str) -> None:
    """Also where the layer has been built since."""
    workshop.write({"common/shared.py": ""})
    workshop.declare({"api": {"layers": ["common"]}}, {"common": {"entry": "common"}})
    again(aged(workshop))
    lock = 'lock-version = "1.0"\ncreated-by = "me"\npackages = []\n'
    workshop.write({f"common/{file}": lock if file.endswith(".toml") else ""})
    assert workshop.bundle("common", force=False)["common"].status == "built"
    assert why(workshop) == (f"common/{file} added",)


def test_what_stands_for_an_artifact(workshop: Workshop) -> None:
    """A link is none, wherever it leads, and the permissions of folders are part of one."""
    workshop.declare({"api": {"format": "dir"}})
    again(workshop)
    artifact = workshop.output / "api"
    (artifact / "pkg").chmod(0o700)
    assert why(workshop) == ("dist/api is not what was built",)
    assert (artifact / "pkg").stat().st_mode & 0o777 == 0o755
    artifact.rename(workshop.output / "api_")
    artifact.symlink_to("api_")
    assert why(workshop) == ("dist/api is not what was built",)
    assert not artifact.is_symlink()


def test_nearer_requirements(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """`requirements` names a file beside bundles.toml, or else in the entry."""
    wheelhouse.wheel("other")
    workshop.write({"src/req/prod.txt": "pure\n"})
    workshop.declare({"api": {"requirements": "req/prod.txt"}})
    again(workshop)
    workshop.write({"req/prod.txt": "other\n"})
    assert why(workshop) == ("req/prod.txt added",)


def test_another_wheel_in_a_folder_of_this_machine(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    again(workshop)
    (wheel,) = wheelhouse.folder.glob("pure-*.whl")
    before = wheel.read_bytes()
    wheelhouse.wheel("pure", files={"pure/__init__.py": "'another'\n"})
    assert why(workshop) == (f"{wheel} changed",)
    wheel.unlink()
    assert again(workshop).status == "fresh", "the cache has it"
    wheel.write_bytes(before)
    assert why(workshop) == (f"{wheel} changed",)


def test_layers_of_a_function(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("both")
    workshop.write({"common/requirements.txt": "both\n", "src/requirements.txt": "both\npure\n"})

    def declare(**layer: object) -> None:
        workshop.declare({"api": {"layers": ["common"]}}, {"common": {"entry": "common", **layer}})

    declare()
    workshop.bundle(force=False)
    assert {one.status for one in workshop.bundle(force=False).values()} == {"fresh"}
    workshop.write({"common/requirements.txt": "both==1.0\n"})
    assert why(workshop) == ("common/requirements.txt changed",)
    declare(exclude=["*.md"])
    assert why(workshop) == ("layers changed",)
    wheelhouse.wheel("both", "1.1")
    workshop.write({"common/requirements.txt": "both\n"})
    workshop.bundle(force=False, upgrade=True)
    wheelhouse.wheel("both", "1.2")
    workshop.bundle("common", force=False, upgrade=True)
    result = again(workshop)
    assert (result.status, result.reasons) == ("failed", ("layer common changed",))
    assert workshop.bundle("api", upgrade=True)["api"].status == "built"


def test_upgrade_of_what_a_layer_carries(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    workshop.write({"common/requirements.txt": "pure\n"})
    workshop.declare({"api": {"layers": ["common"]}}, {"common": {"entry": "common"}})
    workshop.bundle(force=False)
    assert workshop.manifest["api"]["wheels"] == []
    wheelhouse.wheel("pure", "1.1")
    upgraded = workshop.bundle(force=False, upgrade=True)
    assert {one.reasons for one in upgraded.values()} == {("--upgrade",)}
    assert workshop.manifest["common"]["wheels"][0]["version"] == "1.1"
    assert again(workshop).status == "fresh"


# --- as users see it


@pytest.fixture
def project(tmp_path: Path, environ: dict[str, str]) -> Project:
    made = Project(tmp_path / "project", environ)
    made.write({"bundles.toml": functions("api"), "tasks.py": TASKS})
    made.write({"src/main.py": HANDLER, "src/requirements.txt": "pure\n"})
    return made


def test_command(project: Project, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("pure")
    assert project.here("bundle", "--all").code == 0
    ran = project.here("bundle", "--all", "--json")
    assert [one["status"] for one in ran.data["results"]] == ["fresh"]
    assert project.here("bundle", "--all").err.splitlines()[-1] == "1 up to date in dist"
    forced = project.here("bundle", "--all", "--force")
    assert forced.err.splitlines()[-1] == "1 of 1 built in dist"
    upgraded = project.here("bundle", "--all", "--upgrade", "--json")
    assert [one["reasons"] for one in upgraded.data["results"]] == [["--upgrade"]]


def test_plan_says_why(project: Project, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("pure")
    assert project.here("plan").out.splitlines()[1].endswith("it was not built before")
    project.here("bundle", "--all")
    assert project.here("plan").out.splitlines()[1].endswith("up to date")
    project.write({"bundles.toml": functions("api").replace("3.13", "3.12")})
    assert project.here("plan", "--json").data["plan"][0]["reasons"] == ["runtime python3.13 → python3.12"]


HEAVY = {
    *("rich", "packaging", "tomli", "pydantic", "filelock", "pathspec", "urllib.request"),
    *("lambda_bundle.models", "lambda_bundle.pool", "lambda_bundle.process", "lambda_bundle.terminal"),
}


def loaded(project: Project, said: str, *, force: bool = False) -> set[str]:
    """The modules that a run loads, which ends with these words."""
    code = f"""
import sys
from invoke.context import Context
from lambda_bundle.tasks import bundle
bundle(Context(), all_=True, force={force})
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.root,
        env=project.environ,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stderr.endswith(said)
    return set(done.stdout.splitlines()[-1].split())


def test_nothing_heavy_is_loaded_where_all_is_up_to_date(project: Project, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("pure")
    time.sleep(2.1)  # the times of folders that were just made are not believed
    assert project.here("bundle", "--all").code == 0
    variables = {name for name in project.environ if name.startswith(("UV_", "PIP_"))}
    heavy = loaded(project, "1 up to date in dist\n") & HEAVY
    assert heavy <= ({"lambda_bundle.process"} if variables else set())
    shutil.rmtree(project.root / "dist")
    missing = loaded(project, "1 of 1 built in dist\n")
    assert not missing & {"packaging", "pathspec", "lambda_bundle.assembly", "lambda_bundle.installers"}
    built = loaded(project, "1 of 1 built in dist\n", force=True)
    assert not built & {"packaging.pylock", "lambda_bundle.builder", "lambda_bundle.imports"}


def test_hashed_requirements_are_pinned(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """By pip's own rule such a list is complete: `--locked` takes it, and `--upgrade` finds nothing to do."""
    pinned = f"pure==1.0 --hash={sha256(wheelhouse.folder / 'pure-1.0-py3-none-any.whl')}\n"
    for text, kept in ((pinned, True), ("pure==1.0\n", False)):
        workshop.write({"src/requirements.txt": text})
        assert again(workshop).status == "built"
        assert again(workshop, upgrade=True).status == ("fresh" if kept else "built")
        assert (told(again(workshop, locked=True)) == []) == kept
