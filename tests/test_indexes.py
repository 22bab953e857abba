"""`[index]`: what it can say, what it must not, and how its variables are filled in."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_bundle import BundleError, Code, Problem, Where, load, plan
from lambda_bundle.access import secrets, with_index
from lambda_bundle.indexes import NO_INDEX, Address, Index, expand, secret_values
from lambda_bundle.reqfile import read
from lambda_bundle.targets import Target
from lambda_bundle.variables import rooted
from lambda_bundle.wanted import NO_REQUIREMENTS, Requirements

FUNCTION = """
[functions.api]
entry = "."
handler = "app.handler"
runtime = "python3.13"
arch = "arm64"
"""
SECRET = "hunter2-and-more"


def faults(root: Path, text: str) -> list[Problem]:
    (root / "bundles.toml").write_text(f"{text}\n{FUNCTION}", encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        load(root / "bundles.toml")
    return list(caught.value.problems)


PASSWORDS = {
    f'url = "https://me:{SECRET}@packages.example.com/simple"': "index.url",
    f'url = "https://{SECRET}:@packages.example.com/simple"': "index.url",
    f'url = "https://me:{SECRET}/x@packages.example.com/simple"': "index.url",
    f'url = "htps://me:{SECRET}@packages.example.com/simple"': "index.url",
    f'url = "//me:{SECRET}@packages.example.com/simple"': "index.url",
    f'url = "https://packages.example.com/simple?token={SECRET}"': "index.url",
    f'url = "https://me:${{A}}{SECRET}@packages.example.com/simple"': "index.url",
    f'url = ["https://me:{SECRET}@packages.example.com/simple"]': "index.url",
    f'url = "https://me:{SECRET} @packages.example.com/simple"': "index.url",
    f'extra = "https://me:{SECRET}@packages.example.com/simple"': "index.extra",
    f'extra = ["${{A}}", "https://me:{SECRET}@packages.example.com/simple"]': "index.extra[1]",
    f'links = ["https://me:{SECRET}@packages.example.com/wheels.html"]': "index.links[0]",
    f'password = "{SECRET}"': "index.password",
}


@pytest.mark.parametrize("line", PASSWORDS)
def test_a_password_is_an_error_that_names_the_key_alone(line: str, tmp_path: Path) -> None:
    problems = faults(tmp_path, f"[index]\n{line}")
    assert {one.where.key for one in problems} == {PASSWORDS[line]}
    assert {one.where.line for one in problems} == {2}
    assert SECRET not in str(problems)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIP_INDEX_URL", f"https://me:{SECRET}@packages.example.com/simple"),
        ("UV_INDEX", f"house=https://me:{SECRET}@packages.example.com/simple"),
        ("UV_INDEX_HOUSE_PASSWORD", SECRET),
    ],
)
def test_a_password_in_env_is_an_error_too(name: str, value: str, tmp_path: Path) -> None:
    (problem,) = faults(tmp_path, f'[defaults.env]\n{name} = "{value}"')
    assert problem.where.key == f"defaults.env.{name}"
    assert SECRET not in str(problem)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('url = ""', "must not be empty"),
        ('url = "packages.example.com/simple"', "begins with https://"),
        ('url = "wheels/"', "begins with https://"),
        ('url = "ftp://packages.example.com"', "begins with https://"),
        ('url = "https://packages.example.com/a b"', "no blank"),
        ('url = "https://me:${token}@packages.example.com"', "written ${NAME}"),
        ('url = "https://me:$TOKEN@packages.example.com"', "written ${NAME}"),
        ('links = [""]', "must not be empty"),
        ('links = ["a\\nb"]', "no control character"),
        ("links = [1]", "must be a string, not 1"),
        ('urls = ["x"]', 'unknown key "urls"'),
        ("url = 1", "must be a string, not 1"),
    ],
)
def test_what_is_no_address(line: str, says: str, tmp_path: Path) -> None:
    problems = faults(tmp_path, f"[index]\n{line}")
    assert any(says in one.message for one in problems), problems


def test_jobs_carry_addresses_without_values(tmp_path: Path) -> None:
    line = 'url = "https://me:${TOKEN}@packages.example.com/simple"\nlinks = ["our wheels"]'
    (tmp_path / "bundles.toml").write_text(f"[index]\n{line}\n{FUNCTION}")
    (job,) = plan(load(tmp_path / "bundles.toml"))
    assert job.index.url is not None
    assert job.index.url.text == "https://me:${TOKEN}@packages.example.com/simple"
    assert (job.index.url.where.line, job.index.url.where.key) == (2, "index.url")
    assert [one.text for one in job.index.links] == ["our wheels"]
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301 - our own


# --- filling in


def address(text: str) -> Address:
    return Address(text=text, where=Where(file="bundles.toml", line=1, key="index.url"))


def filled(text: str, environ: Mapping[str, str]) -> str:
    url = expand(Index(url=address(text)), Path(), environ).url
    assert url is not None
    return url


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_any_password_can_stand_in_an_address(password: str) -> None:
    """Whatever it is made of, the address is understood, and what it says is the password."""
    url = filled("https://me:${TOKEN}@packages.example.com/simple", {"TOKEN": password})
    parts = urlsplit(url)
    assert (parts.hostname, parts.path, parts.username) == ("packages.example.com", "/simple", "me")
    # What looks escaped counts as escaped.
    assert unquote(parts.password or "") in {password, unquote(password)}


@given(
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=4).filter(lambda text: "://" not in text)
)
def test_every_form_of_a_password_is_secret(password: str) -> None:
    index = Index(url=address("https://me:${TOKEN}@packages.example.com/simple"))
    found = expand(index, Path(), {"TOKEN": password})
    assert {password, unquote(password)} <= found.secrets
    assert urlsplit(found.url or "").password in found.secrets


def test_the_password_of_a_whole_address_is_secret_and_the_rest_is_not() -> None:
    url = f"https://me:{quote('p@ss/word')}@packages.example.com/simple"
    found = expand(Index(url=address("${ALL}")), Path(), {"ALL": url})
    assert "p@ss/word" in found.secrets
    assert url not in found.secrets


def test_a_host_and_a_path_are_no_secret() -> None:
    environ = {
        "HOST": "packages.example.com",
        "REPO": "stable",
        "TOKEN": "t0k3n",
        "KEY": "k3y",
        "QUERY": "s1gned",
    }
    text = "https://${TOKEN}@${HOST}/${REPO}/${KEY}/simple?x=${QUERY}"
    assert secret_values(text, environ) == {"t0k3n", "k3y", "s1gned"}


def test_variables_that_are_not_set_are_named_all_at_once(tmp_path: Path) -> None:
    index = Index(url=address("https://${A}:${B}@h/"), extra=(address("${C}"),), links=(address("${D}/x"),))
    with pytest.raises(BundleError) as caught:
        expand(index, tmp_path, {"A": "x", "B": "", "D": "line\n"})
    told = [(one.code, one.message.split(" is ")[0].split(" holds ")[0]) for one in caught.value.problems]
    assert told == [
        (Code.VARIABLE_MISSING, "the environment variable B"),
        (Code.VARIABLE_MISSING, "the environment variable C"),
        (Code.VARIABLE_MISSING, "the value of D"),
    ]
    assert all(one.hint for one in caught.value.problems)


def test_links_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "our wheels").mkdir()
    links = (address("./our wheels/"), address("https://h/x.html"), address(str(tmp_path)))
    found = expand(Index(links=links), tmp_path, {})
    assert found.links == (str(tmp_path / "our wheels"), "https://h/x.html", str(tmp_path))
    with pytest.raises(BundleError) as caught:
        expand(Index(links=(address("absent"),)), tmp_path, {})
    assert caught.value.problems[0].code is Code.REQUIREMENTS_MISSING


# --- what holds


def wanted(root: Path, text: str) -> Requirements:
    (root / "requirements.txt").write_text(text)
    return read(
        root / "requirements.txt",
        markers=Target("python3.13", "arm64").markers,
        environ={},
        shown=lambda path: path.name,
        resolve=lambda folder, relative: folder / relative,
    )


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("six\n", "https://common/simple"),
        ("--index-url https://own/simple\nsix\n", "https://own/simple"),
        ("--no-index\nsix\n", None),
    ],
)
def test_requirements_are_nearer(text: str, url: str | None, tmp_path: Path) -> None:
    index = Index(url=address("https://common/simple"), extra=(address("https://${HOST}/simple"),))
    extra = "--extra-index-url https://other/simple\n"
    environ = {"HOST": "third"}
    options = with_index(wanted(tmp_path, extra + text), index, root=tmp_path, environ=environ).options
    assert options.index_url == url
    assert options.extra_index_urls == ("https://other/simple", "https://third/simple")


def test_nothing_is_looked_at_where_nothing_is_required(tmp_path: Path) -> None:
    index = Index(url=address("${NOT_SET}"))
    assert with_index(NO_REQUIREMENTS, index, root=tmp_path, environ={}) is NO_REQUIREMENTS


@pytest.mark.parametrize(
    "url",
    [
        f"htps://me:{SECRET}@packages.example.com/simple",
        f"http://me:{SECRET}/more@packages.example.com/simple",
        f"http://me:{SECRET}#more@packages.example.com/simple",
    ],
)
@pytest.mark.parametrize("option", ["--index-url", "--extra-index-url", "--find-links"])
def test_addresses_that_cannot_be_understood_are_told_without_them(
    option: str, url: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleError) as caught:
        with_index(wanted(tmp_path, f"{option} {url}\nsix\n"), NO_INDEX, root=tmp_path, environ={})
    (problem,) = caught.value.problems
    assert problem.code is Code.INVALID_REQUIREMENT
    assert SECRET not in str(problem)
    assert "****@" in problem.message


def test_folder_of_the_requirements_that_is_not_there(tmp_path: Path) -> None:
    """pip would go on without it, and say so in a place where nobody looks."""
    (tmp_path / "wheels").mkdir()
    lines = (
        f"--find-links wheels\n--find-links https:me:{SECRET}@h/x\n--find-links {tmp_path / 'gone'}\nsix\n"
    )
    with pytest.raises(BundleError) as caught:
        with_index(wanted(tmp_path, lines), NO_INDEX, root=tmp_path, environ={})
    problems = caught.value.problems
    assert {problem.code for problem in problems} == {Code.REQUIREMENTS_MISSING}
    assert [problem.message for problem in problems] == [
        f"{tmp_path}/****@h/x does not exist",
        f"{tmp_path / 'gone'} does not exist",
    ]


# --- the environment


def test_secrets_of_the_environment() -> None:
    environ = {
        "UV_INDEX_HOUSE_USERNAME": "me",
        "UV_INDEX_HOUSE_PASSWORD": "p4ss",
        "UV_INDEX_OTHER_USERNAME": "a-token",
        "UV_DEFAULT_INDEX": "https://me:in%20url@h/simple",
        "PIP_EXTRA_INDEX_URL": "https://h/simple https://you:second@h/simple",
        "HTTPS_PROXY": "http://me:proxied@proxy:8080",
        "HOME": "https://me:not-ours@h/",
    }
    assert secrets(environ) == {"p4ss", "a-token", "in%20url", "in url", "second", "proxied"}


def test_relative_paths_of_the_environment() -> None:
    given_environ = {
        "UV_FIND_LINKS": "wheels,https://h/x.html",
        "PIP_FIND_LINKS": "wheels /srv/wheels",
        "UV_INDEX": "house=./simple other=https://h/simple",
        "UV_DEFAULT_INDEX": "simple",
        "PIP_CONFIG_FILE": "/dev/null",
        "UV_CONFIG_FILE": "uv.toml",
        "NETRC": "~/netrc",
        "PIP_CERT": "",
        "PATH": "bin",
    }
    assert rooted(given_environ, "/repo") == {
        **given_environ,
        "UV_FIND_LINKS": "/repo/wheels,https://h/x.html",
        "PIP_FIND_LINKS": "/repo/wheels /srv/wheels",
        "UV_INDEX": "house=/repo/simple other=https://h/simple",
        "UV_DEFAULT_INDEX": "/repo/simple",
        "UV_CONFIG_FILE": "/repo/uv.toml",
    }
