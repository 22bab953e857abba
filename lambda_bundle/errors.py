"""What can go wrong, each with a stable code.

The core raises `BundleError` and never prints; the edge (`console`) shows every `Problem` in it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Literal

PREFIX = "PythonLocalBundling"


class Code(str, Enum):
    """The stable name of a problem; `docs/errors.md` has a heading for each.

    The names of AWS CDK's local bundling are kept, and all others follow their form.
    """

    # configuration
    CONFIG_MISSING = f"{PREFIX}ConfigMissing"
    CONFIG_UNREADABLE = f"{PREFIX}ConfigUnreadable"
    CONFIG_SYNTAX = f"{PREFIX}ConfigSyntax"
    UNKNOWN_KEY = f"{PREFIX}UnknownKey"
    MISSING_KEY = f"{PREFIX}MissingKey"
    INVALID_VALUE = f"{PREFIX}InvalidValue"
    INVALID_HANDLER = f"{PREFIX}InvalidHandler"
    INVALID_TAG = f"{PREFIX}InvalidTag"
    ENTRY_MISSING = f"{PREFIX}EntryMissing"
    ARTIFACT_COLLISION = f"{PREFIX}ArtifactCollision"
    UNSUPPORTED_RUNTIME = f"{PREFIX}UnsupportedRuntime"
    UNPARSEABLE_RUNTIME = f"{PREFIX}UnparseableRuntime"
    UNSUPPORTED_ARCHITECTURE = f"{PREFIX}UnsupportedArchitecture"
    LAYER_MISMATCH = f"{PREFIX}LayerMismatch"
    # usage
    NOTHING_SELECTED = f"{PREFIX}NothingSelected"
    UNKNOWN_NAME = f"{PREFIX}UnknownName"
    INVALID_OPTION = f"{PREFIX}InvalidOption"
    # sources
    BROKEN_LINK = f"{PREFIX}BrokenLink"
    LINK_LOOP = f"{PREFIX}LinkLoop"
    UNUSABLE_FILE = f"{PREFIX}UnusableFile"
    FILE_COLLISION = f"{PREFIX}FileCollision"
    # requirements
    REQUIREMENTS_MISSING = f"{PREFIX}RequirementsMissing"
    INVALID_REQUIREMENT = f"{PREFIX}InvalidRequirement"
    SOURCE_REQUIREMENT = f"{PREFIX}SourceRequirement"
    LOCK_MISSING = f"{PREFIX}LockMissing"
    LOCK_STALE = f"{PREFIX}LockStale"
    LOCK_INVALID = f"{PREFIX}LockInvalid"
    LOCK_UNSUITABLE = f"{PREFIX}LockUnsuitable"
    UNLOCKABLE = f"{PREFIX}Unlockable"
    UNKNOWN_SELECTION = f"{PREFIX}UnknownSelection"
    WINDOWS_EXPORT_UNSUPPORTED = f"{PREFIX}WindowsExportUnsupported"
    VARIABLE_MISSING = f"{PREFIX}VariableMissing"
    # resolving and installing
    PYTHON_MISSING = f"{PREFIX}PythonMissing"
    PACKAGE_NOT_FOUND = f"{PREFIX}PackageNotFound"
    SOURCE_ONLY = f"{PREFIX}SourceOnly"
    NO_WHEEL = f"{PREFIX}NoWheel"
    PYTHON_UNSUPPORTED = f"{PREFIX}PythonUnsupported"
    CONFLICT = f"{PREFIX}Conflict"
    SPLIT_PACKAGE = f"{PREFIX}SplitPackage"
    LAYER_CONFLICT = f"{PREFIX}LayerConflict"
    IMPURE_WHEEL = f"{PREFIX}ImpureWheel"
    HASH_MISMATCH = f"{PREFIX}HashMismatch"
    HASH_MISSING = f"{PREFIX}HashMissing"
    INDEX_UNREACHABLE = f"{PREFIX}IndexUnreachable"
    INDEX_UNAUTHORIZED = f"{PREFIX}IndexUnauthorized"
    INDEX_UNSUITABLE = f"{PREFIX}IndexUnsuitable"
    OFFLINE = f"{PREFIX}Offline"
    # commands
    COMMAND_FAILED = f"{PREFIX}CommandFailed"
    COMMAND_TIMED_OUT = f"{PREFIX}CommandTimedOut"
    # binaries in the artifact
    WRONG_MACHINE = f"{PREFIX}WrongMachine"
    SYMBOL_TOO_NEW = f"{PREFIX}SymbolTooNew"
    LIBRARY_MISSING = f"{PREFIX}LibraryMissing"
    EXTENSION_MISFIT = f"{PREFIX}ExtensionMisfit"
    MUSL_BINARY = f"{PREFIX}MuslBinary"
    DAMAGED_BINARY = f"{PREFIX}DamagedBinary"
    FOREIGN_BINARY = f"{PREFIX}ForeignBinary"
    # code, dependencies and files in the artifact
    HANDLER_MISSING = f"{PREFIX}HandlerMissing"
    HANDLER_UNDEFINED = f"{PREFIX}HandlerUndefined"
    HANDLER_SHADOWED = f"{PREFIX}HandlerShadowed"
    MODULE_SHADOWING = f"{PREFIX}ModuleShadowing"
    SYNTAX_UNSUPPORTED = f"{PREFIX}SyntaxUnsupported"
    IMPORT_MISSING = f"{PREFIX}ImportMissing"
    IMPORT_FROM_RUNTIME = f"{PREFIX}ImportFromRuntime"
    DEPENDENCY_MISSING = f"{PREFIX}DependencyMissing"
    DEPENDENCY_VERSION = f"{PREFIX}DependencyVersion"
    SECRET_FILE = f"{PREFIX}SecretFile"
    UNUSABLE_NAME = f"{PREFIX}UnusableName"
    UNREADABLE_FILE = f"{PREFIX}UnreadableFile"
    LARGE_UPLOAD = f"{PREFIX}LargeUpload"
    NOT_CHECKED = f"{PREFIX}NotChecked"
    IGNORE_UNUSED = f"{PREFIX}IgnoreUnused"
    # running an artifact
    ARTIFACT_MISSING = f"{PREFIX}ArtifactMissing"
    ARTIFACT_UNREADABLE = f"{PREFIX}ArtifactUnreadable"
    INIT_FAILED = f"{PREFIX}InitFailed"
    INVOCATION_FAILED = f"{PREFIX}InvocationFailed"
    FUNCTION_ENDED = f"{PREFIX}FunctionEnded"
    FUNCTION_TIMED_OUT = f"{PREFIX}FunctionTimedOut"
    CODE_CHANGED = f"{PREFIX}CodeChanged"
    NOT_RUN = f"{PREFIX}NotRun"
    # output
    OUTPUT_UNWRITABLE = f"{PREFIX}OutputUnwritable"
    MANIFEST_UNREADABLE = f"{PREFIX}ManifestUnreadable"
    CACHE_UNUSABLE = f"{PREFIX}CacheUnusable"
    ARTIFACT_TOO_LARGE = f"{PREFIX}ArtifactTooLarge"
    ARTIFACT_EMPTY = f"{PREFIX}ArtifactEmpty"
    SYSTEM_ERROR = f"{PREFIX}SystemError"
    # warnings
    DEPRECATED_RUNTIME = f"{PREFIX}DeprecatedRuntime"
    MUSL_TAGS = f"{PREFIX}MuslTags"
    TAGS_BEYOND_RUNTIME = f"{PREFIX}TagsBeyondRuntime"
    SHARED_PATH = f"{PREFIX}SharedPath"
    OVERRIDE_UNUSED = f"{PREFIX}OverrideUnused"
    UNPINNED = f"{PREFIX}Unpinned"
    LOCK_ANEW = f"{PREFIX}LockAnew"
    SEVERAL_LOCKS = f"{PREFIX}SeveralLocks"
    SELECTION_UNUSED = f"{PREFIX}SelectionUnused"
    SKIP_UNUSED = f"{PREFIX}SkipUnused"
    EXTRA_UNKNOWN = f"{PREFIX}ExtraUnknown"
    YANKED = f"{PREFIX}Yanked"

    def __str__(self) -> str:
        return self.value


Stage = Literal[
    "stage",
    "before hooks",
    "layers",
    "requirements",
    "install",
    "after hooks",
    "verify",
    "archive",
    "publish",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The place of a problem: in a file (line and column count from 1), or in the work on an entry."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    key: str | None = None
    name: str | None = None
    stage: Stage | None = None

    def __str__(self) -> str:
        spot = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        work = ", ".join(part for part in (self.name, self.stage) if part is not None)
        return ": ".join(part for part in (work, spot, self.key) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong ("error"), that the user should know ("warning"), or that explains ("note")."""

    code: Code
    message: str
    where: Where = Where()
    hint: str | None = None
    detail: str | None = None
    """Captured output of a command, or a list that belongs to the message; may have many lines."""
    severity: Literal["error", "warning", "note"] = "error"

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Problem:
        """The problem that `dataclasses.asdict` made this of."""
        return cls(**{**told, "code": Code(told["code"]), "where": Where(**told["where"])})

    def at(self, *, name: str, stage: Stage) -> Problem:
        """The same problem, with the entry and the stage in which it came up."""
        return replace(self, where=replace(self.where, name=name, stage=stage))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """An entry of `verify.ignore`: a finding that the user does not want to hear of."""

    code: Code
    pattern: str
    """Of a file, a module or a distribution; * and ? match as in a shell."""
    where: Where = Where()
    own: bool = False
    """It is written for one function alone, and not for several."""
    used: bool = False
    """It has silenced something already."""

    @classmethod
    def parse(cls, text: str, *, where: Where = Where(), own: bool = False) -> Ignore:
        """Take "code:pattern" apart; raises `ValueError` where there is no such code."""
        word, _, pattern = text.partition(":")
        return cls(code=Code(f"{PREFIX}{word.removeprefix(PREFIX)}"), pattern=pattern, where=where, own=own)

    def silences(self, problem: Problem, owner: str | None = None) -> bool:
        """Whether a problem has this code, and a file or a subject of this pattern.

        `owner` is its distribution, as in "numpy 2.3.5".
        """
        if problem.code is not self.code:
            return False
        file, key = problem.where.file or "", problem.where.key or ""
        names = {file, file.rpartition("/")[2], key, (owner or "").partition(" ")[0]}
        return any(fnmatchcase(name, self.pattern) for name in names)

    def __str__(self) -> str:
        return f"{self.code.value.removeprefix(PREFIX)}:{self.pattern}"


