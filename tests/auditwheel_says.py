"""What auditwheel says of wheels, as JSON. Runs where auditwheel is installed, and imports nothing of ours.

    uv run --no-project --with auditwheel==6.8.2 python tests/auditwheel_says.py ARCH WHEEL …

For each wheel the oldest policy whose symbol versions suffice ("" for a wheel without ELF files for the
machine), and the versions that count for it, by library. The host's own libraries are left out of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from auditwheel.architecture import Architecture
from auditwheel.error import NonPlatformWheelError
from auditwheel.libc import Libc
from auditwheel.wheel_abi import analyze_wheel_abi


def say(machine: str, wheel: str) -> dict[str, object]:
    """The policy and the versions of one wheel."""
    try:
        info = analyze_wheel_abi(
            Libc.GLIBC,
            Architecture(machine),
            Path(wheel),
            frozenset(),
            disable_isa_ext_check=True,
            allow_graft=True,
            args_ldpaths="",
        )
    except NonPlatformWheelError:
        return {"policy": "", "versions": {}}
    versions = {library: sorted(names) for library, names in sorted(info.versioned_symbols.items())}
    return {"policy": info.sym_policy.name, "versions": versions}


def main(machine: str, *wheels: str) -> None:
    sys.stdout.write(json.dumps({wheel: say(machine, wheel) for wheel in wheels}))


if __name__ == "__main__":
    main(*sys.argv[1:])
