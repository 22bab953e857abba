"""The cases of the table, each a generator of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.bench import BUNDLE, Bench, Repo
from benchmarks.generate import MACHINES, RUNTIME, SETS, Function
from benchmarks.measure import Sample
from benchmarks.peers import PIP, peers, per_function
from benchmarks.results import Row, Timed

LIST, VALIDATE = "invoke --list", "invoke validate"
_QUICK = 5  # runs, at least, of what takes less than a second
_HANDLER = "def handler(event, context):\n    return event\n"
_MODULE = "import json\nfrom dataclasses import dataclass\n" + "".join(
    f"\n\n@dataclass\nclass Item{number}:\n    value: int = {number}\n\n    def told(self) -> str:\n"
    "        return json.dumps({'value': self.value})\n"
    for number in range(4)
)
"""A module of some forty lines."""
_FORCED = " --force"
_FOLDERS = " --format dir --output folders"
_INSTALL = (
    "uv pip install --quiet --only-binary :all: --python python --python-version 3.11"
    " --python-platform $1-manylinux_2_17 --target $2 --requirement $3"
)


def ratio(ours: Timed, *others: Timed) -> float:
    """How many times longer ours takes than the others one after the other, by their fastest runs."""
    return ours.best / sum(one.best for one in others)


def middle(ours: Timed, *others: Timed) -> float:
    """The same by the runs in the middle: some machines copy at very different speeds from run to run."""
    return ours.middle / sum(one.middle for one in others)


def warm(bench: Bench) -> Iterator[Row]:
    """The artifacts are gone, the caches are there."""
    repo = bench.repo(bench.n)
    repo.bundle()
    ours, forced, copy, start = bench.alternate(
        (BUNDLE, repo.again),
        (f"{BUNDLE}{_FORCED}", partial(repo.again, options=_FORCED)),
        ("cp -r dist copy", repo.copy),
        (LIST, lambda: repo.run(LIST)),
        at_least=_QUICK,
    )
    yield Row(
        case="warm",
        title=f"warm, N = {repo.n}, zip",
        figure=ratio(ours, copy, start),
        middle=middle(ours, copy, start),
        bound="≤",
        limit=1.5,
        ours=ours,
        others=(copy, start),
    )
    yield Row(
        case="warm",
        title=f"warm, N = {repo.n}, zip, without what is known of the last builds",
        figure=ratio(forced, copy, start),
        middle=middle(forced, copy, start),
        ours=forced,
        others=(copy, start),
    )


def pip(bench: Bench) -> Iterator[Row]:
    """The same, compared with pip and zip for each function."""
    title = f"warm, N = {bench.n}, zip: times as fast as pip and zip for each function"
    if not bench.has("zip"):
        yield Row(case="pip", title=title, note="zip is not installed")
        return
    repo = bench.repo(bench.n)
    repo.bundle()
    sample = {(one.deps, one.arch): one for one in reversed(repo.functions)}
    ours, theirs = bench.alternate((BUNDLE, repo.again), (PIP, lambda: _scaled(repo, list(sample.values()))))
    yield Row(
        case="pip",
        title=title,
        figure=ratio(theirs, ours),
        middle=middle(theirs, ours),
        bound="≥",
        limit=50,
        ours=ours,
        others=(theirs,),
        note=f"pip and zip ($1 a function, $2 its machine) were measured on {len(sample)} functions, one for "
        f"each dependency set and architecture, and their times multiplied to make {repo.n}; pip's cache is "
        "warm from the second run on",
    )


def _scaled(repo: Repo, sample: list[Function]) -> Sample:
    """What pip and zip would take for every function, by one of each kind."""
    count = Counter((one.deps, one.arch) for one in repo.functions)
    seconds = cpu = 0.0
    repo.bench.empty(f"n{repo.n}/build")
    for one in sample:
        took = per_function(repo, PIP, one)
        seconds += took.seconds * count[one.deps, one.arch]
        cpu += took.cpu * count[one.deps, one.arch]
    repo.delete("build")
    return Sample(seconds=seconds, cpu=cpu)


def deflate(bench: Bench) -> Iterator[Row]:
    """uv's cache is there; ours and the artifacts are not."""
    repo = bench.repo(bench.n)
    repo.bundle()
    _install_sets(bench, repo)
    ours, threads, processes = bench.alternate(
        (BUNDLE, repo.compressed_anew),
        (_COMPRESS, lambda: _compressed(bench)),
        (f"{_COMPRESS} --processes", lambda: _compressed(bench, " --processes")),
    )
    for other, how in (threads, "threads of one process"), (processes, "one process for each CPU"):
        yield Row(
            case="deflate",
            title=f"cold deflate, N = {repo.n}: compressing each distinct dependency set once, {how}",
            figure=ratio(ours, other),
            middle=middle(ours, other),
            bound="≤",
            limit=1.3,
            ours=ours,
            others=(other,),
        )


