"""What a job and the environment say of an artifact, as the record of a build holds it, and what differs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from lambda_bundle.indexes import Address
from lambda_bundle.jobs import Job
from lambda_bundle.variables import choosing, rooted

_APART = frozenset({"name", "root", "ignore", "output", "warnings", "target", "timeout"})
"""What a job holds that does not change its artifact, or is told in another way."""
_TABLES = {"before": "hooks.before", "after": "hooks.after", "ignore": "verify.ignore"}
"""What bundles.toml calls settings that are in a table there."""
_SCALARS = frozenset({str, int, float, bool, type(None)})
_SETTINGS = tuple(one.name for one in fields(Job) if one.name not in _APART)


def settings_of(job: Job) -> dict[str, Any]:
    """What a job says of its artifact, by the words of bundles.toml; no absolute path is in it."""
    target = job.target
    told: dict[str, Any] = {"runtime": target.runtime, "arch": target.arch, "tags": list(target.tags)}
    for name in _SETTINGS:
        told[name] = _plain(getattr(job, name))
    told |= told.pop("selection")
    told["ignore"] = [str(entry) for entry in job.ignore]
    told["env"] = {name: digest_of(value) for name, value in job.env}
    return told


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    if value.__class__ in _SCALARS:
        return value
    if isinstance(value, tuple):
        return [_plain(one) for one in value] if value else []
    if isinstance(value, Address):
        return value.text  # on which line it stands is no matter
    if isinstance(value, Job):
        return settings_of(value)
    return {name: _plain(getattr(value, name)) for name in _names(value.__class__)}


def environment_of(environ: Mapping[str, str], *, pip: bool) -> dict[str, str]:
    """The digests of the variables that tell the installers what to choose, without their credentials.

    Those of pip are among them where pip is one of the installers.
    """
    names = choosing(environ, pip=pip)
    if not names:
        return {}
    from lambda_bundle.process import mask  # noqa: PLC0415 - most environments have none of them

    meant = rooted(environ)
    return {name: digest_of(mask(meant[name])) for name in names}


def differences(before: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """What differs between the settings of a build and those of now; `above` is the table they are in."""
    for key in dict.fromkeys((*now, *before)):
        old, new = before.get(key), now.get(key)
        word = _TABLES.get(key, key)
        name = word if above in {"", "environment"} else f"{above}.{word}"
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new, name)
        elif above or isinstance(old, list | dict) or isinstance(new, list | dict):
            yield f"{name} changed"
        else:
            yield f"{name} {old or 'none'} → {new or 'none'}"


@lru_cache
def _names(kind: Any) -> tuple[str, ...]:
    """The names of the fields of a dataclass; `fields` is slow for each of 1,000 jobs."""
    return tuple(one.name for one in fields(kind))


def digest_of(text: str) -> str:
    """The SHA-256 of a text, as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
