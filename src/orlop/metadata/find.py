"""Which blobs a filter may mean: by the database's indexes where its conditions can be looked up.

    digest         ==
    labels.KEY     ==, and whether it is there

Each alternative of the filter is looked up on its own; one with no such condition reads all blobs.
They are read in pages, each in a transaction of its own, so that a slow reader holds up nobody.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from orlop.digest import Digest
from orlop.errors import InvalidDigestError
from orlop.filters import Operator
from orlop.metadata.blobs import Blobs
from orlop.metadata.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.filters import Filter, Selector
    from orlop.metadata.blobs import BlobRecord
    from orlop.metadata.database import Database, Transaction

_PAGE: Final = 1000


def find_blobs(database: Database, meant: Filter) -> Iterator[BlobRecord]:
    """The blobs that a filter may mean, in the order of the digests; the others it cannot mean."""
    with database.read() as tx:
        found = [_look_up(tx, selectors) for selectors in meant.alternatives]
    looked_up = [digests for digests in found if digests is not None]
    if len(looked_up) < len(found):
        return _pages(database)
    return _each(database, sorted(set().union(*looked_up)))


def _look_up(tx: Transaction, selectors: Iterable[Selector]) -> set[Digest] | None:
    """The blobs that one condition of an alternative means; None where none can be looked up."""
    for selector in selectors:
        match selector.path, selector.operator:
            case ("digest",), Operator.EQUAL:
                return _digests([selector.value])
            case ("labels", *key), Operator.EQUAL | None:
                return _digests(Labels(tx).find("blob", ".".join(key), selector.value or None))
    return None


def _digests(texts: Iterable[str]) -> set[Digest]:
    try:
        return {Digest(text) for text in texts}
    except InvalidDigestError:
        return set()


def _pages(database: Database) -> Iterator[BlobRecord]:
    after = ""
    while True:
        with database.read() as tx:
            page = list(Blobs(tx).list(after=after, limit=_PAGE))
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].digest


def _each(database: Database, digests: Iterable[Digest]) -> Iterator[BlobRecord]:
    left = iter(digests)
    while page := list(islice(left, _PAGE)):
        with database.read() as tx:
            found = [Blobs(tx).get(digest) for digest in page]
        yield from (record for record in found if record is not None)