_COMPRESS = "python -m benchmarks.compress sets"


def _compressed(bench: Bench, options: str = "") -> Sample:
    """Compress every file below `sets`."""
    return bench.run(f"{_COMPRESS}{options}", environ={"PYTHONPATH": str(Path(__file__).parents[1])})


def _install_sets(bench: Bench, repo: Repo) -> None:
    """Install each distinct dependency set below `sets`."""
    bench.empty("sets")
    for one in {(one.deps, one.arch): one for one in repo.functions}.values():
        arguments = (one.machine, f"sets/{one.deps}-{one.arch}", f"n{repo.n}/{one.entry}/requirements.txt")
        bench.run(_INSTALL, *arguments)


_UNION = (
    "the sum of two installations of the union ($3), one for each architecture ($1), with one cache that is "
    "empty at first"
)


def cold(bench: Bench) -> Iterator[Row]:
    """Neither uv's cache is there nor ours: every wheel is fetched. Nothing is deleted, as in `folder`."""
    repo = bench.repo(bench.n)
    union = sorted({pin for one in repo.functions for pin in SETS[one.deps].pins})
    (bench.work / "union.txt").write_text("\n".join(union), encoding="utf-8")

    def install() -> Sample:
        name = bench.fresh("cold")
        installed = [_union(bench, arch, name) for arch in MACHINES]
        return Sample(seconds=sum(one.seconds for one in installed), cpu=sum(one.cpu for one in installed))

    repo.bundle()
    _install_sets(bench, repo)
    ours, theirs, packed = bench.alternate(
        (BUNDLE, repo.cold), (_INSTALL, install), (_COMPRESS, lambda: _compressed(bench))
    )
    yield Row(
        case="cold",
        title=f"cold everything, N = {repo.n}",
        figure=ratio(ours, theirs),
        middle=middle(ours, theirs),
        bound="≤",
        limit=1.2,
        ours=ours,
        others=(theirs,),
        note=_UNION,
    )
    yield Row(
        case="cold",
        title=f"cold everything, N = {repo.n}, against the union and compressing each distinct set once",
        figure=ratio(ours, theirs, packed),
        middle=middle(ours, theirs, packed),
        ours=ours,
        others=(theirs, packed),
        note=_UNION,
    )


def _union(bench: Bench, arch: str, name: str) -> Sample:
    arguments = (MACHINES[arch], f"{name}/{arch}", "union.txt")
    return bench.run(_INSTALL, *arguments, environ=bench.caches(name))


def noop(bench: Bench) -> Iterator[Row]:
    """Everything is there, and nothing has changed."""
    repo = bench.repo(bench.many)
    repo.bundle()
    ours, start = bench.alternate((BUNDLE, repo.bundle), (LIST, lambda: repo.run(LIST)), at_least=_QUICK)
    title = f"nothing changed, N = {repo.n}"
    yield Row(case="noop", title=title, figure=ours.best, unit="s", bound="≤", limit=0.5, ours=ours)
    yield Row(
        case="noop",
        title=f"{title}: start-up",
        figure=ratio(ours, start),
        middle=middle(ours, start),
        bound="≤",
        limit=2,
        ours=ours,
        others=(start,),
    )


def edit(bench: Bench) -> Iterator[Row]:
    """One line of one function has changed."""
    repo = bench.repo(bench.many)
    repo.bundle()
    (ours,) = bench.alternate((BUNDLE, repo.edited))
    yield Row(
        case="edit",
        title=f"one function of {repo.n} edited",
        figure=ours.best,
        unit="s",
        bound="≤",
        limit=1,
        ours=ours,
        note="the edited function has large dependencies (pandas, numpy)",
    )


def folder(bench: Bench) -> Iterator[Row]:
    """Folders instead of zips.

    Nothing is deleted between the runs: for minutes, ext4 looks at everything that was before it makes a new
    file, and whoever comes first pays for it.
    """
    repo = bench.repo(bench.n)
    repo.bundle("folders", options=_FOLDERS)

    def again() -> Sample:
        repo.set_aside("folders")
        return repo.bundle("folders", options=_FOLDERS)

    def copy() -> Sample:
        repo.set_aside("copy")
        return repo.run("cp -r folders copy")

    ours, copied = bench.alternate((f"{BUNDLE}{_FOLDERS}", again), ("cp -r folders copy", copy))
    yield Row(
        case="folder",
        title=f"folder output, N = {repo.n}, warm",
        figure=ratio(ours, copied),
        middle=middle(ours, copied),
        bound="≤",
        limit=1.3,
        ours=ours,
        others=(copied,),
    )


