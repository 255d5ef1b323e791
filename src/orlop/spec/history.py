"""The history of an image: one entry for each step of its build.

Spec: image-spec v1.1, config.md, "history".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from orlop.timestamp import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orlop.spec.members import Members


UNTOLD: Final = "the image does not tell how this layer was made"
"""What is said of a layer that a history has no entry for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One step of a build.

    Attributes:
        created: When, as RFC 3339 writes it.
        author: Who.
        created_by: The command.
        comment: What was said of it.
        empty_layer: Whether the step made no layer.
        extra: Fields that are unknown here, kept for whoever knows them.
    """

    created: str | None = None
    author: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool = False
    extra: Mapping[str, object] = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def decode(cls, members: Members) -> Self:
        """Read one entry.

        Raises:
            InvalidDocumentError: A field is of another type.
        """
        return cls(
            created=check_time(members, "created"),
            author=members.optional_string("author"),
            created_by=members.optional_string("created_by"),
            comment=members.optional_string("comment"),
            empty_layer=members.flag("empty_layer"),
            extra=members.unknown(),
        )

    def encode(self) -> dict[str, object]:
        """The entry as a JSON object, in the specification's order."""
        texts = {
            "created": self.created,
            "author": self.author,
            "created_by": self.created_by,
            "comment": self.comment,
        }
        found: dict[str, object] = {name: text for name, text in texts.items() if text is not None}
        if self.empty_layer:
            found["empty_layer"] = True
        found.update(self.extra)
        return found


def complete(history: Sequence[History], layers: int) -> tuple[History, ...]:
    """The history with exactly one entry for each layer, and those of steps without one.

    Builders leave it out, or tell of some steps only: tools that count the entries refuse such an
    image once there are any. What is untold comes before what is told. Of entries that are too
    many, the last ones are kept as steps without a layer.
    """
    told = sum(not step.empty_layer for step in history)
    if told <= layers:
        return (*[History(comment=UNTOLD)] * (layers - told), *history)
    found = []
    for step in history:
        if not step.empty_layer:
            layers -= 1
        found.append(replace(step, empty_layer=True) if layers < 0 else step)
    return tuple(found)


def check_time(members: Members, name: str) -> str | None:
    """The time as it is written, or None where there is none.

    Raises:
        InvalidDocumentError: It is no time.

    Spec: RFC 3339, section 5.6.
    """
    text = members.optional_string(name)
    if text is not None and parse_timestamp(text) is None:
        raise members.invalid(name, f"{text[:100]!r} is no time of RFC 3339")
    return text
