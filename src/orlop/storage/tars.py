"""The tars of layers, to read contents from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.storage.forms import FormStore


class LayerTars:
    """The tars of layers, opened when first asked for and closed together; a context manager.

    Args:
        forms: Where they are.
    """

    def __init__(self, forms: FormStore) -> None:
        self._forms = forms
        self._open: dict[Digest, int] = {}

    def open(self, diff_id: Digest) -> int:
        """A descriptor of a layer's tar, which stays that of this object.

        Raises:
            OSError: It is not there, or cannot be read.
        """
        fd = self._open.get(diff_id)
        if fd is None:
            fd = os.open(self._forms.path(diff_id, "tar"), os.O_RDONLY | os.O_CLOEXEC)
            self._open[diff_id] = fd
        return fd

    def read(self, diff_id: Digest, offset: int, size: int) -> bytes:
        """Bytes of a layer's tar; fewer than asked for where it ends."""
        return os.pread(self.open(diff_id), size, offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._open.values():
            os.close(fd)
