from __future__ import annotations

import pickle
from datetime import date
from pathlib import Path

import pytest

from lambda_bundle.config import Config, load
from lambda_bundle.errors import BundleError, Code, Where
from lambda_bundle.jobs import Job, plan
from lambda_bundle.targets import RUNTIMES, Target

TODAY = date(2026, 11, 22)
ENTRY = 'entry = "src"\n'
HANDLER = f'{ENTRY}handler = "app.handler"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    return tmp_path


def loaded(root: Path, text: str, *, runtime: str = "python3.13", arch: str = "arm64") -> Config:
    defaults = f'[defaults]\nruntime = "{runtime}"\narch = "{arch}"\n'
    (root / "bundles.toml").write_text(defaults + text, encoding="utf-8")
    return load(root / "bundles.toml")


def many(root: Path) -> Config:
    names = ("svc-a", "svc-b", "api", "common")
    return loaded(root, "".join(f"[layers.{name}]\n{ENTRY}" for name in names))


def test_every_default_is_filled_in(root: Path) -> None:
    (job,) = plan(loaded(root, f"[functions.api]\n{HANDLER}"), today=TODAY)
    assert job == Job(
        name="api",
        kind="function",
        root=root.resolve(),
        entry="src",
        handler="app.handler",
        target=Target("python3.13", "arm64"),
        backend="uv",
        before=(),
        after=(),
        exclude=(),
        include=(),
        env=(),
        format="zip",
        timeout=600.0,
        output=root.resolve() / "dist",
    )
    assert job.sources == root.resolve() / "src"
    assert job.artifact == root.resolve() / "dist" / "api.zip"
    assert job.prefix == ""


def test_every_value_arrives(root: Path) -> None:
    text = f"""[layers.common]\n{ENTRY}
        tags = ["manylinux_2_28_aarch64"]
        backend = "pip"
        hooks = {{ before = ["a", "b"], after = ["c"] }}
        exclude = ["x"]
        include = ["y"]
        env = {{ B = "2", A = "1" }}
        format = "dir"
        timeout = 5
        """
    (job,) = plan(loaded(root, text), today=TODAY)
    assert (job.kind, job.handler, job.prefix) == ("layer", None, "python/")
    assert job.target == Target("python3.13", "arm64", ("manylinux_2_28_aarch64",))
    assert (job.backend, job.before, job.after) == ("pip", ("a", "b"), ("c",))
    assert (job.exclude, job.include, job.env) == (("x",), ("y",), (("A", "1"), ("B", "2")))
    assert (job.timeout, job.artifact.name) == (5.0, "common")


def test_a_job_survives_pickling(root: Path) -> None:
    text = f'[functions.api]\n{HANDLER}tags = ["musllinux_1_2_aarch64"]\nenv = {{ A = "1" }}\n'
    jobs = plan(loaded(root, text, runtime="python3.9"), today=TODAY)
    assert jobs[0].target.wheel_tags  # what was worked out once comes along
    assert pickle.loads(pickle.dumps(jobs)) == jobs  # noqa: S301 - our own
    assert len(jobs[0].warnings) == 2


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (["*"], ["svc-a", "svc-b", "api", "common"]),
        (["api"], ["api"]),
        (["common", "svc-*"], ["svc-a", "svc-b", "common"]),
        (["svc-?", "svc-a", "*b"], ["svc-a", "svc-b"]),
        (["[ac]*"], ["api", "common"]),
    ],
)
def test_selection_keeps_the_order_of_the_file(root: Path, only: list[str], names: list[str]) -> None:
    assert [job.name for job in plan(many(root), only)] == names


def test_every_pattern_that_matches_nothing_is_told(root: Path) -> None:
    with pytest.raises(BundleError) as caught:
        plan(many(root), ["api", "comon", "API", "zzz", "api,common"])
    problems = caught.value.problems
    assert {one.code for one in problems} == {Code.UNKNOWN_NAME}
    assert [one.message for one in problems] == [
        '"comon" matches no function and no layer',
        '"API" matches no function and no layer',
        '"zzz" matches no function and no layer',
        '"api,common" matches no function and no layer',
    ]
    assert [one.hint for one in problems] == [
        'did you mean "common"?',
        'did you mean "api"?',
        "the names are svc-a, svc-b, api, common",
        "--only takes one name; give it once for each",
    ]


