"""Content as it stands in a zip: deflated by libdeflate.

Its output depends on neither the CPU nor the host's zlib.

Other processes do it too, so little is imported here.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from deflate import __version__ as deflate_version
from deflate import deflate_compress

LEVEL = 6
STORED, DEFLATED = 0, 8
"""The methods of APPNOTE 6.3, 4.4.5."""
MAX_BYTES = 0xFFFF_FFFF
"""What a zip without the 64-bit extension can hold."""


class Content(NamedTuple):
    """What a file is in a zip, whatever its name and permissions."""

    method: int
    crc: int
    size: int
    """Bytes of the file."""
    data: bytes
    """As it is stored."""


def deflate(path: str) -> Content:
    """Compress a file; what would not become smaller is stored as it is."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path for each of many files is slow
        return compress(file.read())


def compress(content: bytes) -> Content:
    """The same for what was read already."""
    deflated = bytes(deflate_compress(content, LEVEL)) if content else b""
    method, data = (DEFLATED, deflated) if len(deflated) < len(content) else (STORED, content)
    return Content(method, zlib.crc32(content), len(content), data)


def compressor() -> str:
    """What the bytes depend on besides the file."""
    return f"libdeflate {deflate_version} {LEVEL}"
