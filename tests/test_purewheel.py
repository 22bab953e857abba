"""Built wheels in one fixed form: dependencies at places of this machine keep their names only."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from wheelhouse import Wheelhouse

from lambda_bundle.purewheel import normalize

PLACES = {"../tools": "here/tools", "file:///x/lib": "/x/lib", "git+https://host/repo": "a checkout"}


@pytest.mark.parametrize(
    ("written", "kept", "links"),
    [
        ("tools@../tools", "tools", {"tools": "here/tools"}),
        ("My.Tools[fast] @ ../tools", "My.Tools[fast]", {"my-tools": "here/tools"}),
        ('tools @ ../tools ; os_name == "posix"', 'tools; os_name == "posix"', {"tools": "here/tools"}),
        ("lib @ file:///x/lib", "lib", {"lib": "/x/lib"}),
        ("repo[a,b] @ git+https://host/repo", "repo[a,b]", {"repo": "a checkout"}),
        ("tools @ ../elsewhere", "tools @ ../elsewhere", {}),
        ("lib @ https://host/lib.whl", "lib @ https://host/lib.whl", {}),
        ("plain>=2", "plain>=2", {}),
        ("what is this", "what is this", {}),
    ],
)
def test_dependencies_at_places_keep_their_names(
    tmp_path: Path, wheelhouse: Wheelhouse, written: str, kept: str, links: dict[str, str]
) -> None:
    built = wheelhouse.wheel("app", requires=[written, "other"])
    for name in ("tree", "into"):
        (tmp_path / name).mkdir()
    wheel = normalize(built, tmp_path / "tree", tmp_path / "into", PLACES.get)
    assert wheel.requires == (kept, "other")
    assert wheel.links == links
    with zipfile.ZipFile(wheel.path) as archive:
        lines = archive.read("app-1.0.dist-info/METADATA").decode().splitlines()
    assert [line for line in lines if line.startswith("Requires-Dist")] == [
        f"Requires-Dist: {one}" for one in (kept, "other")
    ]
