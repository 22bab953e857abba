"""What others do, where they are installed: uv's guide, pip, and SAM."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.bench import BUNDLE, Bench, Repo, remove
from benchmarks.generate import RUNTIME, Function
from benchmarks.measure import CommandError, Sample
from benchmarks.results import Row, Timed

_ZIP = "(cd build/$1 && zip -qr ../$1.zip .) && (cd functions/$1 && zip -qr ../../build/$1.zip .)"
PIP = (
    "python -m pip install --quiet --platform manylinux2014_$2 --python-version 3.11 --implementation cp"
    f" --abi cp311 --only-binary=:all: --target build/$1 -r functions/$1/requirements.txt && {_ZIP}"
)
"""One function with pip: `$1` is its name, `$2` the machine."""
UV = (
    "uv pip install --quiet --no-installer-metadata --no-compile-bytecode --python python"
    " --python-version 3.11 --python-platform $2-manylinux2014 --target build/$1"
    f" -r functions/$1/requirements.txt && {_ZIP}"
)
"""The recipe of uv's guide to AWS Lambda, which says --python 3.11 where that is installed."""
_XARGS = "xargs -P{jobs} -L1 sh -c '{script}' sh < functions.txt"


def per_function(repo: Repo, script: str, function: Function) -> Sample:
    """Run one of the scripts above for one function."""
    return repo.run(script, function.name, function.machine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another tool, and how it bundles all of a monorepo."""

    name: str
    needs: tuple[str, ...]
    """Commands that must be installed."""
    command: str
    output: str
    """The folder that is deleted before each run."""
    skips: bool = False
    """Whether it leaves out what has not changed; for the others that is a warm run again."""
    prepare: Callable[[Repo], None]


def _list(repo: Repo) -> None:
    """What xargs reads."""
    lines = (f"{one.name} {one.machine}\n" for one in repo.functions)
    (repo.root / "functions.txt").write_text("".join(lines), encoding="utf-8")


def _template(method: str | None) -> Callable[[Repo], None]:
    """Write SAM's template; `method` is what SAM calls the way to build."""

    def prepare(repo: Repo) -> None:
        resources = {one.name.title().replace("-", ""): _resource(one, method) for one in repo.functions}
        template = {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Transform": "AWS::Serverless-2016-10-31",
            "Resources": resources,
        }
        remove(repo.root / ".aws-sam")
        (repo.root / "template.json").write_text(json.dumps(template, indent=2), encoding="utf-8")

    return prepare


def _resource(function: Function, method: str | None) -> dict[str, object]:
    return {
        "Type": "AWS::Serverless::Function",
        **({"Metadata": {"BuildMethod": method}} if method else {}),
        "Properties": {
            "CodeUri": f"{function.entry}/",
            "Handler": "handler.handler",
            "Runtime": RUNTIME,
            "Architectures": [function.arch],
        },
    }


_SAM = "sam build --parallel --cached --template template.json"
PEERS = (
    Peer(
        name="uv's guide under xargs",
        needs=("uv", "zip", "xargs"),
        command=_XARGS.format(jobs=2, script=UV),
        output="build",
        prepare=_list,
    ),
    Peer(
        name="plain pip",
        needs=("zip", "xargs"),
        command=_XARGS.format(jobs=1, script=PIP),
        output="build",
        prepare=_list,
    ),
    Peer(
        name="SAM with pip, folders",
        needs=("sam", RUNTIME),
        command=_SAM,
        output=".aws-sam/build",
        skips=True,
        prepare=_template(None),
    ),
    Peer(
        name="SAM with uv, folders",
        needs=("sam", RUNTIME, "uv"),
        command=f"{_SAM} --beta-features",
        output=".aws-sam/build",
        skips=True,
        prepare=_template("python-uv"),
    ),
)


def peers(bench: Bench) -> Iterator[Row]:
    """A row for each peer, warm, and one more for each that skips what has not changed."""
    repo = bench.repo(bench.few)
    repo.bundle()
    for peer in PEERS:
        missing = [tool for tool in peer.needs if not bench.has(tool)]
        if missing:
            yield _row(repo, peer, "warm", note=f"not installed: {', '.join(missing)}")
            continue
        try:
            yield from _compared(bench, repo, peer)
        except CommandError as error:
            yield _row(repo, peer, "warm", note=f"failed: {error}")


def _compared(bench: Bench, repo: Repo, peer: Peer) -> Iterator[Row]:
    environ = {
        "HOME": str(bench.folder("home")),
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def run() -> Sample:
        return bench.run(peer.command, cwd=repo.root, environ=environ)

    def again() -> Sample:
        bench.empty(f"n{repo.n}/{peer.output}")
        return run()

    peer.prepare(repo)
    again()
    yield _row(repo, peer, "warm", bench.alternate((BUNDLE, repo.again), (peer.command, again)))
    if peer.skips:
        yield _row(repo, peer, "nothing changed", bench.alternate((BUNDLE, repo.bundle), (peer.command, run)))
    remove(repo.root / peer.output)


def _row(repo: Repo, peer: Peer, state: str, times: list[Timed] | None = None, note: str = "") -> Row:
    title = f"{state}, N = {repo.n}: times as fast as {peer.name}"
    if times is None:
        return Row(case="peers", title=title, note=note)
    ours, theirs = times
    return Row(
        case="peers",
        title=title,
        figure=theirs.best / ours.best,
        middle=theirs.middle / ours.middle,
        ours=ours,
        others=(theirs,),
    )
