"""`orlop tag`, `orlop untag` and `orlop label`."""

from __future__ import annotations

from collections.abc import Iterable

from orlop.cli.failure import UsageError, for_each
from orlop.cli.render import Format, clean, print_json
from orlop.cli.settings import open_existing, open_for_reading


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


def label(image: str, /, *labels: str, format: Format = "table") -> None:  # noqa: A002
    """Set labels of an image's name, or list them.

    Those under containerd.io/gc. tell `orlop gc` what to keep, and until when.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        labels: KEY=VALUE; KEY= takes one away. Without any, those that are there are listed.
        format: How to list: table or json.
    """
    wanted = parse_labels(labels)
    with open_for_reading() if not wanted else open_existing() as store:
        found = store.label(image, wanted) if wanted else store.image(image)
    if format == "json":
        print_json(found.labels)
    elif not wanted:
        for key, value in found.labels.items():
            print(clean(f"{key}={value}"))


def parse_labels(words: Iterable[str]) -> dict[str, str]:
    """The labels that KEY=VALUE say; an empty value takes one away.

    Raises:
        UsageError: A word has no `=`, or nothing before it.
    """
    labels = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageError(f"{word!r} is no label", hint="write KEY=VALUE, or KEY= to remove it")
        labels[key] = value
    return labels
