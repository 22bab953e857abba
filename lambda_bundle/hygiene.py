"""Limits of Lambda, and files that do not belong into an artifact.

The limits: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from lambda_bundle.errors import Code, Problem, Where
from lambda_bundle.targets import UNZIPPED_LIMIT

UPLOAD_LIMIT = 50 * 1024 * 1024
"""Bytes of a zip that Lambda's API takes in a request; larger ones come from S3."""
LAYERS_LIMIT = 5
_NAME_MAX = 255
"""Bytes of one name on Linux."""
_PATH_MAX = 4096 - len("/var/task/") - 1
"""Bytes of a path on Linux, below the folder where functions lie."""
_SECRETS = (
    *(".env", ".env.*", "*.env", ".envrc", ".netrc", "_netrc", ".pypirc", ".npmrc", ".pgpass", ".htpasswd"),
    *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.key", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.kdbx"),
    *(".git-credentials", ".aws/credentials", ".aws/config", ".ssh/*", ".docker/config.json", ".kube/config"),
    *("*.tfstate", "*.tfvars", "service-account*.json", "client_secret*.json"),
)
_HARMLESS = ("*.example", "*.sample", "*.template", "*.dist", ".env.example.*", "*.pub", ".ssh/known_hosts")
_PRIVATE = b"PRIVATE KEY-----"


def secrets(own: Mapping[str, Path]) -> Iterator[Problem]:
    """Files of the user's that look like secrets: by name, and by content where the name is open."""
    for path, file in own.items():
        name = path.lower()
        if _is_secret(name) or (name.endswith(".pem") and _holds_key(file)):
            yield Problem(
                code=Code.SECRET_FILE,
                message="this looks like a secret, and whoever may read the function's code could read it",
                where=Where(file=path),
                hint="leave it out with `exclude`, and keep it in Secrets Manager or the Parameter Store",
                severity="warning",
            )


def _is_secret(path: str) -> bool:
    tails = (posixpath.basename(path), "/".join(path.rsplit("/", 2)[-2:]))
    if any(fnmatchcase(tail, pattern) for tail in tails for pattern in _HARMLESS):
        return False
    return any(fnmatchcase(tail, pattern) for tail in tails for pattern in _SECRETS)


def _holds_key(file: Path) -> bool:
    with file.open("rb") as content:
        return _PRIVATE in content.read(1 << 16)


def names(paths: Iterable[str]) -> Iterator[Problem]:
    """Paths that Lambda cannot unpack, or unpacks to something else."""
    for path in paths:
        fault, hint = _fault(path)
        if fault is not None:
            yield Problem(code=Code.UNUSABLE_NAME, message=fault, where=Where(file=path), hint=hint)


def _fault(path: str) -> tuple[str | None, str]:
    short = "give it a shorter name"
    if path.isascii() and len(path) <= _NAME_MAX and path.isprintable() and "\\" not in path:
        return None, ""
    if "\\" in path:
        message = "its name has a backslash, which is no separator on Linux: it is not where it seems to be"
        return message, "make the archive with a tool that writes /, or rename the file"
    if len(path.encode()) > _PATH_MAX:
        return (
            f"its path has {len(path.encode()):,} bytes, and Linux takes {_PATH_MAX:,} below /var/task",
            short,
        )
    longest = max(len(part.encode()) for part in path.split("/"))
    if longest > _NAME_MAX:
        return f"a name in its path has {longest} bytes, and Linux takes {_NAME_MAX}", short
    if any(ord(char) < 32 or ord(char) == 127 for char in path):
        return "its name holds control characters", "rename it"
    return None, ""


def sizes(unzipped: int, layers: Sequence[tuple[str, int]]) -> Iterator[Problem]:
    """Whether a function or a layer is too large when it is unpacked, with its layers; sizes are in bytes."""
    total = unzipped + sum(size for _, size in layers)
    if total > UNZIPPED_LIMIT:
        parts = [f"{unzipped:>13,}  itself", *(f"{size:>13,}  layer {name}" for name, size in layers)]
        yield Problem(
            code=Code.ARTIFACT_TOO_LARGE,
            message=f"unpacked, this is {total:,} bytes, and Lambda takes {UNZIPPED_LIMIT:,} at most",
            hint="leave out what it does not need, in an `after` hook too, or deploy it as a container image",
            detail="\n".join(parts) if layers else None,
        )
    if len(layers) > LAYERS_LIMIT:
        yield Problem(
            code=Code.ARTIFACT_TOO_LARGE,
            message=f"there are {len(layers)} layers, and Lambda takes {LAYERS_LIMIT} at most",
            hint="put what belongs together into one layer",
        )


def zipped(size: int) -> Iterator[Problem]:
    """Whether a zip of so many bytes has to be uploaded by way of S3."""
    if size > UPLOAD_LIMIT:
        yield Problem(
            code=Code.LARGE_UPLOAD,
            message=f"the zip has {size:,} bytes: Lambda takes {UPLOAD_LIMIT:,} in a direct upload, and more "
            "from S3",
            hint="deploy it by way of S3, as AWS CDK, SAM and Terraform can",
            severity="note",
        )
