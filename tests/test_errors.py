from __future__ import annotations

import pickle

import pytest

from lambda_bundle import BundleError, Code, Problem, Where
from lambda_bundle.errors import did_you_mean

CDK = [
    *("PythonMissing", "CommandFailed"),
    *("UnsupportedArchitecture", "UnsupportedRuntime", "UnparseableRuntime"),
]


def test_codes_have_the_form_of_those_of_the_cdk() -> None:
    values = [code.value for code in Code]
    assert len(set(values)) == len(values)
    for code in Code:
        words = "".join(word.capitalize() for word in code.name.split("_"))
        assert str(code) == code.value == f"PythonLocalBundling{words}"


@pytest.mark.parametrize("name", CDK)
def test_codes_of_the_cdk_are_kept(name: str) -> None:
    assert Code(f"PythonLocalBundling{name}").value.endswith(name)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (Where(), ""),
        (Where(file="a.toml"), "a.toml"),
        (Where(file="a.toml", line=3), "a.toml:3"),
        (Where(file="a.toml", line=3, column=7), "a.toml:3:7"),
        (Where(file="a.toml", line=3, key="x.y"), "a.toml:3: x.y"),
        (Where(key="--jobs"), "--jobs"),
        (Where(name="api", stage="install"), "api, install"),
        (Where(name="api", stage="install", file="r.txt", line=2), "api, install: r.txt:2"),
    ],
)
def test_where(where: Where, text: str) -> None:
    assert str(where) == text


def test_a_problem_gets_its_place_in_the_work() -> None:
    problem = Problem(code=Code.NO_WHEEL, message="none", where=Where(file="requirements.txt", line=2))
    assert problem.at(name="api", stage="install") == Problem(
        code=Code.NO_WHEEL,
        message="none",
        where=Where(file="requirements.txt", line=2, name="api", stage="install"),
    )


def test_an_error_survives_pickling_with_its_problems() -> None:
    error = BundleError(
        Problem(code=Code.NO_WHEEL, message="one", where=Where(line=1)),
        Problem(code=Code.CONFLICT, message="two", hint="h", detail="d", severity="warning"),
    )
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert isinstance(copy, BundleError)
    assert copy.problems == error.problems
    assert str(copy) == "one; two"


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("runtim", ["arch", "runtime"], 'did you mean "runtime"?'),
        ("RUNTIME", ["runtime"], 'did you mean "runtime"?'),
        ("dit", ["zip", "dir"], 'did you mean "dir"?'),
        ("xyz", ["runtime"], None),
        ("", ["runtime"], None),
        ("a", [], None),
    ],
)
def test_did_you_mean(word: str, known: list[str], hint: str | None) -> None:
    assert did_you_mean(word, known) == hint
