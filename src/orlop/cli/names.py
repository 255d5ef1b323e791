"""`orlop tag` and `orlop untag`."""

from __future__ import annotations

from orlop.cli.failure import for_each
from orlop.cli.settings import open_existing


def tag(image: str, name: str, /, *more: str) -> None:
    """Give an image more names; a name that is taken moves here.

    Prints each name in full.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        name: The new name; `latest` is its tag if it has none.
        more: Further ones.
    """
    with open_existing() as store:
        for named in store.tag(image, name, *more):
            print(named.name)


def untag(name: str, /, *more: str) -> int:
    """Take names away from images; `orlop gc` frees what nothing needs then.

    Unlike `orlop rm` it takes names alone: an ID is none. Prints each name in full.

    Args:
        name: A name.
        more: Further ones.
    """
    with open_existing() as store:
        return for_each((name, *more), lambda each: print(store.untag(each)))
