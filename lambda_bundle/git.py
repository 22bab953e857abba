"""Git repositories: which commit a reference stands for, and its files.

git itself runs, so the user's credentials, helpers and rewritten URLs hold. Credentials in a URL travel by
the environment: what stands in an argument list, others on the machine can read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.installers import Work, offline
from lambda_bundle.process import Completed, mask
from lambda_bundle.reqlines import ADDRESS_HINT, mask_url
from lambda_bundle.wanted import NO_REQUIREMENTS

_URL = re.compile(
    r"git\+(?P<scheme>[a-z]+)://(?:(?P<user>[^/@]*)@)?(?P<rest>[^@]*)(?:@(?P<ref>.*))?", re.DOTALL
)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT = re.compile(r"[0-9a-f]{4,63}")
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "GCM_INTERACTIVE": "never"}
_HINT = "see that the address is right and that git can read it without asking: `git ls-remote` tells"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository at a reference: a branch, a tag, a commit, or its default branch (None)."""

    url: str
    """Without credentials."""
    reference: str | None
    credentials: tuple[str, str] | None
    """The beginning of the URL with credentials, and the same without."""

    @classmethod
    def parse(cls, text: str) -> Repository:
        """The repository at a URL as PEP 440 writes it: git+URL@REFERENCE."""
        match = _URL.fullmatch(text)
        if match is None:
            message = f"{mask_url(text)} is not the address of a git repository"
            raise BundleError(Problem(code=Code.INVALID_REQUIREMENT, message=message, hint=ADDRESS_HINT))
        bare = f"{match['scheme']}://{match['rest']}"
        reference = unquote(match["ref"]) if match["ref"] else None
        if not match["user"]:
            return cls(url=bare, reference=reference, credentials=None)
        whole = f"{match['scheme']}://{match['user']}@"
        if match["scheme"] == "ssh":  # a user's name is no secret there, and part of the address
            return cls(url=f"{whole}{match['rest']}", reference=reference, credentials=None)
        host = match["rest"].partition("/")[0]  # a submodule may be on another, which must not get them
        pair = (f"{whole}{host}/", f"{match['scheme']}://{host}/")
        return cls(url=bare, reference=reference, credentials=pair)

    def commit(self, work: Work) -> str:
        """The hash of the commit that the reference stands for now. Raises `BundleError`."""
        reference = self.reference
        if reference and _COMMIT.fullmatch(reference):
            return reference
        patterns = [reference, f"{reference}^{{}}"] if reference else ["HEAD"]
        told = self._run(work, "ls-remote", self.url, *patterns)
        found = {
            name: commit for commit, _, name in (line.partition("\t") for line in told.output.splitlines())
        }
        # The order of gitrevisions(7); an annotated tag is listed once more as what it leads to.
        for name in (f"refs/tags/{reference}^{{}}", f"refs/tags/{reference}", f"refs/heads/{reference}"):
            if name in found:
                return found[name]
        whole = reference or "HEAD"
        if whole in found:
            return found[whole]
        if _SHORT.fullmatch(whole):
            return self._commit_of(whole, work)
        raise self._unknown()

    def _commit_of(self, short: str, work: Work) -> str:
        """The whole hash of a commit that is named by the beginning of it."""
        self._run(work, "clone", "--quiet", "--bare", "--filter=tree:0", self.url, "short")
        completed = self._git(work, "-C", "short", "rev-parse", "--verify", "--quiet", f"{short}^{{commit}}")
        if completed.code:
            raise self._unknown()
        return completed.output.strip()

    def check_out(self, commit: str, folder: Path, work: Work) -> None:
        """Put the files of a commit, with those of its submodules, into a folder that is not there yet.

        Tags come too: some projects take their version from them. Raises `BundleError`.
        """
        self._run(work, "clone", "--quiet", "--no-checkout", "--filter=blob:none", self.url, str(folder))
        there = self._git(work, "-C", str(folder), "cat-file", "-e", f"{commit}^{{commit}}")
        if there.code:  # of no branch: a pull request, for example
            self._run(work, "-C", str(folder), "fetch", "--quiet", "origin", commit)
        self._run(work, "-C", str(folder), "checkout", "--quiet", "--detach", commit)
        if (folder / ".gitmodules").is_file():
            self._run(work, "-C", str(folder), "submodule", "--quiet", "update", "--init", "--recursive")

    def _run(self, work: Work, *arguments: str) -> Completed:
        completed = self._git(work, *arguments)
        if completed.code:
            raise completed.failure("git", hint=_HINT)
        return completed

    def _git(self, work: Work, *arguments: str) -> Completed:
        if work.offline and not self.url.startswith("file:") and arguments[0] in {"ls-remote", "clone"}:
            raise offline(mask(self.url), NO_REQUIREMENTS)
        told = dict(_ENVIRONMENT)
        if self.credentials is not None:
            whole, bare = self.credentials
            count = work.environ.get("GIT_CONFIG_COUNT", "0")
            told |= {
                "GIT_CONFIG_COUNT": str(int(count) + 1) if count.isdigit() else "1",
                f"GIT_CONFIG_KEY_{count}": f"url.{whole}.insteadOf",
                f"GIT_CONFIG_VALUE_{count}": bare,
            }
        return work.without("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE").run(["git", *arguments], **told)

    def _unknown(self) -> BundleError:
        message = f"{mask(self.url)} has no branch, tag or commit called {self.reference}"
        hint = "correct what stands behind the @ of the address"
        return BundleError(Problem(code=Code.INVALID_REQUIREMENT, message=message, hint=hint))
