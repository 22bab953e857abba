"""Private indexes: who may enter does, who may not is told so, and no password is left anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from loopback import Index, serving
from projects import HANDLER, TASKS, Project, Ran
from uv import find_uv_bin
from wheelhouse import Wheelhouse

from lambda_bundle import Code

BACKENDS = ("uv", "pip")
USER = "build"
PASSWORD = "S3cr3t/p@ss+w0rd"
ROTATED = "An0ther/p@ss+w0rd"
TOKEN = "t0k3n-0f-the-url"


def forms(password: str) -> set[str]:
    """Every way in which a password can be written."""
    plain = {password, quote(password), quote(password, safe=""), password.partition("/")[0]}
    encoded = {b64encode(text.encode()).decode().rstrip("=") for text in (password, f"{USER}:{password}")}
    return plain | encoded


FORBIDDEN = {form.encode() for secret in (PASSWORD, ROTATED, TOKEN) for form in forms(secret)}


def leaks(folder: Path) -> list[str]:
    """Files below a folder that hold a password, and names that do."""
    found = []
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        name = str(path.relative_to(folder)).encode()
        found += [str(path) for form in FORBIDDEN if form in content or form in name]
    return found


@dataclass
class Private:
    """A repository with functions, a private index on the loopback, and what the backends keep."""

    root: Path
    environ: dict[str, str]
    index: Index
    host: str

    @property
    def project(self) -> Project:
        return Project(self.root / "repo", self.environ)

    def declare(
        self,
        head: str,
        entries: Mapping[str, str],
        backends: tuple[str, ...] = BACKENDS,
        without: Collection[str] = (),
    ) -> None:
        """One function for each requirements file and backend, called after both."""
        text = f'[defaults]\nruntime = "python3.12"\narch = "arm64"\nexclude = ["requirements.txt"]\n{head}\n'
        files = {"tasks.py": TASKS}
        for name, requirements in entries.items():
            files |= {f"{name}/app.py": HANDLER, f"{name}/requirements.txt": requirements}
            for backend in backends:
                if f"{name}-{backend}" not in without:
                    text += f'[functions.{name}-{backend}]\nentry = "{name}"\nhandler = "app.handler"\n'
                    text += f'backend = "{backend}"\n'
        self.project.write({**files, "bundles.toml": text})

    def bundle(self, *options: str, **environ: str) -> Ran:
        """Bundle everything; no password may be in what is said, in what is made, or in what is kept."""
        ran = self.project.here("bundle", "--all", *options, **environ)
        told = f"{ran.out}\n{ran.err}".encode()
        assert [form for form in FORBIDDEN if form in told] == []
        for folder in ("kept", "uv-cache", "pip-cache", "tmp", "repo/dist"):
            assert (found := leaks(self.root / folder)) == [], found
        return ran

    def built(self, *options: str, **environ: str) -> dict[str, list[str]]:
        """Bundle everything with success; the wheels of each function."""
        ran = self.bundle(*options, **environ)
        assert ran.code == 0, ran.err
        rows = json.loads((self.root / "repo/dist/manifest.json").read_text())["artifacts"]
        return {name: [wheel["file"] for wheel in row["wheels"]] for name, row in rows.items()}

    @property
    def kept(self) -> list[str]:
        """The keys of the sets and packs in the cache."""
        places = [path for kind in ("sets", "packs") for path in (self.root / "kept").glob(f"*/{kind}/*")]
        return sorted(path.stem for path in places)

    @property
    def digests(self) -> dict[str, str]:
        """Those of the manifest."""
        rows = json.loads((self.root / "repo/dist/manifest.json").read_text())["artifacts"]
        return {name: row["digest"] for name, row in rows.items()}


def environment(clean: Mapping[str, str], root: Path) -> dict[str, str]:
    """An environment in which the backends know no index, wait for nothing, and keep all below a folder."""
    return {
        **{name: value for name, value in clean.items() if not name.upper().endswith("_PROXY")},
        "LAMBDA_BUNDLE_CACHE": str(root / "kept"),
        "HOME": str(root),
        "XDG_CONFIG_HOME": str(root),
        "UV_CACHE_DIR": str(root / "uv-cache"),
        "PIP_CACHE_DIR": str(root / "pip-cache"),
        "UV_HTTP_RETRIES": "0",
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": "3",
        "UV_HTTP_TIMEOUT": "3",
        "NO_PROXY": "127.0.0.1",
        "TMPDIR": str(root / "tmp"),
    }


@pytest.fixture
def private(tmp_path: Path, clean_environ: Mapping[str, str], acquainted: Path) -> Iterator[Private]:
    house = Wheelhouse(tmp_path / "packages")
    for name in ("packages", "repo", "tmp"):
        (tmp_path / name).mkdir()
    shutil.copytree(acquainted, tmp_path / "uv-cache")
    house.wheel("top", requires=["dep>=1"])
    house.wheel("dep", "1.5")
    index = Index(folder=house.folder, credentials=f"{USER}:{PASSWORD}")
    with serving(index) as host:
        yield Private(tmp_path, environment(clean_environ, tmp_path), index, host)


WHEELS = ["dep-1.5-py3-none-any.whl", "top-1.0-py3-none-any.whl"]
BOTH = {"api-uv": WHEELS, "api-pip": WHEELS}


def at(host: str, userinfo: str = "") -> str:
    return f"http://{userinfo}{host}/simple"


# --- who may enter


def test_variables_of_the_index_table(private: Private) -> None:
    """The value of a variable needs no escaping there."""
    private.declare(f'[index]\nurl = "{at(private.host, "build:${TOKEN}@")}"', {"api": "top\n"})
    assert private.built(TOKEN=PASSWORD) == BOTH


def test_whole_address_in_a_variable(private: Private) -> None:
    private.declare('[index]\nurl = "${INDEX}"', {"api": "top\n"}, ("uv",))
    built = private.built(INDEX=at(private.host, f"{USER}:{quote(PASSWORD, safe='')}@"))
    assert built == {"api-uv": WHEELS}


def test_netrc(private: Private) -> None:
    netrc = private.root / "credentials"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    netrc.chmod(0o600)
    private.declare(f'[index]\nurl = "{at(private.host)}"', {"api": "top\n"})
    assert private.built(NETRC=str(netrc)) == BOTH


@pytest.mark.skipif(os.name == "nt", reason="the keyring of this test is a shell script")
def test_keyring(private: Private) -> None:
    """A command that is asked for the password of a user: the name stands in the address."""
    program = private.root / "bin/keyring"
    program.parent.mkdir()
    pair = json.dumps({"username": USER, "password": PASSWORD})
    program.write_text(
        f"""#!/bin/sh
        echo "$*" >> "{private.root}/asked"
        case "$*" in
            "get "*" {USER}") echo '{PASSWORD}';;
            "--mode=creds --output=json get "*" {USER}") echo '{pair}';;
            *) exit 1;;
        esac
        """
    )
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{private.environ['PATH']}"
    provider = {"UV_KEYRING_PROVIDER": "subprocess", "PIP_KEYRING_PROVIDER": "subprocess"}
    private.declare(f'[index]\nurl = "{at(private.host, f"{USER}@")}"', {"api": "top\n"})
    assert private.built(PATH=path, **provider) == BOTH
    asked = (private.root / "asked").read_text().splitlines()
    assert all(private.host in line and line.endswith(f" {USER}") for line in asked)
    assert private.bundle("--force", "--upgrade", PATH=path).code == 1  # nobody asks it unless told to


def test_variables_of_the_backends(private: Private) -> None:
    private.declare("", {"api": "top\n"})
    address = at(private.host, f"{USER}:{quote(PASSWORD, safe='')}@")
    assert private.built(UV_DEFAULT_INDEX=address, PIP_INDEX_URL=address) == BOTH


def test_names_and_passwords_of_uv(private: Private) -> None:
    private.declare("", {"api": "top\n"}, ("uv",))
    known = {"UV_INDEX_HOUSE_USERNAME": USER, "UV_INDEX_HOUSE_PASSWORD": PASSWORD}
    assert private.built(UV_DEFAULT_INDEX=f"house={at(private.host)}", **known) == {"api-uv": WHEELS}


def test_variables_of_a_requirements_file(private: Private) -> None:
    line = f"--index-url {at(private.host, 'build:${TOKEN}@')}\n"
    private.declare("", {"api": f"{line}top\n"})
    assert private.built(TOKEN=quote(PASSWORD, safe="")) == BOTH


def test_requirements_come_before_the_index_table_and_that_before_the_environment(
    private: Private, tmp_path: Path
) -> None:
    """Each of the three has another version."""
    hosts = {}
    with ExitStack() as stack:
        for version in ("1.0", "2.0", "3.0"):
            house = Wheelhouse(tmp_path / version)
            house.folder.mkdir()
            house.wheel("pkg", version)
            hosts[version] = at(stack.enter_context(serving(Index(folder=house.folder))))
        entries = {"own": f"--index-url {hosts['1.0']}\npkg\n", "common": "pkg\n"}
        private.declare(f'[index]\nurl = "{hosts["2.0"]}"', entries)
        built = private.built(UV_DEFAULT_INDEX=hosts["3.0"], PIP_INDEX_URL=hosts["3.0"])
    expected = {"own": ["pkg-1.0-py3-none-any.whl"], "common": ["pkg-2.0-py3-none-any.whl"]}
    assert built == {f"{name}-{one}": expected[name] for name in expected for one in BACKENDS}


def test_extra_index_and_folders_of_wheels(private: Private) -> None:
    """Paths are relative to bundles.toml, and to the requirements file; both may have spaces."""
    for name in ("repo/our wheels", "repo/api/its wheels"):
        (private.root / name).mkdir(parents=True)
    Wheelhouse(private.root / "repo/our wheels").wheel("ours")
    Wheelhouse(private.root / "repo/api/its wheels").wheel("its")
    head = f'[index]\nextra = ["{at(private.host, "build:${TOKEN}@")}"]\nlinks = ["our wheels/"]\n'
    private.declare(head, {"api": '--find-links "its wheels"\ntop\nours\nits\n'})
    nowhere = {"UV_DEFAULT_INDEX": (private.root / "tmp").as_uri(), "PIP_INDEX_URL": at("127.0.0.1:9")}
    names = ["dep-1.5", "its-1.0", "ours-1.0", "top-1.0"]
    wheels = [f"{name}-py3-none-any.whl" for name in names]
    assert private.built(TOKEN=PASSWORD, **nowhere) == {"api-uv": wheels, "api-pip": wheels}


def test_relative_paths_in_variables(private: Private) -> None:
    """They are relative to the current folder, and those in `env` to bundles.toml, wherever backends run."""
    (private.root / "repo/wheels").mkdir()
    Wheelhouse(private.root / "repo/wheels").wheel("pkg")
    env = '[defaults.env]\nPIP_FIND_LINKS = "wheels"\nPIP_NO_INDEX = "1"\n'
    private.declare(env, {"api": "pkg\n"})
    built = private.built(UV_FIND_LINKS="./wheels", UV_DEFAULT_INDEX="api")
    assert set(map(tuple, built.values())) == {("pkg-1.0-py3-none-any.whl",)}
    assert not (private.root / "repo/api/wheels").exists()


# --- what uv's configuration of a project says

HOUSE = {"UV_INDEX_HOUSE_USERNAME": USER, "UV_INDEX_HOUSE_PASSWORD": PASSWORD}


@pytest.fixture
def public(tmp_path: Path) -> Iterator[str]:
    """An index for everyone, with other versions of the same packages."""
    house = Wheelhouse(tmp_path / "public")
    house.folder.mkdir()
    for name in ("top", "dep"):
        house.wheel(name, "9.0")
    with serving(Index(folder=house.folder)) as host:
        yield at(host)


def lock(private: Private, folder: str, **environ: str) -> None:
    """`uv lock`, as the user does it."""
    ran = private.project.run(
        [find_uv_bin(), "lock", "--python", sys.executable, "--no-progress", "--color", "never"],
        cwd=folder,
        **environ,
    )
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("explicit", [pytest.param(False, marks=pytest.mark.campaign), True])
def test_lock_of_a_project_that_names_its_index(explicit: bool, private: Private, public: str) -> None:
    """Both backends fetch from there with the variables that uv has for an index with a name."""
    private.declare("", {"api": ""})
    (private.root / "repo/api/requirements.txt").unlink()
    flags = "explicit = true" if explicit else "default = true"
    sources = 'top = { index = "house" }\ndep = { index = "house" }' if explicit else ""
    private.project.write(
        {
            "api/pyproject.toml": '[project]\nname = "api"\nversion = "1"\nrequires-python = ">=3.9"\n'
            f'dependencies = ["top", "dep"]\n[tool.uv.sources]\n{sources}\n'
            f'[[tool.uv.index]]\nname = "house"\nurl = "{at(private.host)}"\n{flags}\n'
        }
    )
    lock(private, "api", UV_DEFAULT_INDEX=public, **HOUSE) if explicit else lock(private, "api", **HOUSE)
    environ = {"UV_DEFAULT_INDEX": public} if explicit else {}
    assert private.built(**HOUSE, **environ) == BOTH
    shutil.rmtree(private.root / "kept")
    for name in ("uv-cache", "pip-cache"):
        shutil.rmtree(private.root / name, ignore_errors=True)
    codes = {result["problems"][0]["code"] for result in private.bundle("--json", **environ).data["results"]}
    assert codes == {Code.INDEX_UNAUTHORIZED}


@pytest.mark.parametrize("file", ["pyproject.toml", "api/uv.toml", "api/pyproject.toml"])
def test_configuration_of_uv_above_a_requirements_file(file: str, private: Private, public: str) -> None:
    """It is uv's own: pip does not read it."""
    prefix = "" if file.endswith("uv.toml") else "tool.uv."
    text = f'[[{prefix}index]]\nname = "house"\nurl = "{at(private.host)}"\n'
    backends = BACKENDS if file == "api/pyproject.toml" else ("uv",)
    private.declare("", {"api": "top\n"}, backends)
    private.project.write({file: text})
    built = private.built(UV_DEFAULT_INDEX=public, PIP_INDEX_URL=public, **HOUSE)
    expected = {"api-uv": WHEELS, "api-pip": ["top-9.0-py3-none-any.whl"]}
    assert built == {f"api-{one}": expected[f"api-{one}"] for one in backends}


