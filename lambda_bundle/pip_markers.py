"""What runs in the Python that has pip: that pip, with the markers of a target.

`installer_pip` has this file run, and imports nothing of it. pip answers markers for the Python that it runs
in, whatever its options say of the target (pip issue 11664). They decide what it chooses, so that cannot be
put right afterwards. It asks one function for the answers, that of the `packaging` which it brings along.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import sys
from typing import Any

_TOLD = (24, 2)
"""The first pip that compares `Requires-Python` with the version that its options name."""


def main(file: str, arguments: list[str]) -> None:
    """Run pip with these arguments; the file says what each marker is, as JSON."""
    import pip  # noqa: PLC0415 - what is imported here, pip finds imported
    from pip._vendor.packaging import markers  # noqa: PLC0415 - the same

    with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - and pathlib is one of these
        environment = json.load(opened)
    vars(markers)["default_environment"] = lambda: dict(environment)
    if tuple(map(int, re.findall(r"\d+", pip.__version__)[:2])) < _TOLD:
        _tell_version(tuple(map(int, environment["python_full_version"].split("."))))
    sys.argv[1:] = arguments
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


def _tell_version(version: tuple[int, ...]) -> None:
    """Have `Requires-Python` compared with this version where pip would take its own Python's."""
    from pip._internal.resolution.resolvelib.candidates import RequiresPythonCandidate  # noqa: PLC0415

    begin: Any = RequiresPythonCandidate.__init__

    def begin_with(self: Any, given: tuple[int, ...] | None) -> None:
        begin(self, given or version)

    RequiresPythonCandidate.__init__ = begin_with  # type: ignore[assignment]


if __name__ == "__main__":
    # Python puts the folder of this file first, where modules have names that others use as well.
    sys.path[:] = [place for place in sys.path if place != os.path.dirname(os.path.abspath(__file__))]  # noqa: PTH100, PTH120
    main(sys.argv[1], sys.argv[2:])
