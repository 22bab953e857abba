"""What a runtime brings along: awslambdaric and boto3, for one interpreter of this host.

For the Python that runs us, what is installed beside us serves (the extra `smoke` puts it there). For every
other one uv fetches wheels, which stay in the cache like any dependency set. Nothing is built.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambda_bundle.backends import Backends
from lambda_bundle.cache import Cache
from lambda_bundle.installers import Work
from lambda_bundle.interpreters import Interpreter, is_ours
from lambda_bundle.orders import Order
from lambda_bundle.process import Children
from lambda_bundle.reqfile import read
from lambda_bundle.store import Store
from lambda_bundle.targets import MACHINES, Target

CLIENT = "awslambdaric"
PACKAGES = (CLIENT, "boto3")
"""boto3 is what functions may count on without bringing it
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html)."""
_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """A folder with what a runtime brings."""

    folder: Path
    version: str
    """Of awslambdaric."""


class Provider:
    """Makes those folders, in a private one; it is left when the work is done."""

    def __init__(
        self, children: Children, environ: Mapping[str, str], folder: Path, stack: ExitStack
    ) -> None:
        self._children, self._environ, self._folder = children, environ, folder
        self._backends = Backends(children, environ, folder)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        self._cache = Cache.of(environ)
        self._store = Store(self._cache, pool)
        self._made: dict[str, Provided] = {}

    def get(self, interpreter: Interpreter, target: Target) -> Provided:
        """What the runtime of the target brings, for this interpreter.

        Raises `BundleError` when uv finds no wheels for it, or does not reach an index.
        """
        if interpreter.suffix not in self._made:
            own = _ours(self._folder) if is_ours(interpreter) else None
            self._made[interpreter.suffix] = own or self._fetched(interpreter, target)
        return self._made[interpreter.suffix]

    def _fetched(self, interpreter: Interpreter, target: Target) -> Provided:
        arch = next(
            (arch for arch, machine in MACHINES.items() if machine == interpreter.machine), target.arch
        )
        tags = (f"musllinux_1_2_{interpreter.machine}",) if "-musl" in interpreter.suffix else ()
        needed = Target(target.runtime, arch, tags)
        path = Path(tempfile.mkdtemp(dir=self._folder), "requirements.txt")
        path.write_text("".join(f"{name}\n" for name in PACKAGES), encoding="utf-8")
        wanted = read(
            path,
            markers=needed.markers,
            environ=self._environ,
            shown=lambda _: f"what {target.runtime} provides",
            resolve=lambda folder, relative: folder / relative,
        )
        work = Work(
            children=self._children,
            environ=self._environ,
            place=Path(tempfile.mkdtemp(dir=self._folder)),
            timeout=_TIMEOUT,
        )
        order = Order(wanted=wanted, target=needed, installer=self._backends.get("uv"), work=work)
        found = self._store.dependencies(order)
        version = next(wheel.version for wheel in found.wheels if wheel.name == CLIENT)
        return Provided(folder=self._store.folder(found, order), version=version)


def _ours(parent: Path) -> Provided | None:
    """A folder of links to what is installed beside us, and to nothing else; None if that is not there."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        for distribution in _closure(PACKAGES):
            for name in {file.parts[0] for file in distribution.files or ()}:
                source = Path(str(distribution.locate_file(name)))
                if name not in {"..", "bin", "__pycache__"} and source.exists():
                    (folder / name).symlink_to(source)
        return Provided(folder=folder, version=metadata.version(CLIENT))
    except (metadata.PackageNotFoundError, OSError):  # Windows may refuse links
        return None


def _closure(names: tuple[str, ...]) -> Iterator[metadata.Distribution]:
    """The distributions of these names and of all that they require here."""
    seen: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            distribution = metadata.distribution(name)
            yield distribution
            wanted = (Requirement(line) for line in distribution.requires or ())
            waiting += [
                canonicalize_name(one.name)
                for one in wanted
                if one.marker is None or one.marker.evaluate({"extra": ""})
            ]
