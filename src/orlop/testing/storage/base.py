"""What the parts of the contract share: stores, small tars, and what is mounted."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import pytest

from orlop._sys.mountinfo import iter_mounts
from orlop._sys.process import CAP_CHOWN, CAP_SYS_ADMIN, has_capability, in_initial_user_namespace
from orlop.storage.places import Places
from orlop.storage.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orlop.storage.layers.record import Layer
    from orlop.storage.mountable import StorageDriver
    from orlop.storage.stored.record import StoredImage


Member: TypeAlias = tuple[tarfile.TarInfo, bytes]
"""A member of a tar, and its data."""


def member(name: str, data: bytes | None = None, **attributes: object) -> Member:
    """A member of a tar: a file with these bytes, or a directory without."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    info.mode = 0o755 if data is None else 0o644
    info.uid, info.gid, info.mtime = os.geteuid(), os.getegid(), 1_600_000_000
    info.size = len(data or b"")
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data or b""


def tar(*members: Member) -> bytes:
    """The members as an uncompressed tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


class StorageContractBase:
    """The fixtures; a subclass says which driver it is for.

    Attributes:
        driver: The driver.
    """

    driver: ClassVar[StorageDriver]

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """An empty directory, where the filesystem suits the driver."""
        return tmp_path

    @pytest.fixture
    def open_storage(self, place: Path) -> Iterator[Callable[..., Storage]]:
        """Opens the store of a name below `place`, for a driver; closed at the end."""
        with ExitStack() as stack:

            def open_storage(
                name: str = "own", driver: StorageDriver | None = None, **options: object
            ) -> Storage:
                additional = [self.places(place, each) for each in options.pop("additional", ())]  # type: ignore[attr-defined]
                return stack.enter_context(
                    Storage.open(
                        self.places(place, name), driver=driver or self.driver,
                        additional=additional, **options,  # type: ignore[arg-type]
                    )
                )  # fmt: skip

            yield open_storage

    @pytest.fixture
    def storage(self, open_storage: Callable[..., Storage]) -> Storage:
        """An empty store."""
        return open_storage()

    @pytest.fixture(autouse=True)
    def nothing_left_behind(self, place: Path) -> Iterator[None]:
        """See that a test takes away what it mounts."""
        yield
        left = mounts_below(place)
        for point in reversed(left):
            subprocess.run(["umount", "--lazy", point], check=False)  # noqa: S603, S607
        assert left == []

    @staticmethod
    def places(place: Path, name: str) -> Places:
        """Where a store lies."""
        return Places(place / name, place / f"run-{name}")

    @property
    def may_mount(self) -> bool:
        """Whether this process may mount."""
        return has_capability(CAP_SYS_ADMIN)

    @property
    def owns(self) -> bool:
        """Whether this process may give files to others."""
        return has_capability(CAP_CHOWN)

    @property
    def initial(self) -> bool:
        """Whether this process is in the machine's own user namespace."""
        return in_initial_user_namespace()

    def needs_mounts(self) -> None:
        """Leave a test out that is about mounts where there are none."""
        if not self.may_mount:
            pytest.skip("without the right to mount a layer is shown as the directory that it is")


def put(storage: Storage, *members: Member, parent: str | None = None) -> Layer:
    """A layer made of a tar of these members."""
    return storage.layers.put(io.BytesIO(tar(*members)), parent)


def image(storage: Storage, *layers: list[Member], name: str = "image") -> StoredImage:
    """An image of layers that are made of tars."""
    top: str | None = None
    for members in layers:
        top = put(storage, *members, parent=top).id
    return storage.images.create(top, names=[name])


def mounts_below(place: Path) -> list[Path]:
    """What is mounted below a directory."""
    from pathlib import Path

    top = os.fsencode(os.path.realpath(place)) + b"/"
    points = (info.mount_point for info in iter_mounts())
    return sorted(Path(os.fsdecode(point)) for point in points if point.startswith(top))
