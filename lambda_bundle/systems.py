"""What the operating system of a runtime provides to binaries, as data.

AWS publishes no list of what a runtime's root file system contains. What stands here is known from:

- glibc and GCC of each system: https://docs.aws.amazon.com/linux/al2023/ug/glibc-gcc-and-binutils.html
  (Amazon Linux 2: glibc 2.26, GCC 7.3; Amazon Linux 2023: glibc 2.34, GCC 11); Amazon Linux 1 has glibc 2.17
  and two versions of libstdc++, of which only the older (GCC 4.8) is sure to be found
  (https://github.com/awslabs/aws-lambda-cpp/issues/79);
- the versions of each GCC: https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html, and for libgcc the
  tables in its sources (libgcc/config/*/libgcc-*.ver);
- libraries: the images of AWS (https://github.com/aws/aws-lambda-base-images), which have what the minimal
  container of the system has, and the runtime's own folder /var/lang/lib.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lambda_bundle.targets import RUNTIMES, Target

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What one system has for every binary that is loaded on it."""

    newest: Mapping[str, Version]
    """By family of symbol versions (GLIBC, GLIBCXX, CXXABI, GCC) the newest that every instance has."""
    lately: Mapping[str, Version]
    """The newest after an update that an instance may lack, by the same families."""
    libraries: frozenset[str]
    """The libraries that are there for certain, by the names that binaries call them."""
    maybe: frozenset[str]
    """Libraries that AWS's images have had, and that AWS does not promise."""


_LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
GLIBC = frozenset(
    {
        *("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"),
        *("libresolv.so.2", "libanl.so.1", "libBrokenLocale.so.1", "libthread_db.so.1"),
        *("libnss_dns.so.2", "libnss_files.so.2", *_LOADERS.values()),
    }
)
"""The libraries of glibc, which belong together and to the dynamic linker: none can be brought along."""
_GCC = frozenset({"libgcc_s.so.1", "libstdc++.so.6"})
_COMMON = GLIBC | _GCC | {"libz.so.1"}
"""zlib: the package manager of each image needs it, and so does the runtime's Python."""
_GLIB = frozenset({"libglib-2.0.so.0", "libgobject-2.0.so.0", "libgthread-2.0.so.0"})
_PACKAGING = frozenset(
    {
        *("libbz2.so.1", "liblzma.so.5", "libffi.so.6", "libsqlite3.so.0", "libxml2.so.2", "libcurl.so.4"),
        *("libncurses.so.6", "libncursesw.so.6", "libtinfo.so.6", "libreadline.so.6", "libuuid.so.1"),
    }
)
"""What the package manager of an image and its shell need."""
_SCREEN = frozenset(
    {"libGL.so.1", "libX11.so.6", "libXext.so.6", "libXrender.so.1", "libICE.so.6", "libSM.so.6"}
)
"""Amazon Linux 1 had these, and later systems do not: https://github.com/lambci/docker-lambda/issues/318."""

_SYSTEMS = {
    "Amazon Linux 1": System(
        newest={"GLIBC": (2, 17), "GLIBCXX": (3, 4, 19), "CXXABI": (1, 3, 7), "GCC": (4, 8, 0)},
        lately={"GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11), "GCC": (7, 0, 0)},
        libraries=_COMMON | {"libcrypt.so.1", "libnsl.so.1"},
        maybe=_GLIB | _PACKAGING | _SCREEN | {"libexpat.so.1", "libssl.so.10", "libcrypto.so.10"},
    ),
    "Amazon Linux 2": System(
        newest={"GLIBC": (2, 26), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11), "GCC": (7, 0, 0)},
        lately={},
        libraries=_COMMON | {"libnsl.so.1"},
        # libcrypt is a package of its own here. OpenSSL: 1.0.2 of the system; 1.1 came with Python 3.10.
        maybe=_GLIB
        | _PACKAGING
        | {"libcrypt.so.1", "libexpat.so.1", "libssl.so.10", "libcrypto.so.10"}
        | {"libssl.so.1.1", "libcrypto.so.1.1"},
    ),
    # Version 2023.7 (April 2025) brought the libraries of GCC 14, which a Lambda runtime got later
    # (https://github.com/amazonlinux/container-images/issues/132) and a pinned runtime version may not have.
    # expat, libxcrypt and libgomp are not in the images: dnf installs them together with what needs them
    # (https://github.com/aws/aws-lambda-base-images/issues/137).
    "Amazon Linux 2023": System(
        newest={"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (7, 0, 0)},
        lately={"GLIBCXX": (3, 4, 33), "CXXABI": (1, 3, 15), "GCC": (14, 0, 0)},
        libraries=_COMMON,
        maybe=_GLIB | _PACKAGING | {"libffi.so.8", "libreadline.so.8", "libssl.so.3", "libcrypto.so.3"},
    ),
}
_ADDED = {
    # glibc 2.22 has a vector library, on aarch64 only since 2.38.
    ("x86_64", "Amazon Linux 2"): frozenset({"libmvec.so.1"}),
    ("x86_64", "Amazon Linux 2023"): frozenset({"libmvec.so.1"}),
}
_NEWER = {("aarch64", "Amazon Linux 2023"): {"GCC": (11, 0)}}
"""libgcc of GCC 11 has a version of its own on aarch64 (libgcc/config/aarch64/libgcc-softfp.ver)."""


def system(target: Target) -> System:
    """What the operating system of a target provides."""
    name = RUNTIMES[target.runtime].system
    row = _SYSTEMS[name]
    major, minor = target.version
    python = f"libpython{major}.{minor}{'m' if (major, minor) < (3, 8) else ''}.so.1.0"
    return System(
        newest={**row.newest, **_NEWER.get((target.machine, name), {})},
        lately=row.lately,
        libraries=row.libraries | _ADDED.get((target.machine, name), frozenset()) | {python, "libpython3.so"},
        maybe=row.maybe,
    )
