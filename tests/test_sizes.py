"""What artifacts consist of, told by distribution and by file."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import TASKS, Project
from wheelhouse import Wheelhouse
from workshop import Workshop

from lambda_bundle import BundleError, Code, load, plan
from lambda_bundle.sizes import of_jobs, weigh

APP = "def handler(event, context): ...\n"


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workshop:
    """A function with a large and a small dependency, and a layer for two runtimes."""
    wheelhouse.wheel("large", "2.0", files={"large/data.bin": b"x" * 9_000, "large/__init__.py": ""})
    wheelhouse.wheel("small", "1.0", files={"small.py": "1\n"})
    made = Workshop(tmp_path / "repo", environ)
    made.write({"src/app.py": APP, "src/requirements.txt": "large\nsmall\n"})
    made.write({"layer/shared.py": "", "layer/requirements.txt": "small\n"})
    layer = {"entry": "layer", "runtimes": ["python3.12", "python3.13"]}
    made.declare({"api": {}, "web": {"layers": ["common"], "entry": "web"}}, {"common": layer})
    made.write({"web/app.py": APP})
    return made


@pytest.mark.parametrize("form", ["zip", "dir"])
def test_parts_of_an_artifact(workshop: Workshop, form: str) -> None:
    workshop.declare({"api": {"format": form}})
    workshop.build()
    (one,), problems = of_jobs(plan(load(workshop.root / "bundles.toml")))
    assert problems == []
    assert [part.name for part in one.parts] == ["large 2.0", "small 1.0", "sources"]
    large, _, sources = one.parts
    assert large.unzipped > 9_000
    assert (0 < large.zipped < 9_000) == (form == "zip")
    assert (sources.files, sources.unzipped) == (2, len(APP) + len("large\nsmall\n"))
    assert one.files[0] == ("large/data.bin", 9_000)
    on_disk = [path for path in workshop.output.rglob("api/**/*") if path.is_file()]
    if form == "dir":
        assert one.unzipped == sum(path.stat().st_size for path in on_disk)
        assert len(one.files) == len(on_disk)


def test_layers_count(workshop: Workshop) -> None:
    workshop.build()
    found, _ = of_jobs(plan(load(workshop.root / "bundles.toml")))
    by_name = {one.name: one for one in found}
    assert by_name["web"].beside == by_name["common"].unzipped
    assert by_name["api"].beside == 0
    assert {part.name for part in by_name["common"].parts} == {
        "small 1.0 in python/lib/python3.12/site-packages",
        "small 1.0 in python/lib/python3.13/site-packages",
        "sources",
    }


@pytest.mark.parametrize(
    ("content", "code"), [(None, Code.ARTIFACT_MISSING), (b"no zip", Code.ARTIFACT_UNREADABLE)]
)
def test_artifacts_that_are_none(tmp_path: Path, content: bytes | None, code: Code) -> None:
    if content is not None:
        (tmp_path / "api.zip").write_bytes(content)
    with pytest.raises(BundleError) as caught:
        weigh("api", tmp_path / "api.zip")
    assert [one.code for one in caught.value.problems] == [code]


def test_the_command(workshop: Workshop) -> None:
    workshop.write({"tasks.py": TASKS})
    project = Project(workshop.root, workshop.environ)
    workshop.build("api", "web")
    ran = project.here("sizes")
    assert ran.code == 1
    assert f"error[{Code.ARTIFACT_MISSING}]" in ran.err
    assert "common" in ran.err
    workshop.build()
    ran = project.here("sizes")
    assert ran.code == 0, ran.err
    title, first, *others = ran.out.splitlines()
    assert title.split("  ")[0] == "name"
    assert first.startswith("api ")
    assert "large 2.0 9.5 kB, small 1.0 379 B, sources 45 B" in first
    assert len(others) == 2
    ran = project.here("sizes", "--only", "web")
    assert " with its layers; 0% of what Lambda unpacks" in ran.err
    assert ran.out.splitlines()[0].split() == ["part", "files", "unzipped", "zipped", "share"]
    ran = project.here("sizes", "--path", "dist/api.zip")
    assert ran.out.splitlines()[1].startswith("large 2.0 ")
    ran = project.here("sizes", "--path", "dist/api.zip", "--all")
    assert ran.code == 2
