r"""Which images a filter means: by the database's indexes where its conditions can be looked up.

    name                                     ==, and ~= of a pattern such as ^docker\\.io/
    target.digest                            ==
    labels.KEY                               ==, and whether it is there

Each alternative of the filter is looked up on its own; one with no such condition reads all images.
Whatever is found is then asked all conditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

from orlop.digest import Digest
from orlop.errors import InvalidDigestError
from orlop.filters import Operator, Time, labels_value, literal_prefix
from orlop.images.rows import decode_target
from orlop.metadata import Images

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.filters import Adaptor, Filter, Selector, Value
    from orlop.metadata import ImageRow, Transaction


IMAGE_FIELDS: Final = (
    "name", "id", "platform", "size", "createdat", "updatedat", "target.digest", "target.mediatype",
    "labels.KEY", "annotations.KEY",
)  # fmt: skip
"""The fields of an image that filters may ask for."""


class Question(TypedDict, total=False):
    """What can be looked up; see `Images.find`."""

    names: Iterable[str]
    name_prefix: str
    label: tuple[str, str | None]
    target_digest: Digest


def find_rows(tx: Transaction, meant: Filter) -> Iterator[ImageRow]:
    """The images that a filter means, in the order of the names."""
    return (row for row in _candidates(Images(tx), meant) if meant(row_fields(row)))


def row_fields(row: ImageRow) -> Adaptor:
    """The values of the fields of an image, `IMAGE_FIELDS`; its size is in bytes.

    Annotations are the target's.
    """

    def field(path: tuple[str, ...]) -> Value | None:
        match path:
            case ("name",):
                return row.name
            case ("labels", *_):
                return labels_value(row.labels, path)
            case ("target", "digest"):
                return row.target_digest
            case ("target", "mediatype"):
                return decode_target(row).media_type
            case ("annotations", *_):
                return labels_value(decode_target(row).annotations, path)
            case _:
                return _plain_field(row, path)

    return field


def _plain_field(row: ImageRow, path: tuple[str, ...]) -> Value | None:
    match path:
        case ("size",):
            return row.size
        case ("createdat",):
            return Time(row.created_at_ns)
        case ("updatedat",):
            return Time(row.updated_at_ns)
        case ("platform",):
            return row.platform
        case ("id",):
            return row.image_id
        case _:
            return None


def _candidates(images: Images, meant: Filter) -> Iterable[ImageRow]:
    questions = [_question(selectors) for selectors in meant.alternatives]
    if not all(questions):
        return images.list()
    found = {row.name: row for question in questions for row in images.find(**question)}
    return (found[name] for name in sorted(found))


def _question(selectors: Iterable[Selector]) -> Question:
    """What of these conditions can be looked up; empty where nothing can."""
    question: Question = {}
    for selector in selectors:
        match selector.path, selector.operator:
            case ("name",), Operator.EQUAL:
                question["names"] = (selector.value,)
            case ("name",), Operator.MATCHES:
                if prefix := literal_prefix(selector.value):
                    question["name_prefix"] = prefix
            case ("target", "digest"), Operator.EQUAL:
                question.update(_ask_target(selector.value))
            case ("labels", *key), Operator.EQUAL | None:
                question["label"] = (".".join(key), selector.value or None)
    return question


def _ask_target(text: str) -> Question:
    try:
        return {"target_digest": Digest(text)}
    except InvalidDigestError:
        return {"names": ()}
