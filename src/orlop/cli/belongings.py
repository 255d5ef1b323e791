"""`name`, `meta`, `data` and `dir` of `orlop layer`, `orlop image` and `orlop container`.

The verbs are the same for all three: the module has each of them under the name of its kind, such
as `layer_add_names`.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Final, Protocol, cast

from orlop.cli.failure import for_each
from orlop.cli.objects import data_document, read_metadata
from orlop.cli.parameter import Parameter
from orlop.cli.render import Format, human_size, print_json, print_table
from orlop.cli.settings import open_existing, open_for_reading
from orlop.cli.streams import STREAM, open_input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from orlop.storage.big_data import BigDataStore
    from orlop.store import Store

    class _Object(Protocol):
        """A layer, an image or a container."""

        @property
        def names(self) -> tuple[str, ...]: ...
        @property
        def metadata(self) -> str: ...

    class _Objects(Protocol):
        """The layers, images or containers of a store."""

        data: BigDataStore

        def get(self, key: str) -> _Object: ...
        def add_names(self, key: str, names: Iterable[str]) -> _Object: ...
        def remove_names(self, key: str, names: Iterable[str]) -> _Object: ...
        def set_names(self, key: str, names: Iterable[str]) -> _Object: ...
        def set_metadata(self, key: str, metadata: str) -> _Object: ...

    class _Owners(_Objects, Protocol):
        """Those of them that have directories of their own: images and containers."""

        def directory(self, key: str) -> Path: ...
        def run_directory(self, key: str) -> Path: ...


_KINDS: Final = {"layer": "layers", "image": "stored_images", "container": "containers"}
_PIECE: Final = 1 << 20


class Belongings:
    """The verbs for one kind of thing.

    Args:
        kind: `layer`, `image` or `container`.
    """

    def __init__(self, kind: str) -> None:
        self._attribute = _KINDS[kind]

    def add_names(self, key: str, name: str, /, *more: str) -> None:
        """Give it more names; a name that is taken moves here.

        Args:
            key: An ID, a name or a unique prefix of an ID.
            name: The new name.
            more: Further ones.
        """
        with open_existing() as store:
            self._of(store).add_names(key, (name, *more))

    def remove_names(self, key: str, name: str, /, *more: str) -> None:
        """Take names away from it; it stays, also without any.

        Args:
            key: An ID, a name or a unique prefix of an ID.
            name: The name; one that it has not is none.
            more: Further ones.
        """
        with open_existing() as store:
            self._of(store).remove_names(key, (name, *more))

    def set_names(self, key: str, /, *names: str) -> None:
        """Give it these names and no others; a name that is taken moves here.

        Args:
            key: An ID, a name or a unique prefix of an ID.
            names: All its names from then on; without any it has none.
        """
        with open_existing() as store:
            self._of(store).set_names(key, names)

    def metadata(self, key: str, /) -> None:
        """Print what is noted about it, as it was given.

        Args:
            key: An ID, a name or a unique prefix of an ID.
        """
        with open_for_reading() as store:
            found = self._of(store).get(key).metadata
        sys.stdout.flush()
        sys.stdout.buffer.write(found.encode(errors="surrogateescape"))
        sys.stdout.buffer.flush()

    def set_metadata(
        self,
        key: str,
        metadata: Annotated[str, Parameter(allow_leading_hyphen=True)],
        /,
    ) -> None:
        """Note something about it, in place of what is noted.

        Args:
            key: An ID, a name or a unique prefix of an ID.
            metadata: Any text; - reads it from standard input.
        """
        text = read_metadata(metadata)
        with open_existing() as store:
            self._of(store).set_metadata(key, text)

    def list_data(
        self,
        key: str,
        /,
        *,
        quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
        format: Format = "table",  # noqa: A002
    ) -> None:
        """List the files that are kept with it.

        Args:
            key: An ID, a name or a unique prefix of an ID.
            quiet: Print names alone.
            format: How to print: table or json.
        """
        with open_for_reading() as store:
            found = self._of(store).data.list(key)
        if quiet:
            for each in found:
                print(each.name)
        elif format == "json":
            print_json(data_document(found))
        else:
            rows = [[each.name, human_size(each.size), each.digest] for each in found]
            print_table(rows, ["name", "size", "digest"])

    def get_data(self, key: str, name: str, /) -> None:
        """Print a file that is kept with it, byte for byte.

        Args:
            key: An ID, a name or a unique prefix of an ID.
            name: What the file is called there.
        """
        sys.stdout.flush()
        with open_for_reading() as store, self._of(store).data.open(key, name) as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer, _PIECE)
        sys.stdout.buffer.flush()

    def put_data(
        self,
        key: str,
        name: str,
        source: Annotated[str, Parameter(allow_leading_hyphen=True)] = STREAM,
        /,
    ) -> None:
        """Keep a file with it, in place of the one of that name.

        Args:
            key: An ID, a name or a unique prefix of an ID.
            name: What the file is called there.
            source: The file; standard input by default.
        """
        with open_existing() as store, open_input(source, "the file") as stream:
            self._of(store).data.put(key, name, stream)

    def remove_data(self, key: str, name: str, /, *more: str) -> int:
        """Remove files that are kept with it.

        Args:
            key: An ID, a name or a unique prefix of an ID.
            name: What the file is called there.
            more: Further ones.
        """
        with open_existing() as store:
            data = self._of(store).data
            return for_each((name, *more), lambda each: data.delete(key, each))

    def directory(
        self,
        key: str,
        /,
        *,
        run: Annotated[bool, Parameter(name="--boot", negative="")] = False,
    ) -> None:
        """Print a directory that belongs to it, and goes with it.

        Args:
            key: An ID, a name or a unique prefix of an ID.
            run: One that also goes with the next start of the machine.
        """
        with open_existing() as store:
            found = cast("_Owners", self._of(store))
            print(found.run_directory(key) if run else found.directory(key))

    def _of(self, store: Store) -> _Objects:
        return cast("_Objects", getattr(store, self._attribute))


def __getattr__(name: str) -> Callable[..., object]:
    """The verb of a kind, such as `layer_add_names`."""
    kind, _, verb = name.partition("_")
    if kind not in _KINDS or not hasattr(Belongings, verb):
        raise AttributeError(name)
    return cast("Callable[..., object]", getattr(Belongings(kind), verb))
