"""What a job asks the store for, and what makes two such orders the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_bundle import __version__
from lambda_bundle.installers import Installer, Wheelless, Work, no_fit
from lambda_bundle.lock import Release, Unfit, Wheel, pick
from lambda_bundle.once import Waiting
from lambda_bundle.process import mask
from lambda_bundle.projects import Place
from lambda_bundle.targets import Target
from lambda_bundle.variables import choosing, files
from lambda_bundle.wanted import Requirements

if TYPE_CHECKING:
    from lambda_bundle.localwheel import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody asks the store for."""

    wanted: Requirements
    target: Target
    installer: Installer
    work: Work
    without: frozenset[Release] = frozenset()
    """What is there already, and is not to be installed."""
    place: Place = field(default_factory=lambda: Place(root=Path(), entry=Path()))
    """Where relative paths lead, and how paths are shown."""
    output: Path | None = None
    """A folder that is no part of any local project."""
    lasting: bool = False
    """Whether the files of the set are wanted themselves, and not only in a zip."""
    packed: bool = True
    """Whether they are wanted in a zip."""
    sdists: frozenset[str] = frozenset()
    """The packages that may be built from source, by normalized name."""
    turn: AbstractContextManager[object] = field(default_factory=nullcontext)
    """What is held while the backend works: so many do at a time, and no more."""
    waiting: Waiting = nullcontext
    """What whoever asks gives up while a set is made."""

    @property
    def key(self) -> str:
        """What makes two orders the same in one run: all that can change the outcome, and no place.

        Sources are wheels by then, at paths that say their content.
        """
        passing = [sorted(self.work.environ.items()), self.work.timeout, sorted(self.without)]
        return digest([*self._asked(), *passing])

    @property
    def lasting_key(self) -> str:
        """What makes two orders the same in two runs: neither a credential nor a passing setting is in it."""
        pip = self.installer.name == "pip"
        environ = {name: self.work.environ[name] for name in choosing(self.work.environ, pip=pip)}
        asked = json.dumps([*self._asked(), environ])
        # They may be written anew any time.
        read = [*self.wanted.wheels, *map(Path, files(self.work.environ, pip=pip))]
        contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in read]
        return digest([__version__, mask(asked, self.work.secrets), contents])

    def _asked(self) -> list[Any]:
        wanted, target = self.wanted, self.target
        return [
            self.installer.name,
            [target.runtime, target.full_version, target.arch, *target.platforms],
            [[one.line, *one.hashes] for one in wanted.requirements],
            [[one.line, *one.hashes] for one in wanted.constraints],
            [
                [one.name, [[wheel.url, wheel.sha256, *wheel.hashes] for wheel in one.wheels]]
                for one in wanted.candidates
            ],
            [wanted.exact, wanted.skip, wanted.roots, sorted(self.sdists)],
            asdict(wanted.options),
        ]

    def resolve(self, unfit: tuple[Unfit, ...]) -> tuple[Wheel, ...]:
        """The wheels for the target, by name: those that a lock lists, and what the backend finds."""
        wanted = self.wanted
        locked, misfits = pick(wanted.candidates, self.target, {})
        misfits = tuple(one for one in misfits if one.name not in wanted.skip)
        if misfits:
            raise no_fit(misfits, wanted, self.target)
        found: tuple[Wheel, ...] = ()
        if wanted.requirements:
            with self.turn:
                found = self.installer.resolve(wanted, self.target, self.work, unfit)
        return tuple(sorted((*locked, *found), key=lambda wheel: wheel.name))

    @property
    def setting(self) -> Setting:
        """What there is around the builds."""
        from lambda_bundle.localwheel import Setting  # noqa: PLC0415 - most functions have nothing to build

        return Setting(
            installer=self.installer,
            work=self.work,
            wanted=self.wanted,
            target=self.target,
            place=self.place,
            skip=self.output,
        )

    def try_to_resolve(self, unfit: tuple[Unfit, ...]) -> tuple[Wheel, ...] | Wheelless:
        """The same; what has no wheel may have sources."""
        try:
            return self.resolve(unfit)
        except Wheelless as error:
            return error

    def install(
        self, wheels: Iterable[Wheel], folder: Path, at_hand: Collection[str] = (), *, anew: bool = False
    ) -> None:
        """Install some of the wheels that it resolves to; `anew`: without what any cache has of them.

        For the rest see `Installer.install`.
        """
        some, work = tuple(wheels), self.work.anew() if anew else self.work
        with self.turn:
            self.installer.install(some, self.wanted, self.target, folder, work, at_hand=at_hand)


def digest(parts: list[Any]) -> str:
    """A name for what these values, which JSON can hold, say together."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
