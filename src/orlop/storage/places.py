"""Where everything lies in a store, and the file that says which format it has.

    ROOT/                         0700
      format.json                 format version and feature flags
      orlop.db                    the records; what is not named there is garbage
      blobs/<algorithm>/<hex>     content as it was fetched
      ingest/<id>/                content on its way in
      forms/<algorithm>/<hex>/    derived from one layer, by diffID; see `orlop.storage.forms`
      chains/<algorithm>/<hex>/   derived from a stack, by chainID; see `orlop.storage.chains`
      layers/<id>/                written to; see `orlop.storage.layers.directory`
      images/<id>/                big data and a directory of an image's own
      containers/<id>/            likewise
      staging/<lease>-<pid>-<n>/  a form or chain being built, under the lease in its name
      locks/<nn>                  who builds, by the first two digits of a digest
      locks/disk-<nn>             who builds the disks of an image, likewise
      locks/mount-<nn>            who mounts or unmounts, likewise by the target's digest
      locks/layer-<nn>            who mounts, changes or removes a layer, likewise by its ID's
      reserve                     room for removing things when the disk is full
      trash/                      what is being removed
    RUN/                          0711
      mounts/<name>-<driver>/     mount points, nothing else
      containers/<store>/<id>/    what containers keep until the next boot; images/… likewise;
                                  several stores may have one RUN

Lock rules: one thread holds at most one of each kind of `locks/`, a layer's before a mount's, a
mount's before a builder's, a disk's before that of a builder, takes all of them before an ingest,
and none while a database transaction is open.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from orlop.digest import Digest
from orlop.errors import InvalidDocumentError, InvalidError, NotFoundError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from pathlib import Path

    from orlop.metadata.objects import ObjectKind

FORMAT_VERSION: Final = 1
KNOWN_FEATURES: Final = frozenset[str]()
"""Feature flags that this version understands; a store that has others is refused."""
EMPTY_LOWER: Final = ".empty"
"""The directory in `layers/` that is none: what layers without parents stand on. No ID begins with
a point."""

_WRITE_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_MAX_FORMAT_SIZE: Final = 65536
_NAME_LENGTH: Final = 16
_FOLDERS: Final = (
    "blobs", "ingest", "forms", "chains", "layers", "images", "containers", "staging", "locks",
    "trash",
)  # fmt: skip
_OWN_NAMES: Final = frozenset({*_FOLDERS, "format.json", "reserve", "lost+found"})


@dataclass(frozen=True)
class Places:
    """The paths of one store.

    Attributes:
        root: The store; only its owner may enter.
        run: Its mount points; others may pass through.
    """

    root: Path
    run: Path

    def _at(self, name: str) -> Path:
        """A path in the store; joined as text, which takes a third of the time."""
        return type(self.root)(f"{self.root}/{name}")

    @property
    def database(self) -> Path:
        """The records."""
        return self.root / "orlop.db"

    @property
    def reserve(self) -> Path:
        """Room for removing things when the disk is full."""
        return self.root / "reserve"

    @property
    def staging(self) -> Path:
        """What is being built."""
        return self.root / "staging"

    @property
    def trash(self) -> Path:
        """What is being removed."""
        return self.root / "trash"

    @cached_property
    def mounts(self) -> Path:
        """The mount points that orlop chooses itself."""
        return self.run / "mounts"

    @cached_property
    def _real_root(self) -> bytes:
        """The store by one name, whatever links lead there: what tells stores in one RUN apart."""
        return os.fsencode(os.path.realpath(self.root))

    def blob(self, digest: Digest) -> Path:
        """The file of a blob."""
        return self._at(f"blobs/{digest.algorithm}/{digest.encoded}")

    def ingest(self, reference: str) -> Path:
        """The directory of content on its way in."""
        from orlop.content.slot import slot_name

        return self.root / "ingest" / slot_name(reference)

    def form(self, diff_id: Digest) -> Path:
        """The directory of what is derived from a layer."""
        return self._at(f"forms/{diff_id.algorithm}/{diff_id.encoded}")

    def chain(self, chain_id: Digest) -> Path:
        """The directory of what is derived from a stack of layers."""
        return self._at(f"chains/{chain_id.algorithm}/{chain_id.encoded}")

    def layer(self, id: str) -> Path:  # noqa: A002
        """The directory of a layer that is written to."""
        return self._at(f"layers/{id}")

    def object(self, kind: ObjectKind, id: str) -> Path:  # noqa: A002
        """The directory of a layer, an image or a container."""
        return self._at(f"{kind}s/{id}")

    def run_directory(self, kind: ObjectKind, id: str) -> Path:  # noqa: A002
        """What an image or a container keeps until the next boot."""
        return self.run_directories(kind) / id

    def run_directories(self, kind: ObjectKind) -> Path:
        """Where those of all images or containers lie: other stores may share RUN."""
        return self.run / f"{kind}s" / Digest.of(self._real_root).encoded[:_NAME_LENGTH]

    def mount_place(self, what: str, kind: str) -> Path:
        """Where something of this store is mounted when nobody says where.

        Args:
            what: What it is: a chainID, or the ID of a layer.
            kind: The end of its name.
        """
        name = Digest.of(self._real_root + what.encode()).encoded[:_NAME_LENGTH]
        return self.mounts / f"{name}-{kind}"

    def make_below_run(self, path: Path) -> None:
        """Make a directory below RUN, and those above it: whoever has mapped IDs may pass them.

        Raises:
            OSError: One could not be made.
        """
        if self._make_below_run(path):
            return
        self.run.parent.mkdir(parents=True, exist_ok=True)
        above = [each for each in path.parents if each.is_relative_to(self.run)]
        for each in (*reversed(above), path):
            self._make_below_run(each)

    @staticmethod
    def _make_below_run(path: Path) -> bool:
        """Make a directory; False where the one above it is missing."""
        try:
            path.mkdir()
        except FileExistsError:
            return True
        except FileNotFoundError:
            return False
        path.chmod(0o711)
        return True

    def lock(self, digest: Digest) -> Path:
        """The lock file of whoever builds something named by this digest."""
        return self._at(f"locks/{digest.encoded[:2].lower()}")

    def disk_lock(self, digest: Digest) -> Path:
        """The lock file of whoever builds disks, and takes those of layers meanwhile."""
        return self._at(f"locks/disk-{digest.encoded[:2].lower()}")

    def mount_lock(self, target: Path) -> Path:
        """The lock file of whoever mounts or unmounts at a target; builds never wait for these."""
        name = Digest.of(os.fsencode(target)).encoded[:2]
        return self._at(f"locks/mount-{name}")

    def layer_lock(self, id: str) -> Path:  # noqa: A002
        """The lock file of whoever mounts, changes or removes a layer."""
        return self._at(f"locks/layer-{Digest.of(id.encode()).encoded[:2]}")


def resolved(run: str | PathLike[str]) -> Path:
    """Where mount points are, by one name whatever links lead there: rows tell mounts by theirs."""
    from pathlib import Path

    return Path(os.path.realpath(run))


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Let errors of writing say where: they name no file, or one below a directory's handle."""
    try:
        yield
    except OSError as error:
        name = error.filename
        if error.errno in _WRITE_ERRORS and not os.path.isabs(os.fsdecode(name or b"")):
            error.filename = os.fspath(path)
            if isinstance(name, (str, bytes)):
                error.filename2 = name
        raise


