"""`manifest.json` of an archive that `docker save` or one of its kin wrote.

    [{"Config": member, "RepoTags": [name, …] or null, "Layers": [member, …]}, …]

Members are named as the writer pleased, so nothing is concluded from their names, but that a name
which is a digest must tell the truth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    InvalidDocumentError,
    InvalidReferenceError,
    UnsupportedError,
)
from orlop.layout.names import unique
from orlop.layout.read.documents import decoding, read_file
from orlop.reference import Reference
from orlop.spec.config import ImageConfig
from orlop.spec.json import decode_json, join
from orlop.spec.manifest import MAX_LAYERS
from orlop.spec.members import Members

if TYPE_CHECKING:
    from orlop.layout.files import Files
    from orlop.layout.place import Place
    from orlop.layout.read.documents import Budget

MAX_SAVED_IMAGES: Final = 1024
"""Most images of one archive."""

MANIFEST_FILE: Final = "manifest.json"
REPOSITORIES_FILE: Final = "repositories"

_CONFIG_DIGEST: Final = re.compile(r"(?:sha256:|blobs/sha256/)?([a-f0-9]{64})(?:\.json)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedImage:
    """One element of `manifest.json`.

    Attributes:
        config: The bytes of its config.
        config_member: Where they lie.
        diff_ids: The diffIDs that the config lists, the base first.
        layers: The members that hold the layers, the base first.
        names: The full references that it has.
    """

    config: bytes
    config_member: str
    diff_ids: tuple[Digest, ...]
    layers: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    config: str
    layers: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def decode(cls, members: Members) -> Self:
        return cls(
            config=members.string("Config"),
            layers=members.strings("Layers", limit="MAX_LAYERS", most=MAX_LAYERS),
            names=_decode_names(members),
        )


def read_saved(place: Place, files: Files, budget: Budget) -> list[SavedImage]:
    """The images of an archive, in its order.

    Raises:
        InvalidDocumentError: `manifest.json` is missing or broken.
        UnsupportedError: The archive has the form of Docker before 1.10, without it.
        DigestMismatchError: A config is not what its name says.
        LimitExceededError: A document is too large, all are over the budget, or there are too many
            images.
    """
    if files.size(MANIFEST_FILE) is None and files.size(REPOSITORIES_FILE) is not None:
        raise UnsupportedError(
            f"{place.path} is an archive of Docker before 1.10, without {MANIFEST_FILE}",
            hint="load it into Docker, and save it again",
        )
    raw = read_file(place, files, MANIFEST_FILE)
    with decoding(place, MANIFEST_FILE):
        elements = [_Element.decode(members) for members in _decode_array(raw)]
    return [_read_image(place, files, element, budget) for element in elements]


def _decode_array(raw: bytes) -> list[Members]:
    """The elements of the array, read with the rules that other documents obey."""
    wrapped = decode_json(b'{"images":' + raw + b"}", what=MANIFEST_FILE)
    members = Members(wrapped, "$")
    images = members.array("images", limit="MAX_SAVED_IMAGES", most=MAX_SAVED_IMAGES)
    if members.unknown():
        raise InvalidDocumentError(f"{MANIFEST_FILE} is no array", where="$")
    return [Members(image, f"$[{number}]") for number, image in enumerate(images)]


def _read_image(place: Place, files: Files, element: _Element, budget: Budget) -> SavedImage:
    config = read_file(place, files, element.config)
    budget.spend(len(config))
    _verify_config(element.config, config)
    with decoding(place, element.config):
        diff_ids = ImageConfig.decode(config).diff_ids
    return SavedImage(
        config=config,
        config_member=element.config,
        diff_ids=diff_ids,
        layers=element.layers,
        names=element.names or _names_of_old(place, files, element.layers, budget),
    )


def _verify_config(member: str, config: bytes) -> None:
    match = _CONFIG_DIGEST.fullmatch(member)
    if match and (actual := Digest.of(config)).encoded != match[1]:
        raise DigestMismatchError(
            f"content of config {member}", expected=f"sha256:{match[1]}", actual=actual
        )


def _decode_names(members: Members) -> tuple[str, ...]:
    tags = members.strings("RepoTags")
    return unique(
        _decode_name(tag, f"{members.where}.RepoTags[{at}]") for at, tag in enumerate(tags)
    )


def _decode_name(text: str, where: str) -> str:
    try:
        return str(Reference.parse(text).with_default_tag())
    except InvalidReferenceError as error:
        raise InvalidDocumentError(str(error), where=where) from error


def _names_of_old(
    place: Place, files: Files, layers: tuple[str, ...], budget: Budget
) -> tuple[str, ...]:
    """The names that `repositories` gives to the ID of the last layer's directory."""
    v1_id, slash, _ = layers[-1].partition("/") if layers else ("", "", "")
    if not slash or files.size(REPOSITORIES_FILE) is None:
        return ()
    with decoding(place, REPOSITORIES_FILE):
        raw = read_file(place, files, REPOSITORIES_FILE)
        budget.spend(len(raw))
        repositories = decode_json(raw, what=REPOSITORIES_FILE)
        return unique(
            _decode_name(f"{repository}:{tag}", join("$", repository))
            for repository, tags in repositories.items()
            for tag, image in (tags.items() if isinstance(tags, dict) else ())
            if image == v1_id
        )
