"""What lies beside an unpacked image, and says of which image it is.

    DIR/                  0700: what is in it may be set-user-id
      rootfs/             the files
      orlop.json          the image, and what could not be kept; written last
      orlop.tree          what each file was like (`orlop.unpack.stats`)
      orlop.unfinished    instead of both while DIR is being written, and after a crash

`orlop.json` is an object with these members; further ones are an error.

    version       1
    image         its name, as it was
    manifest      digest of its manifest
    config        digest of its config
    diff_ids      its layers, base first
    form          `rootfs`; `layer` or `stacked` for what cannot be repacked
    kept          `all`, `owners` or `nothing` (`orlop.unpack.rootless`)
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias, get_args

from orlop.digest import Digest
from orlop.errors import InvalidDocumentError, OrlopError
from orlop.unpack.rootless import Kept

if TYPE_CHECKING:
    from orlop.unpack.stats import StatDirectory

Form: TypeAlias = Literal["rootfs", "layer", "stacked"]

VERSION: Final = 1
DOCUMENT: Final = "orlop.json"
TREE: Final = "orlop.tree"
UNFINISHED: Final = "orlop.unfinished"
ROOTFS: Final = "rootfs"
MAX_DOCUMENT: Final = 4 << 20
MAX_TREE: Final = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The image that a directory was unpacked from; see the module."""

    image: str
    manifest: Digest
    config: Digest
    diff_ids: tuple[Digest, ...]
    form: Form = "rootfs"
    kept: Kept = "all"

    def encode(self) -> bytes:
        """The document."""
        found = {
            "version": VERSION,
            "image": self.image,
            "manifest": self.manifest,
            "config": self.config,
            "diff_ids": list(self.diff_ids),
            "form": self.form,
            "kept": self.kept,
        }
        return json.dumps(found, indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """The state out of its document.

        Raises:
            InvalidDocumentError: It is none, or of another version.
        """
        try:
            found = json.loads(raw)
            version = found.pop("version")
            if version != VERSION:
                raise InvalidDocumentError(
                    f"is of version {version!r}, not {VERSION}", where=DOCUMENT, hint=AGAIN
                )
            state = cls(
                **{
                    **found,
                    "manifest": Digest(found["manifest"]),
                    "config": Digest(found["config"]),
                    "diff_ids": tuple(map(Digest, found["diff_ids"])),
                }
            )
        except InvalidDocumentError:
            raise
        except (OrlopError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise _damaged(DOCUMENT) from None
        if (
            not isinstance(state.image, str)
            or state.form not in get_args(Form)
            or state.kept not in get_args(Kept)
        ):
            raise _damaged(DOCUMENT)
        return state


AGAIN: Final = "unpack the image again, into another directory"


def write_state(dir_fd: int, state: State, stats: StatDirectory | None) -> None:
    """Write both files; the document comes last, in one step, and takes the place of an old one.

    Raises:
        OSError: They could not be written.
    """
    from orlop.unpack.stats import encode_stats

    if stats is not None:
        _write(dir_fd, TREE, encode_stats(stats))
    _write(dir_fd, DOCUMENT, state.encode())


def read_state(dir_fd: int) -> State | None:
    """What a directory was unpacked from; None where nothing says it.

    Raises:
        InvalidDocumentError: It was not unpacked to the end, or the document is damaged.
        OSError: It cannot be read.
    """
    try:
        raw = read_limited(dir_fd, DOCUMENT, MAX_DOCUMENT)
    except FileNotFoundError:
        if UNFINISHED in os.listdir(dir_fd):
            raise InvalidDocumentError(
                "the image was not unpacked to the end", where=UNFINISHED, hint=AGAIN
            ) from None
        return None
    return State.decode(raw)


def read_records(dir_fd: int) -> StatDirectory:
    """What each file was like.

    Raises:
        InvalidDocumentError: The records are missing or damaged.
        OSError: They cannot be read.
    """
    from orlop.unpack.stats import decode_stats

    hint = "repack with --hash, which reads every file instead"
    try:
        return decode_stats(read_limited(dir_fd, TREE, MAX_TREE))
    except FileNotFoundError:
        raise InvalidDocumentError("is missing", where=TREE, hint=hint) from None
    except InvalidDocumentError as error:
        raise InvalidDocumentError(str(error), where=TREE, hint=hint) from None


def _damaged(where: str) -> InvalidDocumentError:
    return InvalidDocumentError("is damaged", where=where, hint=AGAIN)


def _write(dir_fd: int, name: str, data: bytes) -> None:
    new = f"{name}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(new, flags, 0o600, dir_fd=dir_fd), "wb") as file:
        file.write(data)
    os.rename(new, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def read_limited(dir_fd: int, name: str, limit: int) -> bytes:
    """A file of a directory, which is no longer than `limit` bytes."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(name, flags, dir_fd=dir_fd), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InvalidDocumentError(f"is larger than {limit} bytes", where=name, hint=AGAIN)
    return data
