"""`orlop index`: images for several platforms under one name."""

from __future__ import annotations

from typing import Annotated

from orlop.cli.editing import Flag, Tag, Words, parse_pairs
from orlop.cli.failure import UsageError
from orlop.cli.parameter import Parameter
from orlop.cli.settings import open_existing


def create(
    name: str, image: str, /, *more: str, annotation: Words = (), all_platforms: Flag = False
) -> None:
    """Make an index of images, one for each platform, and print its digest.

    Args:
        name: What it is called; a name that is taken moves there.
        image: An image of the store: a name, an ID or a unique prefix of an ID.
        more: Further ones.
        annotation: KEY=VALUE, of the index; may be given several times.
        all_platforms: Where one of the images is an index, list all that it lists.
    """
    annotations = parse_pairs(annotation, "annotation")
    with open_existing() as store:
        made = store.make_index(
            name, (image, *more), annotations=annotations, all_platforms=all_platforms
        )
        print(made.target.digest)


def add(
    index: str,
    image: str,
    /,
    *more: str,
    tag: Tag = None,
    platform: str | None = None,
    all_platforms: Flag = False,
    annotation: Words = (),
    force: Flag = False,
) -> None:
    """List more images in an index, each in place of that for its platform; prints the digest.

    Args:
        index: An index of the store.
        image: An image of the store.
        more: Further ones.
        tag: What the new index is called; the index's own name moves there if it is not said.
        platform: Which image, where one of these is an index.
        all_platforms: List all that it lists.
        annotation: KEY=VALUE, of the new entries; may be given several times.
        force: Move the name though somebody else has moved it.
    """
    notes = parse_pairs(annotation, "annotation")
    with open_existing() as store:
        draft = store.edit_index(index).add(
            image, *more, platform=platform, all_platforms=all_platforms, annotations=notes
        )
        print(draft.save(tag, force=force).target.digest)


def remove(index: str, platform: str, /, *more: str, tag: Tag = None, force: Flag = False) -> None:
    """Take images out of an index; prints its digest.

    Args:
        index: An index of the store.
        platform: A platform, such as linux/arm64, or the digest of an entry.
        more: Further ones.
        tag: What the new index is called; the index's own name moves there if it is not said.
        force: Move the name though somebody else has moved it.
    """
    with open_existing() as store:
        draft = store.edit_index(index).remove(platform, *more)
        print(draft.save(tag, force=force).target.digest)


def annotate(
    index: str,
    /,
    *annotations: str,
    remove: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    platform: str | None = None,
    tag: Tag = None,
    force: Flag = False,
) -> None:
    """Set annotations of an index, or of one of its entries; prints its digest.

    Args:
        index: An index of the store.
        annotations: KEY=VALUE.
        remove: One that is taken away; may be given several times.
        platform: The platform or digest of the entry that is meant.
        tag: What the new index is called; the index's own name moves there if it is not said.
        force: Move the name though somebody else has moved it.
    """
    notes = parse_pairs(annotations, "annotation")
    if not notes and not remove:
        raise UsageError("nothing is to be changed", hint="give KEY=VALUE, or --remove KEY")
    with open_existing() as store:
        draft = store.edit_index(index).annotate(notes, remove=remove, platform=platform)
        print(draft.save(tag, force=force).target.digest)
