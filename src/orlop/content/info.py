"""What a content store knows about blobs and ingests, and what filters may ask of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orlop.digest import Digest
    from orlop.filters import Adaptor, Value


INFO_FIELDS: Final = ("digest", "size", "createdat", "updatedat", "labels.KEY")
"""The fields of a blob that filters may ask for."""
STATUS_FIELDS: Final = ("ref", "digest", "size", "offset", "startedat", "updatedat")
"""The fields of an ingest that filters may ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a store knows about one blob.

    Attributes:
        digest: Name of the content.
        size: Length in bytes.
        created_ns: When it was stored, in nanoseconds since 1970.
        updated_ns: When its labels changed last; when it was stored where they never did.
        labels: What its user notes about it; none in a store that keeps none.
    """

    digest: Digest
    size: int
    created_ns: int
    updated_ns: int
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestStatus:
    """How far an ingest has come.

    Attributes:
        reference: Name that its writer gave it.
        digest: Digest that is expected, where the writer knew one.
        size: Length that is expected, in bytes, where the writer knew it.
        offset: Bytes that have arrived.
        started_ns: When it was begun, in nanoseconds since 1970; whoever resumes it does not
            begin it.
        updated_ns: When bytes last arrived, in nanoseconds since 1970.
    """

    reference: str
    digest: Digest | None
    size: int | None
    offset: int
    started_ns: int
    updated_ns: int


def info_fields(info: Info) -> Adaptor:
    """The values of the fields of a blob, `INFO_FIELDS`; its size is in bytes."""
    from orlop.filters import Time, labels_value

    def value(path: tuple[str, ...]) -> Value | None:
        match path:
            case ("labels", *_):
                return labels_value(info.labels, path)
            case ("digest",):
                return info.digest
            case ("size",):
                return info.size
            case ("createdat",):
                return Time(info.created_ns)
            case ("updatedat",):
                return Time(info.updated_ns)
            case _:
                return None

    return value


def status_fields(status: IngestStatus) -> Adaptor:
    """The values of the fields of an ingest, `STATUS_FIELDS`; `digest` and `size` are expected."""
    from orlop.filters import Time

    def value(path: tuple[str, ...]) -> Value | None:
        match path:
            case ("ref",):
                return status.reference
            case ("digest",):
                return status.digest
            case ("size",):
                return status.size
            case ("offset",):
                return status.offset
            case ("startedat",):
                return Time(status.started_ns)
            case ("updatedat",):
                return Time(status.updated_ns)
            case _:
                return None

    return value


def choose_infos(
    infos: Iterable[Info | None], filters: Iterable[str], now_ns: int
) -> Iterator[Info]:
    """The blobs that any of the filters means; None stands for one that has gone.

    Raises:
        InvalidFilterError: One of them is no filter; at once, not when iterating begins.
        LimitExceededError: There are too many, or one is too long.
    """
    from orlop.filters import parse

    meant = parse(*filters, now_ns=now_ns)
    return (info for info in infos if info is not None and meant(info_fields(info)))


def choose_statuses(
    statuses: Iterable[IngestStatus | None], filters: Iterable[str], now_ns: int
) -> list[IngestStatus]:
    """The ingests that any of the filters means, in the order of the references.

    Raises:
        InvalidFilterError: One of them is no filter.
        LimitExceededError: There are too many, or one is too long.
    """
    from orlop.filters import parse

    meant = parse(*filters, now_ns=now_ns)
    found = [status for status in statuses if status is not None and meant(status_fields(status))]
    return sorted(found, key=lambda status: status.reference)
