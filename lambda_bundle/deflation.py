"""Content as it stands in a zip: deflated by libdeflate.

Its output depends on neither the CPU nor the host's zlib.

Other processes do it too, so little is imported here.
"""

from __future__ import annotations

from typing import NamedTuple

from deflate import __version__ as deflate_version
from deflate import crc32, deflate_compress

LEVEL = 6
STORED, DEFLATED = 0, 8
"""The methods of APPNOTE 6.3, 4.4.5."""
_GZIP = b"\x1f\x8b\x08"
"""How a file begins that is deflated already (RFC 1952). botocore has 952 of these, with 15.3 MB: to compress
them again took a twentieth of the time of five dependency sets, and made them 0.1 % smaller."""
MAX_BYTES = 0xFFFF_FFFF
"""What a zip without the 64-bit extension can hold."""


Data = bytes | bytearray
"""Content as it stands in a zip; what compresses it gives an array, and nobody needs a copy."""


class Content(NamedTuple):
    """What a file is in a zip, whatever its name and permissions."""

    method: int
    crc: int
    size: int
    """Bytes of the file."""
    data: Data
    """As it is stored."""


def deflate(path: str) -> Content:
    """Compress a file; what would not become smaller is stored as it is."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path for each of many files is slow
        return compress(file.read())


def compress(content: bytes) -> Content:
    """The same for what was read already."""
    method: int = STORED
    data: Data = content
    if content and not content.startswith(_GZIP):
        deflated = deflate_compress(content, LEVEL)
        if len(deflated) < len(content):
            method, data = DEFLATED, deflated
    return Content(method, crc32(content), len(content), data)


def compressor() -> str:
    """What the bytes depend on besides the file."""
    return f"libdeflate {deflate_version} {LEVEL}, gzip stored"