def prepare(places: Places) -> None:
    """Make the store's folders, and its format file where there is none.

    Idempotent, and safe when several processes do it at once.

    Raises:
        UnsupportedError: The store has another format version or unknown feature flags.
        InvalidDocumentError: Its format file is damaged.
        InvalidError: The directory has other files in it; or the store's database is gone.
        OSError: It cannot be made.
    """
    if not places.root.is_dir():
        from orlop.content import ensure_directory

        ensure_directory(str(places.root))
    check_format(places, missing_ok=True)
    path = places.root / "format.json"
    if not path.exists():
        _require_unused(places)
    for name in _FOLDERS:
        (places.root / name).mkdir(mode=0o700, exist_ok=True)
    if not path.exists():
        _write_format(path)
    check_records(places)


def _require_unused(places: Places) -> None:
    """Succeed if a directory holds nothing but what another process makes of it just now."""
    foreign = [
        name
        for name in os.listdir(places.root)
        if name not in _OWN_NAMES and not name.startswith((".format-", "orlop.db"))
    ]
    if foreign:
        raise InvalidError(
            f"{places.root} is no store, and has other files in it ({min(foreign)!r})",
            hint="name an empty directory, or one that is yet to be made, with --root",
        )


def check_records(places: Places) -> None:
    """Succeed unless there is content without a database: all of it would count as garbage.

    Raises:
        InvalidError: That is so.
    """
    blobs = places.root / "blobs"
    if not blobs.is_dir() or not os.listdir(blobs):
        return
    # Whoever made a blob has made the database before.
    try:
        size = places.database.stat().st_size
    except FileNotFoundError:
        size = 0
    if not size:
        raise InvalidError(
            f"the store at {places.root} has lost its database, {places.database.name}",
            hint="restore it from a copy, or name another store with --root",
        )


def check_format(places: Places, *, missing_ok: bool = False) -> None:
    """Succeed if this version may work on the store.

    Raises:
        NotFoundError: There is no store.
        UnsupportedError: The store has another format version or unknown feature flags.
        InvalidDocumentError: Its format file is damaged.
    """
    path = places.root / "format.json"
    try:
        with open(path, "rb") as file:
            raw = file.read(_MAX_FORMAT_SIZE + 1)
    except FileNotFoundError:
        if missing_ok:
            return
        raise NotFoundError(
            f"no store at {places.root}", hint="pull an image, or say where with --root"
        ) from None
    found = _decode_format(raw)
    if found is None:
        raise InvalidDocumentError(
            "not the format file of a store",
            where=str(path),
            hint="restore it from a copy, or name another store with --root",
        )
    version, features = found
    unknown = [feature for feature in features if feature not in KNOWN_FEATURES]
    if version != FORMAT_VERSION or unknown:
        what = f"the features {', '.join(unknown)}" if unknown else f"format version {version}"
        raise UnsupportedError(
            f"the store at {places.root} has {what}, which this version of orlop does not know",
            hint="use a newer orlop, or another store with --root",
        )


def _decode_format(raw: bytes) -> tuple[int, list[str]] | None:
    """Version and feature flags; None where it is no format file."""
    try:
        document = json.loads(raw)
        version, features = document["version"], document["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if len(raw) > _MAX_FORMAT_SIZE or type(version) is not int or not isinstance(features, list):
        return None
    return (version, features) if all(isinstance(each, str) for each in features) else None


def _write_format(path: Path) -> None:
    """Put the format file in place, durably; the first writer wins."""
    temporary = path.with_name(f".format-{os.getpid()}-{threading.get_ident()}")
    data = json.dumps({"version": FORMAT_VERSION, "features": sorted(KNOWN_FEATURES)}) + "\n"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
