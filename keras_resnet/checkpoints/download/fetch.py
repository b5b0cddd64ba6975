"""Fetches published files into Keras' cache: once, checked by hash, and there whole or not at all."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from keras_resnet.checkpoints.download.http import apply_mirror, without_credentials
from keras_resnet.checkpoints.download.partial import exclusive, forget, publish
from keras_resnet.checkpoints.download.resume import receive
from keras_resnet.utils.progress import say, waiting

_NAME = re.compile(r"[\w+-][\w.+-]*(/[\w+-][\w.+-]*)*", re.ASCII)  # neither "..", nor absolute, nor hidden
_DIGEST = re.compile(r"(sha256:[0-9a-f]{8,64}|md5:[0-9a-f]{8,32})?")
_WHOLE = {"sha256": 64, "md5": 32}

Check = Callable[[Path], object]


def fetch(url: str, name: str, digest: str = "", *, otherwise: str, check: Check | None = None) -> Path:
    """Returns the path of a published file in Keras' cache, downloading it unless it is there and right.

    What a killed or failed download left is continued. Of processes that want the same file one downloads it and the
    others wait, where the system has locks. `KERAS_RESNET_MIRROR` may hold an http or https URL that takes the place
    of scheme and host.

    Args:
        url: where the file is published.
        name: the path below the cache's folder `models`, with "/".
        digest: "sha256:" or "md5:" and the first 8 hexadecimal digits or more; "" where none are published.
        otherwise: what a user without network can do instead, for the error.
        check: raises ValueError if a file can't be read in its format. Every new file has to pass it, and without
            a digest the file in the cache, too.

    Raises:
        OSError: if the file can't be had, or is another one: names the URL, the reason, and the place for a file
            that was downloaded by other means. What was in the cache is still there.
        ValueError: if `name` or `digest` is malformed, or `KERAS_RESNET_MIRROR` and the file has to be downloaded.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"`name` must be a path below the cache, such as 'timm/resnet18.pth'; received {name!r}.")
    proof, source, path = _Proof.of(digest, check), url, _home() / "models" / name
    try:
        if not proof.trusts(path):
            source = apply_mirror(url)
            path = _writable_home() / "models" / name
            _obtain(source, path, proof)
    except OSError as error:
        told = ""
        with suppress(OSError):
            told = proof.objection(path)
        raise OSError(
            f"Could not download {without_credentials(source)} ({error}). {told}"
            f"Download this file by other means and save it as {path}, or {otherwise}."
        ) from error
    return path


@dataclass(frozen=True)
class _Proof:
    """A digest and a check, which tell a published file from any other."""

    algorithm: str
    digits: str
    check: Check | None

    @classmethod
    def of(cls, digest: str, check: Check | None) -> "_Proof":
        """Reads a digest."""
        if not _DIGEST.fullmatch(digest.lower()):
            raise ValueError(
                f"`digest` must be 'sha256:' or 'md5:' followed by at least 8 hexadecimal digits; received {digest!r}."
            )
        algorithm, _, digits = digest.lower().partition(":")
        return cls(algorithm, digits, check)

    @property
    def is_whole(self) -> bool:
        """Whether all of the digits are known."""
        return len(self.digits) == _WHOLE.get(self.algorithm)

    def trusts(self, path: Path) -> bool:
        """Whether a file of the cache is right; without digits, whether it can be read: only whole ones get there."""
        with suppress(PermissionError):
            return path.is_file() and not self.objection(path)
        return False

    def objection(self, path: Path) -> str:
        """Why a file of the cache is not the published one, as a sentence; "" if it is, or there is none."""
        needed = replace(self, check=None) if self.digits else self
        try:
            if path.is_file():
                needed.test(path)
        except ValueError as error:
            return f"The file {path} is not the published one: {error}. "
        return ""

    def test(self, path: Path) -> None:
        """Raises a `ValueError` if a file is not the published one."""
        if self.digits:
            with path.open("rb") as file, waiting(f"hashing {path.name}"):
                new = partial(hashlib.new, self.algorithm, usedforsecurity=False)  # some systems keep md5 from secrets
                found = hashlib.file_digest(file, new).hexdigest()
            if not found.startswith(self.digits):
                raise ValueError(f"its {self.algorithm} hash is {found}, not {self.digits}")
        if self.check:
            self.check(path)


def _home() -> Path:
    """Returns Keras' folder."""
    return Path(os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras"))


def _writable_home() -> Path:
    """Makes Keras' folder, or where that can't be written its fallback, unless that may be another user's trap."""
    home, fallback = _home(), Path(tempfile.gettempdir()) / ".keras"
    with suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
    if os.access(home, os.W_OK):
        return home
    with suppress(OSError):
        fallback.mkdir(mode=0o700, exist_ok=True)
    is_others = hasattr(os, "getuid") and fallback.exists() and fallback.stat().st_uid != os.getuid()
    if fallback.is_symlink() or is_others:
        raise OSError(
            f"the cache {home} can't be written to, and {fallback} is a link or belongs to another user; set the "
            "environment variable KERAS_HOME to a folder of yours"
        )
    return fallback


def _obtain(url: str, path: Path, proof: _Proof) -> None:
    """Downloads a file into its place, unless it is there and right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path) as part:
        if not proof.trusts(path):  # another process may have been quicker, or the fallback has it
            _download(url, part, proof)
            publish(part, path)


def _download(url: str, part: Path, proof: _Proof) -> None:
    """Completes a file; begins it anew if what was there before turns out not to be its beginning."""
    continued = part.stat().st_size > 0
    while True:
        receive(url, part, proven=proof.is_whole)
        try:
            proof.test(part)
            break
        except ValueError as error:
            forget(part)
            if not continued:
                raise OSError(str(error)) from error
            continued = False
    if not proof.digits:
        how = "format and length" if proof.check else "length"
        say(f"note: no hash of {without_credentials(url)} is published, so only the {how} of the file was checked")
