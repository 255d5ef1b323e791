"""A runtime configuration while it is made: plain JSON, and what helps to change it.

Spec: runtime-spec v1.0.2, config.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from orlop.errors import InvalidDocumentError
from orlop.spec.json import decode_json, encode_json, join

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

JsonObject: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class WantedUser:
    """Who a container runs as, to be looked up in its own files.

    Attributes:
        text: `user`, `uid`, and either followed by `:group` or `:gid`.
        groups_of_uid: Whether a user that is given as a number gets the groups of its name, too.
    """

    text: str
    groups_of_uid: bool = False


class RuntimeSpec:
    """A runtime configuration that options change one after the other.

    `document` is the whole of it, and may be changed directly; the methods make what is missing on
    the way, so that an option need not ask.

        spec.section("process")["oomScoreAdj"] = 100
        spec.add_mount("/data", "bind", "/srv/data", ["rbind", "ro"])

    Args:
        document: What it begins with; an empty one where None.

    Attributes:
        document: The configuration, as JSON.
        user: Who is to be looked up once the files of the container are there; None for nobody.
        entrypoint: What the image's own command begins with.
        notes: What could not be taken over, a line each, for people.
    """

    __slots__ = ("document", "entrypoint", "notes", "user")

    def __init__(self, document: JsonObject | None = None) -> None:
        self.document: JsonObject = {} if document is None else document
        self.user: WantedUser | None = None
        self.entrypoint: tuple[str, ...] = ()
        self.notes: list[str] = []

    @classmethod
    def decode(cls, raw: bytes) -> RuntimeSpec:
        """Read a `config.json`, which is not checked.

        Raises:
            InvalidDocumentError: It is no JSON object.
            LimitExceededError: It is too long or nested too deeply.
        """
        return cls(decode_json(raw, what="runtime configuration"))

    def encode(self) -> bytes:
        """The document as JSON."""
        return encode_json(self.document)

    def section(self, *path: str) -> JsonObject:
        """The object at a path; it and those above it are made where they are missing.

        Raises:
            InvalidDocumentError: Something else is there.
        """
        found, where = self.document, "$"
        for name in path:
            where = join(where, name)
            child = found.get(name)
            if child is None:
                child = found[name] = {}
            if not isinstance(child, dict):
                raise InvalidDocumentError("is no object", where=where)
            found = child
        return found

    def entries(self, *path: str) -> list[JsonObject]:
        """The list of objects at a path, made where it is missing.

        Raises:
            InvalidDocumentError: Something else is there.
        """
        found = self._list(path)
        if not all(isinstance(each, dict) for each in found):
            raise InvalidDocumentError("is no list of objects", where=_where(path))
        return cast("list[JsonObject]", found)

    def texts(self, *path: str) -> list[str]:
        """The list of texts at a path, made where it is missing.

        Raises:
            InvalidDocumentError: Something else is there.
        """
        found = self._list(path)
        if not all(isinstance(each, str) for each in found):
            raise InvalidDocumentError("is no list of texts", where=_where(path))
        return cast("list[str]", found)

    def remove(self, *path: str) -> None:
        """Remove what is at a path; nothing is removed where there is nothing."""
        found: object = self.document
        for name in path[:-1]:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, dict):
            found.pop(path[-1], None)

    def namespace(self, kind: str) -> JsonObject | None:
        """The entry of a namespace, or None where the container shares the runtime's."""
        entries = self.entries("linux", "namespaces")
        return next((each for each in entries if each.get("type") == kind), None)

    def add_namespace(self, kind: str, path: str | None = None) -> None:
        """Give the container a namespace: its own, or the one at a path."""
        self.drop_namespace(kind)
        entry: JsonObject = {"type": kind}
        if path is not None:
            entry["path"] = path
        self.entries("linux", "namespaces").append(entry)

    def drop_namespace(self, kind: str) -> None:
        """Let the container share a namespace of the runtime."""
        entries = self.entries("linux", "namespaces")
        entries[:] = [each for each in entries if each.get("type") != kind]

    def mount_at(self, destination: str) -> JsonObject | None:
        """The last mount at a place in the container, or None."""
        found = [each for each in self.mounts if each.get("destination") == destination]
        return found[-1] if found else None

    @property
    def mounts(self) -> list[JsonObject]:
        """What is mounted, in this order."""
        return self.entries("mounts")

    def add_mount(
        self,
        destination: str,
        type: str,  # noqa: A002
        source: str,
        options: Iterable[str] = (),
    ) -> None:
        """Mount something at a place in the container, instead of what was to be mounted there."""
        entry: JsonObject = {"destination": destination, "type": type, "source": source}
        if options := list(options):
            entry["options"] = options
        for at, each in enumerate(self.mounts):
            if each.get("destination") == destination:
                self.mounts[at] = entry
                return
        self.mounts.append(entry)

    def drop_mount(self, destination: str) -> None:
        """Mount nothing at a place in the container."""
        self.mounts[:] = [each for each in self.mounts if each.get("destination") != destination]

    def _list(self, path: Sequence[str]) -> list[object]:
        above = self.section(*path[:-1])
        found = above.get(path[-1])
        if found is None:
            found = above[path[-1]] = []
        if not isinstance(found, list):
            raise InvalidDocumentError("is no list", where=_where(path))
        return found


def _where(path: Sequence[str]) -> str:
    where = "$"
    for name in path:
        where = join(where, name)
    return where
