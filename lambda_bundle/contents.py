"""What an artifact is to hold, before it is written: files, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from lambda_bundle.copies import File
from lambda_bundle.jobs import Job
from lambda_bundle.lock import Wheel
from lambda_bundle.orders import Order
from lambda_bundle.sets import DependencySet
from lambda_bundle.stage import Tree
from lambda_bundle.stamps import Seen, Stamp
from lambda_bundle.store import Store
from lambda_bundle.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The dependencies for one target."""

    target: Target
    site: str
    """The folder that they lie in, below the artifact's prefix; empty, or with "/" at its end."""
    order: Order
    found: DependencySet
    kept: AbstractSet[str]
    """The files of the set that hooks have left as they were."""
    read: Callable[[str], bytes]
    """Reads a file of the set, as it was before any hook."""

    @property
    def is_whole(self) -> bool:
        """Whether hooks have left every file of the set as it was."""
        return len(self.kept) == len(self.found.files)

    @property
    def changed(self) -> AbstractSet[str]:
        """The files of the set that hooks have changed or removed."""
        return frozenset() if self.is_whole else self.found.files.keys() - self.kept

    @property
    def files(self) -> Iterator[tuple[str, File]]:
        """The files that are kept, by their paths below the prefix."""
        return ((f"{self.site}{path}", self.found.files[path]) for path in self.kept)

    @property
    def size(self) -> int:
        """Bytes of the files that are kept."""
        return self.found.size if self.is_whole else sum(self.found.files[path].size for path in self.kept)

    def holds(self, path: str) -> bool:
        """Whether a file, by its path below the prefix, is one that is kept."""
        return path.startswith(self.site) and path[len(self.site) :] in self.kept

    def brought(self, path: str) -> bool:
        """Whether the set has this file, whatever hooks have made of it."""
        return path.startswith(self.site) and path[len(self.site) :] in self.found.files

    def owner(self, path: str) -> str | None:
        """The distribution that brought a file, as in "numpy 2.3.5"; None where it is not of the set."""
        found = self.found.distribution(path[len(self.site) :]) if path.startswith(self.site) else None
        return None if found is None else f"{found.name} {found.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All files of an artifact. Paths are those below the artifact's prefix."""

    job: Job
    seen: Mapping[str, Seen]
    """The sources, before hooks."""
    folders: Mapping[str, Stamp]
    """Every folder of the entry that was looked through, absolute."""
    own: Tree
    """The files that are not as a dependency brought them."""
    shares: tuple[Share, ...]
    """One for each target."""
    layers: tuple[Contents, ...] = ()
    """Those of a function's layers."""

    def share(self, target: Target) -> Share:
        """The dependencies for the runtime of a function's target."""
        return self.shares[self.job.runtimes.index(target.runtime)]

    def owner(self, path: str) -> str | None:
        """The distribution that brought a file of the artifact or of a layer, as in "numpy 2.3.5"."""
        for one in (self, *self.layers):
            if path in one.own or any(share.holds(path) for share in one.shares):
                for share in one.shares:
                    if (owner := share.owner(path)) is not None:
                        return owner
        return None

    def theirs(self, store: Store) -> Tree:
        """Where the files that are as a dependency brought them are on disk; they are whole then."""
        found: dict[str, Path] = {}
        for share in self.shares:
            tree = store.tree(share.found, share.order)
            found |= {f"{share.site}{path}": tree[path] for path in share.kept}
        return found

    def tree(self, store: Store) -> Tree:
        """Where every file is on disk."""
        return {**self.theirs(store), **self.own}

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """The wheels for all targets, each file once."""
        files = {wheel.filename: wheel for share in self.shares for wheel in share.found.wheels}
        return tuple(sorted(files.values(), key=lambda wheel: (wheel.name, wheel.filename)))

    @property
    def runtimes(self) -> dict[str, tuple[str, ...]]:
        """For several targets: the runtimes that each wheel file is for."""
        return {
            wheel.filename: tuple(
                share.target.runtime for share in self.shares if wheel in share.found.wheels
            )
            for wheel in (self.wheels if self.job.further else ())
        }