def verify(bench: Bench) -> Iterator[Row]:
    """What it takes to look at a folder that is there, nothing of it known before."""
    repo = bench.repo(bench.n)
    sample = {one.deps: one for one in reversed(repo.functions)}
    medium = sample.get("medium", repo.functions[0])
    repo.bundle("folders", options=_FOLDERS)
    own = bench.empty("own")
    for number in range(1000):
        (own / f"module_{number}.py").write_text(_MODULE, encoding="utf-8")
    imports = "".join(f"import module_{number}\n" for number in range(1000))
    (own / "handler.py").write_text(f"{imports}\n\n{_HANDLER}", encoding="utf-8")
    target = f"--runtime {RUNTIME} --arch {medium.arch} --handler handler.handler"
    for path, what in (
        (repo.root / "folders" / medium.name, f"a function with {medium.deps} dependencies"),
        (own, "a function with 1,001 modules of its own"),
    ):
        count = sum(1 for file in path.rglob("*") if file.is_file())
        command = f"invoke verify --path $1 {target}"
        ours, start = bench.alternate(
            (command, partial(repo.run, command, str(path))),
            (LIST, lambda: repo.run(LIST)),
            at_least=_QUICK,
        )
        yield Row(
            case="verify",
            title=f"{what}, {count:,} files",
            figure=ours.best - start.best,
            unit="s",
            bound="≤",
            limit=1,
            ours=ours,
            others=(start,),
            note="without start-up",
        )
    repo.delete("folders")


def scale(bench: Bench) -> Iterator[Row]:
    """Twenty times as many functions."""
    few, few_copy = _per_function(bench, bench.n)
    cold_peak = bench.repo(bench.most).compressed_anew(memory=True).peak
    most, most_copy = _per_function(bench, bench.most)
    bench.repo(bench.most).delete("dist")
    growth = most.best / bench.most / (few.best / bench.n)
    copied = most_copy.best / bench.most / (few_copy.best / bench.n)
    sizes = f"N = {bench.n} → {bench.most:,}"
    yield Row(
        case="scale",
        title=f"{sizes}, warm: how the time per function grows, against that of cp",
        figure=growth / copied,
        bound="≤",
        limit=1.1,
        ours=most,
        others=(most_copy,),
        note=f"{sizes}: {few.best / bench.n * 1e3:.1f} → {most.best / bench.most * 1e3:.1f} ms per function, "
        f"cp {few_copy.best / bench.n * 1e3:.1f} → {most_copy.best / bench.most * 1e3:.1f} ms",
    )
    yield Row(
        case="scale",
        title=f"N = {bench.most:,}: peak memory of the process tree",
        figure=max(cold_peak, most.peak) / 1e6,
        unit="MB",
        bound="≤",
        limit=400,
        ours=most,
        note=f"peak memory: {cold_peak / 1e6:.0f} MB with our cache empty, {most.peak / 1e6:.0f} MB warm",
    )


def _per_function(bench: Bench, n: int) -> list[Timed]:
    repo = bench.repo(n)
    repo.bundle()

    def again() -> Sample:
        repo.delete("dist")
        return repo.bundle(memory=True)

    return bench.alternate((BUNDLE, again), ("cp -r dist copy", repo.copy))


def startup(bench: Bench) -> Iterator[Row]:
    """What does not bundle anything."""
    repo = bench.repo(bench.n)
    commands = [(command, lambda command=command: repo.run(command)) for command in (LIST, VALIDATE)]
    for ours in bench.alternate(*commands, at_least=_QUICK):
        yield Row(
            case="startup",
            title=f"`{ours.command}`, N = {repo.n}",
            figure=ours.best,
            unit="s",
            bound="≤",
            limit=0.35,
            ours=ours,
        )


CASES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "startup": startup,
    "warm": warm,
    "folder": folder,
    "deflate": deflate,
    "cold": cold,
    "noop": noop,
    "edit": edit,
    "verify": verify,
    "scale": scale,
    "pip": pip,
    "peers": peers,
}
"""By the name that `--only` knows them by. Those that delete many files come last: see `folder`."""