def test_output_and_format_can_be_chosen(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "src")
    config = many(root)
    (job,) = plan(config, ["api"], output=Path("../out"), format="dir")
    assert job.artifact == root.resolve() / "out" / "api"


@pytest.mark.parametrize("output", [".", "..", "src", "linked"])
def test_artifacts_must_not_replace_sources(root: Path, output: str) -> None:
    (root / "linked").symlink_to(root)
    with pytest.raises(BundleError) as caught:
        plan(many(root), output=root / output)
    (problem,) = caught.value.problems
    assert problem.code is Code.INVALID_OPTION
    assert problem.where == Where(key="--output")
    assert f"{(root / output).resolve()} cannot be the output folder" in problem.message


def test_an_output_folder_inside_the_sources_is_good(root: Path) -> None:
    config = loaded(root, '[layers.all]\nentry = "."\n')
    assert plan(config)[0].output == root.resolve() / "dist"
    assert plan(config, output=root / "src" / "dist")[0].output == root.resolve() / "src" / "dist"


# --- layers


def test_a_function_brings_its_layers_along(root: Path) -> None:
    text = f"""
        [functions.api]\n{HANDLER}layers = ["wide", "common"]
        [layers.common]\n{ENTRY}tags = ["manylinux_2_28_aarch64"]
        [layers.wide]\n{ENTRY}runtimes = ["python3.12", "python3.13"]
        """
    config = loaded(root, text)
    api, common, wide = plan(config, today=TODAY)
    assert api.layers == (wide, common)
    assert plan(config, ["api"], today=TODAY) == (api,)
    assert plan(config, ["api"], today=TODAY, format="dir")[0].layers[0].artifact.name == "wide"
    assert common.layers == wide.layers == ()
    assert pickle.loads(pickle.dumps(api)) == api  # noqa: S301 - our own
    assert wide.runtimes == ("python3.12", "python3.13")
    assert wide.targets == (Target("python3.12", "arm64"), Target("python3.13", "arm64"))
    assert wide.serving(api.target) == wide.targets[1]
    assert common.serving(api.target) == Target("python3.13", "arm64", ("manylinux_2_28_aarch64",))
    assert [wide.site(target) for target in wide.targets] == [
        "lib/python3.12/site-packages/",
        "lib/python3.13/site-packages/",
    ]
    assert (common.site(common.target), api.site(api.target)) == ("", "")


def test_layers_of_defaults_are_those_of_functions(root: Path) -> None:
    text = f"""layers = ["common"]
        [functions.a]\n{HANDLER}
        [functions.b]\n{HANDLER}layers = []
        [layers.common]\n{ENTRY}
        """
    a, b, common = plan(loaded(root, text), today=TODAY)
    assert (a.layers, b.layers, common.layers) == ((common,), (), ())


def test_one_of_several_runtimes_that_is_deprecated_is_told_where_it_stands(root: Path) -> None:
    text = f"""[layers.a]\n{ENTRY}runtimes = [\n"python3.13",\n"python3.9",\n]\n"""
    (warning,) = plan(loaded(root, text, runtime="python3.8"), today=TODAY)[0].warnings
    assert warning.message.startswith("AWS deprecated python3.9 ")
    assert warning.where == Where(file="bundles.toml", line=8, key="layers.a.runtimes[1]")


# --- warnings


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_deprecated_runtime_is_told_from_its_day_on(root: Path, runtime: str) -> None:
    config = loaded(root, f"[layers.a]\n{ENTRY}", runtime=runtime, arch="x86_64")
    last = date.fromordinal(RUNTIMES[runtime].deprecated.toordinal() - 1)
    assert plan(config, today=last)[0].warnings == ()
    (warning,) = plan(config, today=RUNTIMES[runtime].deprecated)[0].warnings
    assert (warning.code, warning.severity) == (Code.DEPRECATED_RUNTIME, "warning")
    assert f"AWS deprecated {runtime} on {RUNTIMES[runtime].deprecated}" in warning.message
    assert warning.hint == "move to a newer runtime; the newest is python3.14"


