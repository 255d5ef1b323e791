"""What a verb works with: the store, opened when it is first asked for, and where it writes to.

What is not found, and what is in use, is said in the words that scripts look for.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, NamedTuple, TypeAlias, TypeVar

from orlop.errors import AmbiguousError, InvalidLayerError, NotFoundError, OrlopError
from orlop.storagecmd.forms import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from orlop.storage.layers.record import Layer
    from orlop.storage.layers.store import LayerStore
    from orlop.storage.places import Places
    from orlop.storage.storage import Storage
    from orlop.storage.stored.containers import ContainerStore
    from orlop.storage.stored.images import StoredImageStore
    from orlop.storage.stored.record import Container, StoredImage
    from orlop.storagecmd.settings import Settings

T = TypeVar("T")
Kind: TypeAlias = Literal["layer", "image", "container"]
KINDS: Final[tuple[Kind, ...]] = ("layer", "image", "container")
"""What there is, in the order in which keys are looked up."""

NO_LAYER: Final = "layer not known"
NO_CONTAINER: Final = "container not known"
_TOO_EARLY: Final = ("cut short", "ends inside", "is empty")
NOTHING: Final = "identifier is not a layer, image, or container"


def no_image(key: str) -> str:
    """What is said of an image that there is not."""
    return f"locating image with ID {quoted(key)}: image not known"


class Streams(NamedTuple):
    """Where bytes come from and go to."""

    stdin: BinaryIO
    out: BinaryIO
    err: BinaryIO


class Session:
    """One run of the command.

    Args:
        settings: Which store.
        streams: Where to write to.
        verb: The verb, as it was called.
    """

    def __init__(self, settings: Settings, streams: Streams, verb: str) -> None:
        self.settings = settings
        self.streams = streams
        self.verb = verb
        self._opened: list[Storage] = []

    @cached_property
    def storage(self) -> Storage:
        """The store that containers are made in."""
        settings = self.settings
        places = self._places(settings.root)
        if settings.image_store:
            self._make(self._places(settings.image_store))
        return self._open(places, (settings.image_store, *settings.additional))

    @cached_property
    def image_storage(self) -> Storage:
        """The store that images are made in, and layers that are only read."""
        if not self.settings.image_store:
            return self.storage
        places = self._places(self.settings.image_store)
        return self._open(places, (str(self.storage.places.root), *self.settings.additional))

    @property
    def storages(self) -> tuple[Storage, ...]:
        """The stores that are written to, that of images first."""
        return tuple(dict.fromkeys((self.image_storage, self.storage)))

    def storage_of(self, kind: Kind, id: str) -> Storage:  # noqa: A002
        """The store in which an object is changed."""
        if kind == "container":
            return self.storage
        return (self.find_layer if kind == "layer" else self.find_image)(id)[0]

    def objects_of(self, kind: Kind, id: str) -> LayerStore | StoredImageStore | ContainerStore:  # noqa: A002
        """What objects of a kind are changed by, in the store where this one is."""
        storage = self.storage_of(kind, id)
        if kind == "layer":
            return storage.layers
        return storage.images if kind == "image" else storage.containers

    def _places(self, root: str) -> Places:
        from pathlib import Path

        from orlop.storage.places import Places, resolved

        run = self.settings.run
        if root and run:
            return Places(Path(root).absolute(), resolved(run))
        from orlop.storage.where import find_places

        return find_places(root or None, run or None)

    def _make(self, places: Places) -> None:
        """Have a store there, so that another one can look into it."""
        from orlop.storage.storage import Storage

        if not (places.root / "format.json").exists():
            Storage.open(places).close()

    def _open(self, places: Places, behind: Iterable[str]) -> Storage:
        from orlop.storage.storage import Storage

        found = Storage.open(
            places,
            driver=self.settings.driver or None,  # type: ignore[arg-type]
            additional=[self._places(path) for path in dict.fromkeys(behind) if path],
        )
        self._opened.append(found)
        return found

    def close(self) -> None:
        """Let go of the stores."""
        for storage in self._opened:
            storage.close()

    def layer(self, key: str) -> Layer:
        """The layer of a name or ID.

        Raises:
            NotFoundError: There is none, or several might be meant.
        """
        return self.find_layer(key)[1]

    def find_layer(self, key: str) -> tuple[Storage, Layer]:
        """The layer of a name or ID, and the store in which it is changed."""
        stores = (self.storage, self.image_storage)
        return _found(stores, lambda store: store.layers.get(key), key, NO_LAYER)

    def image(self, key: str) -> StoredImage:
        """The image of a name or ID; raises like `layer`."""
        return self.find_image(key)[1]

    def find_image(self, key: str) -> tuple[Storage, StoredImage]:
        """The image of a name or ID, and the store in which it is changed."""
        stores = (self.image_storage, self.storage)
        return _found(stores, lambda store: store.images.get(key), key, no_image(key))

    def container(self, key: str) -> Container:
        """The container of a name or ID; raises like `layer`."""
        stores = (self.storage,)
        return _found(stores, lambda store: store.containers.get(key), key, NO_CONTAINER)[1]

    def find(self, key: str, otherwise: str = NO_LAYER) -> tuple[Kind, str]:
        """What a name or ID means: layers come before images, and those before containers.

        Raises:
            NotFoundError: Nothing has it; `otherwise` says so.
        """
        for kind in KINDS:
            id = self.find_id(kind, key)  # noqa: A001
            if id is not None:
                return kind, id
        raise NotFoundError(otherwise)

    def find_id(self, kind: Kind, key: str) -> str | None:
        """The ID of what a name or ID means among things of a kind; None where that is nothing."""
        from orlop.storage.keys import find_object

        stores = (self.storage, self.image_storage)
        for store in stores[:1] if kind == "container" else dict.fromkeys(stores):
            try:
                return find_object(store, kind, key)[1]
            except (NotFoundError, AmbiguousError):
                continue
        return None

    def line(self, text: str) -> None:
        """Write a line of what was asked for."""
        self.streams.out.write(encoded(text))

    def lines(self, texts: Iterable[str]) -> None:
        """Write lines of what was asked for."""
        for text in texts:
            self.line(text)

    def json(self, value: object) -> None:
        """Write a value as a line of JSON."""
        from orlop.storagecmd.forms import json_line

        self.line(json_line(value))

    def complain(self, text: str) -> None:
        """Write a line for people."""
        self.streams.err.write(encoded(text))
        self.streams.err.flush()


def encoded(text: str) -> bytes:
    """A line as bytes; what came in as bytes that are no text goes out as these."""
    return f"{text}\n".encode(errors="surrogateescape")


def reading(path: str, stdin: BinaryIO) -> AbstractContextManager[BinaryIO]:
    """A file to read from, or the standard input where there is no name of one."""
    return open(path, "rb") if path else nullcontext(stdin)


def writing(path: str, stdout: BinaryIO) -> AbstractContextManager[BinaryIO]:
    """A file to write to, or the standard output where there is no name of one."""
    return open(path, "wb") if path else nullcontext(stdout)


@contextmanager
def tar_errors() -> Iterator[None]:
    """Say of what is no tar, or ends too early, what scripts look for."""
    try:
        yield
    except InvalidLayerError as error:
        early = any(words in str(error) for words in _TOO_EARLY)
        raise error.inside("unexpected EOF" if early else "invalid tar header") from None


def os_error_text(error: OSError) -> str:
    """What went wrong with which file."""
    reason = (error.strerror or str(error)).rpartition(": ")[2]
    name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"open {name}{reason[:1].lower()}{reason[1:]}" if name else reason


def error_text(error: OrlopError | OSError) -> str:
    """What went wrong, in one line."""
    return os_error_text(error) if isinstance(error, OSError) else str(error)


def existing(get: Callable[[str], T], keys: Iterable[str]) -> list[T]:
    """Those of several things that there are, in the order of the keys."""
    found = []
    for key in keys:
        try:
            found.append(get(key))
        except NotFoundError:
            continue
    return found


def _found(
    stores: Iterable[Storage], get: Callable[[Storage], T], key: str, otherwise: str
) -> tuple[Storage, T]:
    """What the first store has that has it; an own object comes before an additional one's."""
    behind: tuple[Storage, T] | None = None
    for store in dict.fromkeys(stores):
        try:
            found = get(store) if key else None
        except (NotFoundError, AmbiguousError):
            continue
        if found is not None and not getattr(found, "additional", False):
            return store, found
        if found is not None and behind is None:
            behind = store, found
    if behind is None:
        raise NotFoundError(otherwise)
    return behind