# --- what is kept


def test_rotated_credentials_find_what_is_kept(private: Private) -> None:
    private.declare(f'[index]\nurl = "{at(private.host, "build:${TOKEN}@")}"', {"api": "top\n"}, ("uv",))
    private.built(TOKEN=PASSWORD)
    before = (private.kept, private.digests, dict(private.index.fetched))
    private.index.credentials = f"{USER}:{ROTATED}"
    private.built("--force", TOKEN=ROTATED)
    assert (private.kept, private.digests, dict(private.index.fetched)) == before
    assert len(private.kept) >= 2  # a set, and at least a pack


@pytest.mark.parametrize(
    ("head", "line", "environ"),
    [
        ('[index]\nurl = "http://build:${{TOKEN}}@{host}/simple"', "", {"TOKEN": PASSWORD}),
        pytest.param(
            "",
            "--index-url http://build:${{TOKEN}}@{host}/simple\n",
            {"TOKEN": quote(PASSWORD, safe="")},
            marks=pytest.mark.campaign,  # test_locks_outlast_other_passwords has a file with such a line
        ),
        (
            "",
            "",
            dict.fromkeys(("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), "http://build:{password}@{host}/simple"),
        ),
    ],
    ids=["index table", "requirements", "environment"],
)
def test_locks(head: str, line: str, environ: Mapping[str, str], private: Private) -> None:
    """They hold the addresses without credentials; those come from where they came from before."""
    words = {"host": private.host, "password": quote(PASSWORD, safe="")}
    environ = {name: value.format(**words) for name, value in environ.items()}
    backends = BACKENDS if not head else ("uv",)
    private.declare(head.format(**words), {"api": f"{line.format(**words)}top\n"}, backends)
    ran = private.project.here("lock", "--all", **environ)
    assert ran.code == 0, ran.err
    for backend in backends:
        text = (private.root / f"repo/api/pylock.api-{backend}.toml").read_text(encoding="utf-8")
        assert f'url = "http://{private.host}/files/top-1.0-py3-none-any.whl"' in text
    assert leaks(private.root / "repo") == []
    for name in ("kept", "uv-cache", "pip-cache"):
        shutil.rmtree(private.root / name, ignore_errors=True)
    assert private.built("--locked", **environ) == {f"api-{backend}": WHEELS for backend in backends}
    last = private.project.here("lock", "--all", **environ).err.splitlines()[-1]
    assert last == f"{len(backends)} up to date"


def test_locks_outlast_other_passwords(private: Private) -> None:
    """A digest of what was asked for has none of it."""
    private.declare("", {"api": f"--index-url {at(private.host, 'build:${TOKEN}@')}\ntop\n"}, ("uv",))
    assert private.project.here("lock", "--all", TOKEN=quote(PASSWORD, safe="")).code == 0
    private.index.credentials = f"{USER}:{ROTATED}"
    assert private.built("--locked", TOKEN=quote(ROTATED, safe="")) == {"api-uv": WHEELS}


def test_locks_of_an_index_without_hashes(private: Private) -> None:
    """uv fetches the wheels and knows; pip does not."""
    private.index.promised = dict.fromkeys(WHEELS, "")
    private.declare(f'[index]\nurl = "{at(private.host, "build:${TOKEN}@")}"', {"api": "top\n"})
    ran = private.project.here("lock", "--all", "--json", TOKEN=PASSWORD)
    uv, pip = ran.data["locks"]
    assert (uv["status"], pip["status"]) == ("locked", "failed")
    assert [one["code"] for one in pip["problems"]] == [Code.UNLOCKABLE.value]
    assert not (private.root / "repo/api/pylock.api-pip.toml").exists()


# --- who may not, and what else goes wrong


@dataclass(frozen=True)
class Failure:
    """Requirements that cannot be had, and the codes of the errors with uv and pip."""

    requirements: str
    uv: Code
    pip: Code


def same(requirements: str, code: Code) -> Failure:
    return Failure(requirements, code, code)


FAILURES = {
    "unauthorized": same("--index-url http://{me}@{locked}/simple\npkg\n", Code.INDEX_UNAUTHORIZED),
    "anonymous": same("--index-url http://{locked}/simple\npkg\n", Code.INDEX_UNAUTHORIZED),
    "forbidden": same("--index-url http://{me}@{forbidden}/simple\npkg\n", Code.INDEX_UNAUTHORIZED),
    "nowhere": same("--index-url http://{me}@{open}/elsewhere\npkg\n", Code.PACKAGE_NOT_FOUND),
    "absent": same("--index-url http://{me}@{open}/simple\nabsent\n", Code.PACKAGE_NOT_FOUND),
    "closed": same("--index-url http://{me}@127.0.0.1:9/simple\npkg\n", Code.INDEX_UNREACHABLE),
    "silent": same("--index-url http://{me}@{silent}/simple\npkg\n", Code.INDEX_UNREACHABLE),
    "not-tls": same("--index-url https://{me}@{open}/simple\npkg\n", Code.INDEX_UNREACHABLE),
    "broken": same("--index-url http://{me}@{forbidden}/broken\npkg\n", Code.INDEX_UNAUTHORIZED),
    "circle": Failure(
        "--index-url http://{me}@{moving}/simple\ncircle\n", Code.PACKAGE_NOT_FOUND, Code.INDEX_UNREACHABLE
    ),
    "unescaped": same("--index-url http://{raw}@{open}/simple\npkg\n", Code.INVALID_REQUIREMENT),
    "moved-to-locked": same("--index-url http://{me}@{moving}/simple\nlocked\n", Code.INDEX_UNAUTHORIZED),
    "scheme": same("--index-url htps://{me}@{open}/simple\npkg\n", Code.INVALID_REQUIREMENT),
    "line": same("pkg @ htps://{me}@{open}/files/pkg-1.0-py3-none-any.whl\n", Code.INVALID_REQUIREMENT),
    "nonsense": same("pkg = http://{me}@{open}/?token={token}\n", Code.INVALID_REQUIREMENT),
    "changed": same(
        f"--index-url http://{{me}}@{{open}}/simple\npkg==1.0 --hash=sha256:{'0' * 64}\n", Code.HASH_MISMATCH
    ),
    "token": same(
        "pkg @ http://{tokens}/files/pkg-1.0-py3-none-any.whl?token={token}-x\n", Code.INDEX_UNAUTHORIZED
    ),
    "token-lost": same(
        "gone @ http://{tokens}/files/gone-1.0-py3-none-any.whl?token={token}\n", Code.INDEX_UNREACHABLE
    ),
    "direct": same("pkg @ http://{me}@{locked}/files/pkg-1.0-py3-none-any.whl\n", Code.INDEX_UNAUTHORIZED),
    "git": same("pkg @ git+https://{me}@{closed}/pkg.git\n", Code.COMMAND_FAILED),
}
AT_LENGTH = {"anonymous", "broken", "closed", "forbidden", "moved-to-locked", "not-tls", "nowhere"}
"""Of these kinds pip has others above; with it they are for campaigns."""
SUCCESSES = {
    "open": "--index-url http://{me}@{open}/simple\npkg\n",
    "moved": "--index-url http://{me}@{moving}/simple\npkg\n",
    "signed": "pkg @ http://{tokens}/files/pkg-1.0-py3-none-any.whl?token={token}\n",
}


@dataclass(frozen=True)
class Outcome:
    """What came of all failures in one run, as JSON and as text."""

    results: dict[str, dict[str, Any]]
    text: str


@pytest.fixture(scope="module")
def outcome(
    tmp_path_factory: pytest.TempPathFactory,
    clean_environ: Mapping[str, str],
    pytestconfig: pytest.Config,
) -> Outcome:
    root = tmp_path_factory.mktemp("failures")
    for name in ("packages", "repo", "tmp"):
        (root / name).mkdir()
    house = Wheelhouse(root / "packages")
    house.wheel("pkg")
    with ExitStack() as stack:

        def serve(**how: Any) -> str:
            return stack.enter_context(serving(Index(folder=house.folder, **how)))

        quiet = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        hosts = {
            "open": serve(),
            "locked": serve(credentials="another:one"),
            "forbidden": serve(credentials="another:one", refusal=403),
            "tokens": serve(token=TOKEN),
            "silent": f"127.0.0.1:{quiet.getsockname()[1]}",
        }
        moved = {"/simple/circle/": "/simple/circle/"}
        moved |= {"/simple/locked/": f"http://{hosts['locked']}/simple/pkg/"}
        moved |= {"/simple/pkg/": f"http://{hosts['open']}/simple/pkg/"}
        hosts["moving"] = serve(moved=moved)
        filled = {
            "me": f"{USER}:{quote(PASSWORD, safe='')}",
            "token": TOKEN,
            "closed": "127.0.0.1:9",
            "raw": f"{USER}:{PASSWORD}",
            **hosts,
        }
        private = Private(root, environment(clean_environ, root), Index(folder=house.folder), hosts["open"])
        requirements = {name: failure.requirements for name, failure in FAILURES.items()} | SUCCESSES
        left_out = set() if pytestconfig.getoption("--campaign") else {f"{name}-pip" for name in AT_LENGTH}
        texts = {name: text.format(**filled) for name, text in requirements.items()}
        private.declare("", texts, without=left_out)
        ran = private.bundle("--json")
    assert ran.code == 1
    return Outcome({result["name"]: result for result in ran.data["results"]}, ran.err)


@pytest.mark.parametrize(
    ("case", "backend"),
    [
        pytest.param(
            *(case, backend),
            marks=pytest.mark.campaign if backend == "pip" and case in AT_LENGTH else [],
        )
        for case in FAILURES
        for backend in BACKENDS
    ],
)
def test_failure_is_told(case: str, backend: str, outcome: Outcome) -> None:
    """That no password is told or kept is looked at for all of them together, when they are made."""
    expected = getattr(FAILURES[case], backend)
    problems = outcome.results[f"{case}-{backend}"]["problems"]
    assert [one["code"] for one in problems] == [expected], problems
    assert problems[0]["hint"] or "neither http, https nor file" in problems[0]["message"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", SUCCESSES)
def test_what_works_beside_failures(case: str, backend: str, outcome: Outcome) -> None:
    result = outcome.results[f"{case}-{backend}"]
    assert result["status"] == "built", result["problems"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make a certificate")
def test_certificate_of_an_authority_of_ones_own(private: Private) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=here"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command.split(), *names], cwd=private.root, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(private.root / "cert.pem", private.root / "key.pem")
    with serving(private.index, context) as host:
        private.declare(f'[index]\nurl = "https://build:${{TOKEN}}@{host}/simple"', {"api": "top\n"})
        for result in private.bundle("--json", TOKEN=PASSWORD).data["results"]:
            assert [one["code"] for one in result["problems"]] == [Code.INDEX_UNREACHABLE]
            assert result["problems"][0]["message"] == "the certificate of a package index is not trusted"
        trusted = str(private.root / "cert.pem")
        assert private.built(TOKEN=PASSWORD, SSL_CERT_FILE=trusted, PIP_CERT=trusted) == BOTH


def test_host_that_pip_does_not_trust(private: Private) -> None:
    """Not every address of this machine is one that pip knows for that."""
    line = f"--index-url http://0.0.0.0:{private.host.partition(':')[2]}/simple\n"
    private.declare("", {"api": f"{line}top\n"}, ("pip",))
    (result,) = private.bundle("--json").data["results"]
    (problem,) = result["problems"]
    assert (problem["code"], "--trusted-host" in problem["hint"]) == (Code.INDEX_UNREACHABLE, True)


# --- offline


def test_offline_makes_no_request_and_finds_what_is_kept(private: Private) -> None:
    private.declare(f'[index]\nurl = "{at(private.host, "build:${TOKEN}@")}"', {"api": "top\n"})
    assert private.built(TOKEN=PASSWORD) == BOTH
    asked = private.index.asked.total()
    assert asked
    assert private.built("--offline", "--force", TOKEN=PASSWORD) == BOTH
    assert private.built("--offline", "--force", TOKEN=ROTATED) == BOTH
    shutil.rmtree(private.root / "kept")  # uv has the wheels all the same
    codes = {
        one["name"]: one["status"]
        for one in private.bundle("--offline", "--json", TOKEN=PASSWORD).data["results"]
    }
    assert codes == {"api-uv": "built", "api-pip": "failed"}
    assert private.index.asked.total() == asked


def test_another_index_is_asked_anew(private: Private, public: str) -> None:
    """What a variable names beside credentials tells one index from another."""
    private.declare('[index]\nurl = "http://build:${TOKEN}@${HOST}/simple"', {"api": "top\n"}, ("uv",))
    assert private.built(TOKEN=PASSWORD, HOST=private.host) == {"api-uv": WHEELS}
    other = public.removeprefix("http://").removesuffix("/simple")
    built = private.built("--force", TOKEN=PASSWORD, HOST=other)
    assert built == {"api-uv": ["top-9.0-py3-none-any.whl"]}


def test_offline_tells_what_is_missing(private: Private) -> None:
    index = at(private.host, f"{USER}:{quote(PASSWORD, safe='')}@")
    requirements = {
        "table": "top\n",
        "line": f"--index-url {index}\ntop\n",
        "links": f"--extra-index-url {index}\n--find-links {index}/top/\ntop>=1\n",
        "address": f"top @ http://{private.host}/files/top-1.0-py3-none-any.whl\n",
    }
    alike = {"table-pip", "links-pip"}  # pip is given both as it is given the line
    private.declare('[index]\nurl = "${INDEX}"', requirements, without=alike)
    ran = private.bundle("--offline", "--json", INDEX=index)
    assert ran.code == 1
    assert not private.index.asked
    results = {result["name"]: result["problems"] for result in ran.data["results"]}
    assert results.keys() == {f"{name}-{one}" for name in requirements for one in BACKENDS} - alike
    for name, (problem,) in results.items():
        text = requirements[name.partition("-")[0]]
        assert problem["code"] == Code.OFFLINE, problem
        assert problem["message"].startswith("top")
        assert problem["line"] == len(text.splitlines())
        assert "--offline" in problem["hint"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_offline_with_a_folder_of_wheels(backend: str, private: Private) -> None:
    head = f'[index]\nurl = "{at(private.host, "build:${TOKEN}@")}"\nlinks = ["../packages"]'
    private.declare(head, {"api": "top\n"}, (backend,))
    assert private.built("--offline", TOKEN=PASSWORD) == {f"api-{backend}": WHEELS}
    assert not private.index.asked


# --- a server that others have written


@pytest.fixture(scope="module")
def pypiserver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of pypiserver, from the real index, in an environment of its own."""
    folder = tmp_path_factory.mktemp("pypiserver") / "venv"
    uv, quietly = find_uv_bin(), ("--quiet", "--no-progress")
    subprocess.run([uv, "venv", *quietly, "--python", sys.executable, str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    command = [uv, "pip", "install", *quietly, "--python", str(python), "pypiserver[passlib]>=2.3,<3"]
    subprocess.run(command, check=True)
    return python


@pytest.mark.index
def test_pypiserver(pypiserver: Path, private: Private) -> None:
    """A password by variable and by netrc opens it; without one, and with another, it stays shut."""
    digest = b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()  # noqa: S324 - htpasswd's format
    (private.root / "htpasswd").write_text(f"{USER}:{{SHA}}{digest}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["-i", "127.0.0.1", "-p", str(port), "-P", "htpasswd", "-a", "update,download,list"]
    server = subprocess.Popen(
        [str(pypiserver), "-m", "pypiserver", "run", *options, "--disable-fallback", "packages"],
        cwd=private.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answers(port)
        host = f"127.0.0.1:{port}"
        head = f'[index]\nurl = "{at(host, "build:${TOKEN}@")}"'
        private.declare(head, {"api": "top\n"}, ("uv",))
        (result,) = private.bundle("--json", TOKEN=ROTATED).data["results"]
        assert [one["code"] for one in result["problems"]] == [Code.INDEX_UNAUTHORIZED]
        private.declare(head, {"api": "top\n"})
        assert private.built(TOKEN=PASSWORD) == BOTH
        kept = private.kept
        netrc = private.root / "credentials"
        netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        private.declare(f'[index]\nurl = "{at(host)}"', {"api": "top\n"})
        assert private.built("--force", NETRC=str(netrc)) == BOTH
        assert private.kept == kept
        shutil.rmtree(private.root / "kept")
        for result in private.bundle("--json", "--upgrade", "--force").data["results"]:
            assert [one["code"] for one in result["problems"]] == [Code.INDEX_UNAUTHORIZED]
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(300):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    pytest.fail("pypiserver does not start")
