"""Edits of an index: pure, from document to document.

Spec: image-spec v1.1, image-index.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidError, NotFoundError, UnsupportedError
from orlop.images.choice import is_candidate, is_note
from orlop.mediatype import OCI_INDEX, is_docker, is_manifest
from orlop.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orlop.digest import Digest
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.index import Index

_ABOUT: Final = "vnd.docker.reference.digest"


def with_entries(index: Index, entries: Sequence[Descriptor]) -> Index:
    """The index with more entries; each takes the place of the one for its platform.

    What tells about an entry that is gone (BuildKit's attestations) goes with it. Docker's list
    becomes an OCI index where an entry is none of Docker's.

    Raises:
        InvalidError: Two of the entries are for the same platform.
    """
    wanted: dict[Platform, Descriptor] = {}
    for entry in entries:
        platform = _platform(entry)
        if platform is None:
            continue
        if platform in wanted and wanted[platform].digest != entry.digest:
            raise InvalidError(
                f"two images are for {platform}",
                hint="name one for each platform, or leave all platforms but one out",
            )
        wanted[platform] = entry
    gone = {entry.digest for entry in entries}
    gone |= {each.digest for each in index.manifests if _platform(each) in wanted}
    kept = [each for each in index.manifests if each.digest not in gone]
    left = _without_notes(kept, gone - {entry.digest for entry in entries})
    manifests = (*left, *{entry.digest: entry for entry in entries}.values())
    return _typed(replace(index, manifests=manifests))


def without(index: Index, meant: Iterable[str]) -> Index:
    """The index without some of its entries, and what tells about them.

    Args:
        index: The index.
        meant: Digests of entries, or platforms.

    Raises:
        NotFoundError: One of them is none of the index.
        InvalidPlatformError: A text is neither digest nor platform.
    """
    gone = {each.digest for text in meant for each in find_entries(index, text)}
    left = [each for each in index.manifests if each.digest not in gone]
    return replace(index, manifests=tuple(_without_notes(left, gone)))


def annotated(
    index: Index,
    annotations: Mapping[str, str],
    remove: Iterable[str],
    meant: str | None = None,
) -> Index:
    """The index with other annotations, of its own or of some of its entries.

    Args:
        index: The index.
        annotations: More of them, or other values.
        remove: Keys of those that are taken away.
        meant: The digest or platform of entries; the index itself where None.

    Raises:
        NotFoundError: It has no such entry.
        UnsupportedError: It is Docker's list, which has no annotations.
    """
    gone = set(remove)

    def changed(old: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in old.items() if key not in gone} | dict(annotations)

    if is_docker(index.media_type) and annotations:
        raise UnsupportedError(
            "a manifest list of Docker's has no annotations", hint="make an index of its images"
        )
    if meant is None:
        return replace(index, annotations=changed(index.annotations))
    found = {each.digest for each in find_entries(index, meant)}
    return replace(
        index,
        manifests=tuple(
            replace(each, annotations=changed(each.annotations)) if each.digest in found else each
            for each in index.manifests
        ),
    )


def find_entries(index: Index, text: str) -> list[Descriptor]:
    """The entries that a digest or a platform means.

    Raises:
        NotFoundError: There is none.
        InvalidPlatformError: It is neither.
    """
    if ":" in text:
        found = [each for each in index.manifests if each.digest == text]
    else:
        platform = Platform.parse(text).normalized()
        found = [each for each in index.manifests if _platform(each) == platform]
    if not found:
        there = sorted({str(each.platform) for each in index.manifests if _platform(each)})
        raise NotFoundError(
            f"the index has no entry {text!r}",
            hint=f"it has {', '.join(there[:10])}" if there else None,
        )
    return found


def _platform(entry: Descriptor) -> Platform | None:
    """What an entry runs on, to be compared; None for what is no image or does not say it."""
    if not is_candidate(entry) or entry.platform is None:
        return None
    return entry.platform.normalized()


def _without_notes(entries: Iterable[Descriptor], gone: set[Digest]) -> list[Descriptor]:
    return [
        each for each in entries if not (is_note(each) and each.annotations.get(_ABOUT) in gone)
    ]


def _typed(index: Index) -> Index:
    foreign = any(
        is_manifest(each.media_type) and not is_docker(each.media_type) for each in index.manifests
    )
    if foreign and is_docker(index.media_type):
        return replace(index, media_type=OCI_INDEX)
    return index