class BundleError(Exception):
    """One or more problems that end the work; the only exception that this package raises on purpose."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type[BundleError], tuple[Problem, ...]]:
        # Exception pickles its args, which are the message here; executors send exceptions across processes.
        return type(self), self.problems


def silence(
    problems: Iterable[Problem], ignore: Sequence[Ignore], owner: Callable[[str], str | None]
) -> tuple[Problem, ...]:
    """The problems without those that are to be ignored, and a warning for each entry that silences none.

    How large a zip is only shows when it is written, so that an entry about that is never in vain.
    """
    used = {entry for entry in ignore if entry.used}
    kept = []
    for problem in problems:
        file = problem.where.file
        hits = [entry for entry in ignore if entry.silences(problem, file and owner(file))]
        used.update(hits)
        if not hits:
            kept.append(problem)
    unused = (entry for entry in ignore if entry.own and entry not in used)
    return (*kept, *(_unused(entry) for entry in unused if entry.code is not Code.LARGE_UPLOAD))


def _unused(entry: Ignore) -> Problem:
    return Problem(
        code=Code.IGNORE_UNUSED,
        message=f'"{entry}" silences nothing',
        where=entry.where,
        hint="remove it: what it was for is gone, or it is spelled otherwise",
        severity="warning",
    )


def strictly(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems, with errors in place of warnings."""
    return tuple(replace(one, severity="error") if one.severity == "warning" else one for one in problems)


def fails(problems: Iterable[Problem]) -> bool:
    """Whether there is an error among them."""
    return any(problem.severity == "error" for problem in problems)


def nearest_word(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The nearest of the known words, whatever the case, or None when none is near.

    `cutoff` is 1 for the same words alone.
    """
    spellings = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold(), spellings, n=1, cutoff=cutoff)
    return spellings[near[0]] if near else None


def nearest_or_all(word: str, known: Iterable[str]) -> str:
    """A hint for a name that is none: the nearest of the known ones, or else all of them."""
    names = list(known)
    there = f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if names else "there are none"
    return did_you_mean(word, names) or there


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """A hint that names the nearest of the known words, or None when none is near."""
    near = nearest_word(word, known, cutoff)
    return near and f'did you mean "{near}"?'