def test_whose_runtime_is_deprecated_is_told(root: Path) -> None:
    """Where it is written for several, at most ten are named."""
    day = RUNTIMES["python3.9"].deprecated
    text = "".join(f"[layers.n{number:02}]\n{ENTRY}" for number in range(12))
    several = plan(loaded(root, text, runtime="python3.9"), today=day)
    ((told,),) = {job.warnings for job in several}
    assert told.message.endswith(
        "; it is that of n00, n01, n02, n03, n04, n05, n06, n07, n08, n09 and 2 more"
    )
    two = f'[layers.a]\n{ENTRY}[layers.b]\n{ENTRY}runtime = "python3.9"\n[layers.c]\n{ENTRY}'
    warnings = [
        one for job in plan(loaded(root, two, runtime="python3.8"), today=day) for one in job.warnings
    ]
    assert [one.message.partition("; it is that")[2] for one in warnings] == [" of a, c", "", " of a, c"]


@pytest.mark.parametrize(
    ("today", "created", "updated"),
    [
        (date(2026, 11, 22), "is blocked from 2027-02-01 on", "is blocked from 2027-03-03 on"),
        (date(2027, 2, 1), "has been blocked since 2027-02-01", "is blocked from 2027-03-03 on"),
        (date(2027, 4, 1), "has been blocked since 2027-02-01", "has been blocked since 2027-03-03"),
    ],
)
def test_what_deprecation_blocks(root: Path, today: date, created: str, updated: str) -> None:
    config = loaded(root, f'[layers.a]\n{ENTRY}runtime = "python3.10"\n')
    (warning,) = plan(config, today=today)[0].warnings
    said = f"creating functions {created}; updating them {updated}"
    assert warning.message == f"AWS deprecated python3.10 on 2026-10-31; {said}"


def test_today_is_todays_date(root: Path) -> None:
    (warning,) = plan(loaded(root, f"[layers.a]\n{ENTRY}", runtime="python3.8"))[0].warnings
    assert warning.code is Code.DEPRECATED_RUNTIME


@pytest.mark.parametrize(
    ("runtime", "tags", "codes"),
    [
        ("python3.13", [], []),
        ("python3.13", ["manylinux_2_34_aarch64", "linux_aarch64"], []),
        ("python3.13", ["manylinux_2_35_aarch64"], [Code.TAGS_BEYOND_RUNTIME]),
        ("python3.11", ["manylinux_2_26_aarch64", "manylinux2014_aarch64"], []),
        ("python3.11", ["manylinux_2_28_aarch64"], [Code.TAGS_BEYOND_RUNTIME]),
        ("python3.13", ["musllinux_1_2_aarch64", "manylinux_2_28_aarch64"], [Code.MUSL_TAGS]),
        (
            "python3.11",
            ["manylinux_2_28_aarch64", "musllinux_1_1_aarch64"],
            [Code.MUSL_TAGS, Code.TAGS_BEYOND_RUNTIME],
        ),
    ],
)
def test_tags_that_may_not_load_are_told(
    root: Path, runtime: str, tags: list[str], codes: list[Code]
) -> None:
    config = loaded(root, f"[layers.a]\n{ENTRY}" + (f"tags = {tags}\n" if tags else ""), runtime=runtime)
    warnings = plan(config, today=TODAY)[0].warnings
    assert [one.code for one in warnings] == codes
    for warning in warnings:
        assert warning.severity == "warning"
        assert warning.where == Where(file="bundles.toml", line=6, key="layers.a.tags")


def test_which_tags_are_beyond_the_runtime(root: Path) -> None:
    tags = ["manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux_2_34_aarch64"]
    config = loaded(root, f"[layers.a]\n{ENTRY}tags = {tags}\n", runtime="python3.11")
    (warning,) = plan(config, today=TODAY)[0].warnings
    assert warning.message == (
        "manylinux_2_28, manylinux_2_34 wheels may need a newer glibc than the 2.26 of python3.11"
    )


def test_warnings_are_where_the_value_is_written(root: Path) -> None:
    text = f"""[layers.a]\n{ENTRY}[layers.b]\n{ENTRY}
        [[overrides]]
        select = ["b"]
        runtime = "python3.8"
        """
    warnings = [
        one for job in plan(loaded(root, text, runtime="python3.9"), today=TODAY) for one in job.warnings
    ]
    assert [one.where for one in warnings] == [
        Where(file="bundles.toml", line=2, key="defaults.runtime"),
        Where(file="bundles.toml", line=11, key="overrides[0].runtime"),
    ]
