"""Limits of Lambda, at their edges, and names that it cannot unpack."""

from __future__ import annotations

import pytest

from lambda_bundle.errors import Code
from lambda_bundle.hygiene import UPLOAD_LIMIT, names, sizes, zipped
from lambda_bundle.targets import UNZIPPED_LIMIT

LONG = "é" * 127 + "x"  # 255 bytes
DEEP = "/".join(["d" * 99] * 40)  # 3,999 characters


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("pkg/größe.py", None),
        ("pkg/a b.txt", None),
        (LONG, None),
        (f"{LONG}x", "a name in its path has 256 bytes, and Linux takes 255"),
        (f"{DEEP}/{'x' * 85}", None),
        (f"{DEEP}/{'x' * 86}", "its path has 4,086 bytes, and Linux takes 4,085 below /var/task"),
        ("pkg\\mod.py", "its name has a backslash, which is no separator on Linux"),
        ("pkg/a\x1b[31m.py", "its name holds control characters"),
        ("pkg/a\x7f.py", "its name holds control characters"),
        ("pkg/a\n.py", "its name holds control characters"),
    ],
)
def test_names(path: str, said: str | None) -> None:
    found = list(names(["pkg/fine.py", path]))
    if said is None:
        assert found == []
    else:
        (problem,) = found
        assert (problem.code, problem.where.file) == (Code.UNUSABLE_NAME, path)
        assert problem.message.startswith(said)
        assert problem.hint


def test_sizes() -> None:
    half = UNZIPPED_LIMIT // 2
    assert list(sizes(UNZIPPED_LIMIT, [])) == list(sizes(half, [("a", half)])) == []
    (alone,) = sizes(UNZIPPED_LIMIT + 1, [])
    assert (alone.code, alone.detail) == (Code.ARTIFACT_TOO_LARGE, None)
    (problem,) = sizes(half, [("a", half), ("b", 1)])
    assert f"unpacked, this is {UNZIPPED_LIMIT + 1:,} bytes" in problem.message
    assert [line.split()[-1] for line in (problem.detail or "").splitlines()] == ["itself", "a", "b"]


def test_number_of_layers() -> None:
    layers = [(str(number), 1) for number in range(6)]
    assert list(sizes(1, layers[:5])) == []
    (problem,) = sizes(1, layers)
    assert problem.message == "there are 6 layers, and Lambda takes 5 at most"


def test_upload() -> None:
    assert list(zipped(UPLOAD_LIMIT)) == []
    (note,) = zipped(UPLOAD_LIMIT + 1)
    assert (note.code, note.severity) == (Code.LARGE_UPLOAD, "note")
