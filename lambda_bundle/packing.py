"""Packs in the making: what a run has compressed is put together as it stands in a zip.

A wheel for every platform is part of many dependency sets; to compress it anew for each would take longer
than all the rest. So everything is compressed into a spool, once, and copied from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from lambda_bundle.copies import Run
from lambda_bundle.members import CONTENT, Item, Member, Pack, Writer, close_pack, fitting, too_large
from lambda_bundle.spool import Look, Place, Reader, Spool


class Packer:
    """Writes the packs of one run."""

    def __init__(self, spool: Spool, run: Run = map) -> None:
        """`run` calls a function for each of some arguments, as `map` does."""
        self._spool, self._run = spool, run

    def write(self, wanted: Iterable[Item], folder: Path, place: Path, *, check: Callable[[], None]) -> Pack:
        """Write a pack into an empty folder, which the caller moves to its place.

        The members are in the order of the files. `check` is called before each; what it raises ends it.
        """
        members = [(one, self._spool.find(one.sha256)) for one in map(fitting, wanted)]
        missing = self._compressed([one.source for one, found in members if found is None])
        with (folder / CONTENT).open("wb", buffering=0) as file, Reader() as reader:
            out = Writer(file)
            for one, found in members:
                check()
                at = found or missing[one.source]
                member = Member(one.name, one.mode, at.method, at.crc, at.packed, at.size)
                out.add(member, reader.read(at))
            out.flush()
        directory = close_pack(out, folder)
        return Pack(
            folder=place,
            sha256=out.sha256,
            directory=directory,
            size=out.size,
            count=out.count,
            unzipped=out.unzipped,
        )

    def _compressed(self, sources: list[str]) -> dict[str, Place]:
        """What nobody has compressed in this run yet, by the paths of the files."""
        if not sources:
            return {}
        wanted = dict.fromkeys(sources)
        return dict(zip(wanted, map(_placed, self._spool.take_in(wanted, self._run)), strict=True))


def _placed(look: Look) -> Place:
    if look.place is None:  # it has grown since it was looked at
        raise too_large("a file is more than the 4 GiB that a zip can hold")
    return look.place
