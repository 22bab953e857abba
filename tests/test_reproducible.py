"""The same inputs give the same bytes: on any machine, at any time, however many work at once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from wheelhouse import Wheelhouse, elf
from workshop import Workshop

BUNDLE = """
import os, sys
from pathlib import Path
from lambda_bundle import bundle, load, plan
root, workers, mask = sys.argv[1:]
os.umask(int(mask, 8))
config = load(Path(root, "bundles.toml"))
results = bundle(plan(config), workers=int(workers), known=[entry.name for entry in config.entries])
problems = [problem for result in results for problem in result.problems if problem.severity == "error"]
sys.exit("\\n".join(f"{one.where} {one.message} {one.detail}" for one in problems) or None)
"""

SOURCES = {
    "src/app.py": "def handler(event, context): ...\n",
    "src/requirements.txt": "-r ../common/base.txt\npure\n",
    "src/ünï/x.txt": "ü",
    "src/empty": "",
    "src/run.sh": "#!/bin/sh\n",
    "src/B.txt": "B",
    "src/a.txt": "a",
    "common/base.txt": "compiled\n",
    "small/app.py": "handler = 1\n",
    "layer/x.py": "y = 1\n",
    "layer/requirements.txt": "pure\n",
}


def checkout(folder: Path, environ: Mapping[str, str], seed: int) -> Workshop:
    """The same repository at some place, written in some order at some time."""
    made = Workshop(folder, environ)
    chance = random.Random(seed)  # noqa: S311 - only to be different
    paths = list(SOURCES)
    chance.shuffle(paths)
    for path in paths:
        made.write({path: SOURCES[path]})
        file = folder / path
        file.chmod(chance.choice([0o600, 0o644, 0o664]))
        os.utime(file, (seed * 1e8, seed * 1e8))
    (folder / "src" / "run.sh").chmod(0o755)
    hooks: dict[str, Any] = {
        "hooks.before": [
            "date +%N > stamp; rm stamp; echo $GREETING > made.txt; mkdir __pycache__; date > __pycache__/x"
        ]
    }
    hooks |= {"hooks.after": ["rm pure/data.json", "echo more >> made.txt"], "env.GREETING": "hello"}
    made.declare(
        {
            "plain": {},
            "hooked": hooks,
            "folder": {"format": "dir"},
            "hooked-folder": {**hooks, "format": "dir"},
            "x86": {"arch": "x86_64"},
            "pip": {"backend": "pip"},
            "small": {"entry": "small"},
        },
        {"layer": {"entry": "layer"}},
    )
    return made


def bundled(
    workshop: Workshop, *, workers: int, mask: str = "022", **environ: str
) -> dict[str, tuple[int, bytes]]:
    """Bundle in a process of its own; permissions and content of everything in the output folder."""
    command = [sys.executable, "-c", BUNDLE, str(workshop.root), str(workers), mask]
    subprocess.run(command, env={**workshop.environ, **environ}, cwd=environ.get("CWD", "/"), check=True)
    found = {}
    for path in sorted(workshop.output.rglob("*")):
        if path.is_file():
            mode = path.stat().st_mode & 0o777 if path.parent != workshop.output else 0
            found[str(path.relative_to(workshop.output))] = mode, path.read_bytes()
    return found


@pytest.fixture
def wheels(wheelhouse: Wheelhouse) -> Wheelhouse:
    wheelhouse.wheel("pure", files={"pure/__init__.py": "1\n", "pure/data.json": "{}"}, requires=["other"])
    wheelhouse.wheel("other", files={"other.py": "1\n", "other/run": "#!/bin/sh\n"}, executable=["other/run"])
    for machine in ("x86_64", "aarch64"):
        tag = f"cp313-cp313-manylinux_2_17_{machine}"
        wheelhouse.wheel(
            "compiled", tag=tag, files={"compiled/ext.so": elf(machine), "bin/tool": elf(machine)}
        )
    return wheelhouse


@pytest.mark.skipif(os.name == "nt", reason="these hooks are for POSIX shells")
def test_same_bytes(tmp_path: Path, environ: dict[str, str], wheels: Wheelhouse) -> None:
    first = checkout(tmp_path / "one", environ, 1)
    made = bundled(first, workers=1)
    assert [name for name in made if "/" not in name] == [
        *("hooked.zip", "layer.zip", "manifest.json", "pip.zip", "plain.zip", "small.zip", "x86.zip")
    ]
    assert {name.partition("/")[0] for name in made if "/" in name} == {"folder", "hooked-folder"}
    assert str(tmp_path) not in made["manifest.json"][1].decode()

    assert bundled(first, workers=4) == made, "again, over what is there, and more at once"

    second = checkout(tmp_path / "another place" / "deeper", environ, 7)
    os.utime(next(wheels.folder.glob("pure*")), (1e9, 1e9))
    different = {"TZ": "Asia/Kathmandu", "LANG": "C", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    caches = {"UV_CACHE_DIR": str(tmp_path / "other cache"), "UV_LINK_MODE": "copy", "TMPDIR": str(tmp_path)}
    time.sleep(1.1)  # a second, which is what many formats count
    again = bundled(
        second, workers=4, mask="077", CWD=str(tmp_path), SOURCE_DATE_EPOCH="1", **different, **caches
    )
    assert again == made


@pytest.mark.parametrize(
    ("path", "content", "mode", "changed"),
    [
        ("small/app.py", "handler = 2\n", 0o644, True),
        ("small/app.py", "handler = 1\n", 0o755, True),
        ("small/new.py", "", 0o644, True),
        ("small/__pycache__/new.pyc", "", 0o644, False),
        ("small/.env", "", 0o644, False),
        ("elsewhere.py", "", 0o644, False),
    ],
)
def test_artifact_and_digest_change_with_the_sources(
    tmp_path: Path, environ: dict[str, str], path: str, content: str, mode: int, changed: bool
) -> None:
    workshop = Workshop(tmp_path / "repo", environ)
    workshop.write({"small/app.py": "handler = 1\n"})
    workshop.declare({"small": {"entry": "small"}})
    workshop.build()
    before = (workshop.output / "small.zip").read_bytes()
    digest = workshop.manifest["small"]["digest"]
    workshop.write({path: content})
    (workshop.root / path).chmod(mode)
    workshop.build()
    assert ((workshop.output / "small.zip").read_bytes() != before) is changed
    assert (workshop.manifest["small"]["digest"] != digest) is changed


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"handler": "app.other"}, True),
        ({"runtime": "python3.12"}, True),
        ({"arch": "x86_64"}, True),
        ({"tags": ["manylinux_2_17_aarch64"]}, True),
        ({"backend": "pip"}, True),
        ({"hooks.before": ["true"]}, True),
        ({"hooks.after": ["true"]}, True),
        ({"exclude": ["x"]}, True),
        ({"include": ["x"]}, True),
        ({"env.A": "1"}, True),
        ({"format": "dir"}, True),
        ({"timeout": 99}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_digest_changes_with_what_can_change_the_artifact(
    tmp_path: Path, environ: dict[str, str], settings: dict[str, object], changed: bool
) -> None:
    workshop = Workshop(tmp_path / "repo", environ)
    workshop.write({"src/app.py": "handler = other = print\n"})
    workshop.declare({"small": {}})
    workshop.build()
    digest = workshop.manifest["small"]["digest"]
    workshop.declare({"small": settings})
    workshop.build()
    assert (workshop.manifest["small"]["digest"] != digest) is changed


def test_digest_changes_with_the_wheels(
    tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse
) -> None:
    workshop = Workshop(tmp_path / "repo", environ)
    workshop.write({"src/app.py": "handler = print\n", "src/requirements.txt": "pure\n"})
    workshop.declare({"small": {}})
    digests = set()
    for version in ("1.0", "1.1"):
        wheelhouse.wheel("pure", version)
        workshop.build(upgrade=True)
        digests.add(workshop.manifest["small"]["digest"])
    assert len(digests) == 2
