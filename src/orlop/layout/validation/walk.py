"""The way through a layout, from its index down to its layers, with every rule on the way.

Documents are visited once, from a list of what is still to do, so that neither cycles nor nests
are endless. Of each blob its path stays in memory, of each layer its diffID.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError, NotFoundError, UnsafePathError
from orlop.layout.driver.access import open_file, read_up_to
from orlop.layout.driver.path import BLOBS, INDEX_FILE, LAYOUT_FILE, blob_path
from orlop.layout.driver.protocol import Structured
from orlop.layout.validation import documents
from orlop.layout.validation.blobs import Blobs
from orlop.layout.validation.content import STACK, TARGET, Build, Stack, Target
from orlop.layout.validation.descriptors import DESCRIPTOR, as_digest
from orlop.layout.validation.found import (
    BLOBS_EXISTS,
    CONFIG_OBJECT,
    INDEX_EXISTS,
    INDEX_OBJECT,
    LAYOUT_EXISTS,
    LAYOUT_OBJECT,
    MANIFEST_OBJECT,
    NESTED,
    READABLE,
)
from orlop.layout.validation.layers import compression_of
from orlop.layout.validation.members import items
from orlop.layout.validation.parse import decode_strictly, parse
from orlop.layout.validation.rule import Violation, broken
from orlop.mediatype import (
    OCI_INDEX,
    OCI_MANIFEST,
    is_config,
    is_index,
    is_manifest,
    oci_twin,
)
from orlop.spec.layout import MAX_INDEX_SIZE, MAX_LAYOUT_SIZE

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from orlop.digest import Digest
    from orlop.layout.driver.protocol import ImageDriver
    from orlop.layout.validation.members import Object
    from orlop.layout.validation.rule import Rule

MAX_VIOLATIONS: Final = 100_000
"""Violations of one layout that are told; an index of 16 MiB can have millions."""

MAX_NESTING: Final = 8
"""Indexes one inside the other, above which a note says that readers may refuse them."""

_OBJECTS: Final = {OCI_INDEX: INDEX_OBJECT, OCI_MANIFEST: MANIFEST_OBJECT}


def validate(driver: ImageDriver) -> Iterator[Violation]:
    """Every place where a layout is not what the specification says, as they are found.

    What `index.json` leads to comes first, then all other blobs, where the driver is `Enumerable`.
    One breach does not keep the rest from being looked at: where a document cannot be read, what
    it would lead to is missed, and where a blob is not what its digest says, what it would hold.
    Content of unknown media types is hashed and not parsed.

    Args:
        driver: The layout; it is only read.

    Raises:
        LimitExceededError: It has too many blobs, or more violations than anybody reads.
        UnsupportedError: The driver only writes.
        OSError: A file cannot be read (EACCES, EIO).

    Spec: image-spec v1.1, all of it; `RULES` lists the sentences that are checked.
    """
    for number, violation in enumerate(_Walk(driver).run()):
        if number == MAX_VIOLATIONS:
            raise LimitExceededError(
                f"{driver} has too many violations", limit="MAX_VIOLATIONS", value=MAX_VIOLATIONS
            )
        yield violation


class _Walk:
    def __init__(self, driver: ImageDriver) -> None:
        self._driver = driver
        self._blobs = Blobs(driver)
        self._seen: set[tuple[Digest, str]] = set()
        self._pending: list[tuple[Digest, str, int]] = []
        self._builds: dict[Digest, Build | None] = {}
        self._deep = False

    def run(self) -> Iterator[Violation]:
        yield from self._layout_file()
        if isinstance(self._driver, Structured) and not self._driver.has_directory(BLOBS):
            yield BLOBS_EXISTS.broken(BLOBS, "is no directory")
        yield from self._index()
        while self._pending:
            yield from self._next()
        yield from self._blobs.others()

    def _layout_file(self) -> Iterator[Violation]:
        raw = yield from self._file(LAYOUT_FILE, LAYOUT_EXISTS, MAX_LAYOUT_SIZE)
        if raw is None:
            return
        members = parse(raw, LAYOUT_FILE, LAYOUT_OBJECT)
        if isinstance(members, Violation):
            yield members
        else:
            yield from broken(documents.LAYOUT_FILE, members, f"{LAYOUT_FILE}: $")

    def _index(self) -> Iterator[Violation]:
        raw = yield from self._file(INDEX_FILE, INDEX_EXISTS, MAX_INDEX_SIZE)
        if raw is not None:
            yield from self._document(raw, INDEX_FILE, OCI_INDEX, 0)

    def _file(
        self, path: str, exists: Rule[object], most: int
    ) -> Generator[Violation, None, bytes | None]:
        try:
            with open_file(self._driver, path) as reader:
                raw = read_up_to(reader, most + 1)
        except NotFoundError:
            yield exists.broken(path, "is missing")
            return None
        except UnsafePathError as error:
            yield exists.broken(path, str(error))
            return None
        if len(raw) > most:
            yield READABLE.broken(path, f"has more than {most} bytes, and was not looked into")
            return None
        return raw

    def _next(self) -> Iterator[Violation]:
        digest, media_type, depth = self._pending.pop()
        if depth > MAX_NESTING and not self._deep:
            self._deep = True
            yield NESTED.broken(blob_path(digest), f"lies in more than {MAX_NESTING} indexes")
        raw = yield from self._blobs.document(digest)
        if raw is not None:
            yield from self._document(raw, blob_path(digest), media_type, depth)

    def _document(self, raw: bytes, path: str, media_type: str, depth: int) -> Iterator[Violation]:
        """An index or a manifest, and what it says of other blobs."""
        members = parse(raw, path, _OBJECTS[oci_twin(media_type)])
        if isinstance(members, Violation):
            yield members
            return
        yield from _judge(raw, path, members, media_type)
        begin = len(self._pending)
        for name, where, descriptor in _descriptors(members, f"{path}: $"):
            if name != "subject":  # It is often elsewhere, and no part of the image.
                yield from self._follow(descriptor, where, depth)
        self._pending[begin:] = reversed(self._pending[begin:])
        if is_manifest(media_type):
            yield from self._image(members)

    def _follow(self, descriptor: Object, where: str, depth: int) -> Iterator[Violation]:
        """The content of a descriptor; a document is put on the list of what is to do."""
        digest, media_type = _target_of(descriptor)
        if digest is None:
            return
        size, layer = self._blobs.size(digest), None
        if size is not None and (is_index(media_type) or is_manifest(media_type)):
            if (digest, media_type) not in self._seen:
                self._seen.add((digest, media_type))
                self._pending.append((digest, media_type, depth + 1))
        elif size is not None and compression_of(media_type) is not None:
            layer = yield from self._blobs.layer(digest, "sha256")
        yield from broken(TARGET, Target(descriptor=descriptor, size=size, layer=layer), where)

    def _image(self, manifest: Object) -> Iterator[Violation]:
        """The config of an image, alone and beside the layers."""
        config, layers = manifest.get("config"), manifest.get("layers")
        layers = [] if layers is None else layers
        if not isinstance(config, dict) or not isinstance(layers, list):
            return
        digest, media_type = _target_of(config)
        if digest is None or not is_config(media_type) or self._blobs.size(digest) is None:
            return
        if digest not in self._builds:
            self._builds[digest] = yield from self._config(digest, media_type)
        build = self._builds[digest]
        if build is not None:
            stack = yield from self._stack(build, layers)
            yield from broken(STACK, stack, f"{blob_path(digest)}: $")

    def _config(self, digest: Digest, media_type: str) -> Generator[Violation, None, Build | None]:
        raw, path = (yield from self._blobs.document(digest)), blob_path(digest)
        if raw is None:
            return None
        members = parse(raw, path, CONFIG_OBJECT)
        if isinstance(members, Violation):
            yield members
            return None
        yield from _judge(raw, path, members, media_type)
        return Build.of(members)

    def _stack(self, build: Build, layers: list[object]) -> Generator[Violation, None, Stack]:
        """The diffIDs of the layers, by the algorithms that the config uses."""
        listed = build.diff_ids or ()
        found: list[Digest | None] = []
        for at, descriptor in enumerate(layers):
            said = as_digest(listed[at]) if at < len(listed) else None
            digest, media_type = _target_of(descriptor)
            known = digest is not None and self._blobs.size(digest) is not None
            if digest is None or not known or compression_of(media_type) is None:
                found.append(None)
                continue
            algorithm = said.algorithm if said is not None and said.computable else "sha256"
            layer = yield from self._blobs.layer(digest, algorithm)
            found.append(layer.diff_id)
        return Stack(build=build, layers=len(layers), diff_ids=tuple(found))


def _target_of(descriptor: object) -> tuple[Digest | None, str]:
    """The digest and the media type of a descriptor, as far as it has them."""
    if not isinstance(descriptor, dict):
        return None, ""
    media_type = descriptor.get("mediaType")
    digest = as_digest(descriptor.get("digest"))
    return digest, media_type if isinstance(media_type, str) else ""


def _descriptors(document: Object, where: str) -> Iterator[tuple[str, str, Object]]:
    """Each descriptor of an index or a manifest, the member that it is in, and where it is."""
    for name in ("manifests", "config", "layers", "subject"):
        value, here = document.get(name), f"{where}.{name}"
        many = name in {"manifests", "layers"} and isinstance(value, list)
        for path, each in items(value, here) if many else [(here, value)]:
            if isinstance(each, dict) and (many or name in {"config", "subject"}):
                yield name, path, each


def _judge(raw: bytes, where: str, members: Object, media_type: str) -> Iterator[Violation]:
    """What is wrong with a document by itself, its descriptors among it."""
    holds = True
    descriptors = () if is_config(media_type) else _descriptors(members, f"{where}: $")
    for violation in chain(
        broken(documents.rules_for(media_type), members, f"{where}: $"),
        chain.from_iterable(broken(DESCRIPTOR, each, path) for _, path, each in descriptors),
    ):
        holds = holds and violation.severity != "must"
        yield violation
    if holds:
        yield from decode_strictly(raw, where, media_type)
