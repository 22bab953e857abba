"""Variables of uv and pip: which of them decide what is chosen, and which hold paths."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_DECIDED = frozenset(
    {
        *("UV_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY"),
        *("PIP_PYTHON", "PIP_PLATFORM", "PIP_PYTHON_VERSION", "PIP_IMPLEMENTATION", "PIP_ABI"),
        *(
            "PIP_REQUIREMENT",
            "PIP_EDITABLE",
            "PIP_GROUP",
            "PIP_NO_DEPS",
            "PIP_TARGET",
            "PIP_PREFIX",
            "PIP_ROOT",
            "PIP_USER",
        ),
    }
)
"""Variables that say for what, of what and where something is installed: bundles.toml says that."""
_PASSING = re.compile(
    r".*(USERNAME|PASSWORD|TOKEN|CACHE_DIR|_TIMEOUT|RETRIES|_COLOR|PROGRESS|VERBOSE|QUIET|LOG|OFFLINE"
    r"|CONCURRENT_\w+|CERT|KEYRING_PROVIDER|DISABLE_PIP_VERSION_CHECK|NO_INPUT|LINK_MODE|PREVIEW\w*"
    r"|RUN_RECURSION_DEPTH|INTERNAL_\w+|ENV_FILE)"
)
"""Variables of uv and pip that do not decide what requirements resolve to; `uv run` sets some itself."""
_PATHS = (
    *("UV_CONFIG_FILE", "UV_CACHE_DIR", "PIP_CONFIG_FILE", "PIP_CACHE_DIR", "PIP_CERT", "PIP_CLIENT_CERT"),
    *("NETRC", "SSL_CERT_FILE", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
"""Variables of the backends that hold one path."""
_PLACES = {
    "SSL_CERT_DIR": os.pathsep,
    "UV_CONSTRAINT": " ",
    "UV_BUILD_CONSTRAINT": " ",
    "UV_OVERRIDE": " ",
    "UV_EXCLUDE": " ",
    "PIP_CONSTRAINT": " ",
    "PIP_BUILD_CONSTRAINT": " ",
    "UV_FIND_LINKS": ",",
    "UV_INDEX": " ",
    "UV_DEFAULT_INDEX": " ",
    "UV_INDEX_URL": " ",
    "UV_EXTRA_INDEX_URL": " ",
    "PIP_FIND_LINKS": " ",
    "PIP_INDEX_URL": " ",
    "PIP_EXTRA_INDEX_URL": " ",
}
"""Variables that hold URLs or paths, and what stands between two of them."""
_FILES = ("CONFIG_FILE", "CONSTRAINT", "BUILD_CONSTRAINT", "OVERRIDE", "EXCLUDE")
"""How the names end of those that hold files which decide, too."""
_ABSOLUTE = re.compile(r"([\w.-]*=)?[A-Za-z][A-Za-z0-9+.-]+:|~|[A-Za-z]:[\\/]")


def choosing(environ: Mapping[str, str], *, pip: bool) -> list[str]:
    """The variables by which uv, and with `pip` pip as well, are told what to choose, in order.

    For pip uv's count, too: uv exports its own locks.
    """
    named = (name for name in environ if name.startswith(("UV_", "PIP_") if pip else "UV_"))
    return sorted(name for name in named if name not in _DECIDED and not _PASSING.fullmatch(name))


def for_backends(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without variables that would change what is decided here."""
    return {name: value for name, value in environ.items() if name not in _DECIDED}


def files(environ: Mapping[str, str], *, pip: bool) -> list[str]:
    """The files, as far as they are there, that these variables name; of an environment that is `rooted`."""
    named = (name for name in choosing(environ, pip=pip) if name.partition("_")[2] in _FILES)
    paths = (path for name in named for path in environ[name].split(_PLACES.get(name, "\n")))
    return [path for path in dict.fromkeys(paths) if os.path.isfile(path)]  # noqa: PTH113 - text is compared


def rooted(environ: Mapping[str, str], folder: str = "") -> dict[str, str]:
    """The environment with the backends' relative paths made absolute: they run in folders of their own.

    They are relative to the folder, or to the current one.
    """
    found = dict(environ)
    for name, separator in {**dict.fromkeys(_PATHS, "\n"), **_PLACES}.items():
        if found.get(name):
            found[name] = separator.join(
                _rooted(place, folder) for place in found[name].split(separator) if place.strip()
            )
    return found


def _rooted(place: str, folder: str) -> str:
    if _ABSOLUTE.match(place.strip()) or place == os.devnull:
        return place
    named, equals, path = place.rpartition("=")  # uv: name=path
    return f"{named}{equals}{os.path.abspath(os.path.join(folder, path.strip()))}"  # noqa: PTH100, PTH118
