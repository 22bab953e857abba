"""What runs in the Python that has pip: that pip, with the markers of a target.

`installer_pip` has this file run, and imports nothing of it. pip answers markers for the Python that it runs
in, whatever its options say of the target (pip issue 11664). They decide what it chooses, so that cannot be
put right afterwards. It asks one function for the answers, that of the `packaging` which it brings along.
"""

from __future__ import annotations

import json
import os
import runpy
import sys


def main(file: str, arguments: list[str]) -> None:
    """Run pip with these arguments; the file says what each marker is, as JSON."""
    from pip._vendor.packaging import markers  # noqa: PLC0415

    with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - what is imported here, pip finds imported
        environment = json.load(opened)
    vars(markers)["default_environment"] = lambda: dict(environment)
    sys.argv[1:] = arguments
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    # Python puts the folder of this file first, where modules have names that others use as well.
    sys.path[:] = [place for place in sys.path if place != os.path.dirname(os.path.abspath(__file__))]  # noqa: PTH100, PTH120
    main(sys.argv[1], sys.argv[2:])
