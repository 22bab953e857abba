from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import lambda_bundle
from lambda_bundle import BundleError, Code, bundle, find, load, plan


def test_everything_that_is_exported_is_there() -> None:
    for name in lambda_bundle.__all__:
        thing = getattr(lambda_bundle, name)
        assert thing.__name__ == name
        assert thing.__module__.startswith("lambda_bundle.")


def test_the_names_of_the_documentation() -> None:
    promised = {"load", "plan", "bundle", "Config", "Job", "Result", "Problem", "BundleError"}
    assert promised <= set(lambda_bundle.__all__)
    assert lambda_bundle.__all__ == sorted(lambda_bundle.__all__, key=lambda name: (name.islower(), name))


def test_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match="'lambda_bundle' has no attribute 'nothing'"):
        lambda_bundle.nothing  # noqa: B018 - the access is what is tested


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(lambda_bundle).failed == 0


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version  # noqa: PLC0415 - only needed here

    assert version("lambda-bundle") == lambda_bundle.__version__


def test_from_a_file_to_artifacts(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "bundles.toml").write_text(
        '[functions.api]\nentry = "src"\nhandler = "app.handler"\nruntime = "python3.13"\narch = "arm64"\n'
    )
    results = bundle(plan(load(find(tmp_path / "src")), ["api"]), environ=environ)
    assert [(one.job.name, one.status, one.problems) for one in results] == [("api", "built", ())]
    assert results[0].job.artifact == tmp_path.resolve() / "dist" / "api.zip"
    assert results[0].job.artifact.is_file()
    assert not hasattr(results[0], "__dict__")


def test_errors_are_of_one_kind(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        load(tmp_path / "bundles.toml")
    assert [problem.code for problem in caught.value.problems] == [Code.CONFIG_MISSING]
