"""`orlop config`, `append`, `squash`, `flatten` and `rebase`: images made of other images."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from orlop.cli.failure import UsageError
from orlop.cli.names import parse_labels
from orlop.cli.parameter import Parameter
from orlop.cli.settings import open_existing, refuse_empty
from orlop.cli.streams import STREAM, refuse_terminal, source_date_epoch
from orlop.errors import InvalidError

if TYPE_CHECKING:
    from orlop.editing import Clearable
    from orlop.store import Image, Store
    from orlop.store.draft import ImageDraft

Compression: TypeAlias = Literal["gzip", "zstd", "none"]
Words: TypeAlias = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]
Text: TypeAlias = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
Command: TypeAlias = Annotated[
    tuple[str, ...] | None,
    Parameter(negative="", show_default=False, allow_leading_hyphen=True),
]
Flag: TypeAlias = Annotated[bool, Parameter(negative="")]
Path: TypeAlias = Annotated[str, Parameter(allow_leading_hyphen=True)]
Tag: TypeAlias = Annotated[str | None, Parameter(validator=refuse_empty)]

_FIELDS: Final = {
    "exposedports": "exposed_ports",
    "ports": "exposed_ports",
    "stopsignal": "stop_signal",
    "volume": "volumes",
    "workdir": "working_dir",
    "workingdir": "working_dir",
}
"""What users of umoci and podman call fields that can be cleared."""


def config(
    image: str,
    /,
    *,
    tag: Tag = None,
    env: Words = (),
    unset_env: Words = (),
    user: Text = None,
    entrypoint: Command = None,
    cmd: Command = None,
    workdir: str | None = None,
    label: Words = (),
    unlabel: Words = (),
    expose: Words = (),
    unexpose: Words = (),
    volume: Words = (),
    remove_volume: Words = (),
    stop_signal: str | None = None,
    healthcheck: str | None = None,
    author: Text = None,
    created: str | None = None,
    os: str | None = None,
    arch: str | None = None,
    variant: str | None = None,
    annotation: Words = (),
    remove_annotation: Words = (),
    clear: Words = (),
    history: bool = True,
    comment: Text = None,
    created_by: Text = None,
    platform: str | None = None,
    oci: Flag = False,
    force: Flag = False,
) -> None:
    """Change how an image is run, and what it says of itself; prints the new ID.

    What is not named stays as it is. What is cleared is so before anything is set; an empty value
    takes a value away. SOURCE_DATE_EPOCH is the moment that the image says it was made.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        tag: What the new image is called; the image's own name moves there if it is not said.
        env: NAME=VALUE; may be given several times, as all that can be many.
        unset_env: A variable that is taken away.
        user: USER, UID, and either followed by :GROUP or :GID.
        entrypoint: A JSON array of words; or one word, and the next by giving it again.
        cmd: Likewise.
        workdir: Where the command starts; an absolute path.
        label: KEY=VALUE.
        unlabel: A label that is taken away.
        expose: PORT, PORT/tcp or PORT/udp.
        unexpose: A port that is taken away.
        volume: A directory that is written to.
        remove_volume: One that is none any more.
        stop_signal: Such as SIGTERM or SIGRTMIN+3.
        healthcheck: Docker's health check as a JSON object; none switches it off.
        author: Who made the image.
        created: When, such as 2024-02-03T04:05:06Z.
        os: The operating system, as Go calls it.
        arch: The architecture, as Go calls it.
        variant: The architecture's variant.
        annotation: KEY=VALUE, of the manifest.
        remove_annotation: One that is taken away.
        clear: A field that is taken away as a whole: annotations, author, cmd, entrypoint, env,
            exposed-ports, healthcheck, labels, stop-signal, user, volumes or working-dir.
        history: Whether the history tells of it.
        comment: What the history says of it.
        created_by: The command that the history tells.
        platform: Which image of several that are stored.
        oci: Turn Docker's media types into OCI's.
        force: Move the name though somebody else has moved it, or it names several images.
    """
    with open_existing() as store:
        base, draft = begin(store, image, tag, platform)
        changed = draft.with_config(
            clear=_fields(clear), env=parse_pairs(env, "env"), unset_env=unset_env, user=user,
            entrypoint=parse_command(entrypoint), cmd=parse_command(cmd), working_dir=workdir,
            labels=parse_pairs(label, "label"), unlabel=unlabel, exposed_ports=expose,
            unexpose=unexpose, volumes=volume, remove_volumes=remove_volume,
            stop_signal=stop_signal, healthcheck=_healthcheck(healthcheck), author=author,
            created=created, os=os, architecture=arch, variant=variant,
            annotations=parse_pairs(annotation, "annotation"),
            remove_annotations=remove_annotation, history=history, comment=comment,
            created_by=created_by,
        )  # fmt: skip
        _save(changed, base, tag, oci=oci, force=force)


def append(
    image: str,
    path: Path,
    /,
    *more: Path,
    tag: Tag = None,
    target: str = "/",
    owner: str | None = None,
    compress: Compression = "gzip",
    comment: Text = None,
    created_by: Text = None,
    author: Text = None,
    platform: str | None = None,
    oci: Flag = False,
    force: Flag = False,
) -> None:
    """Put more layers on an image, one for each tar or directory; prints the new ID.

    A tar is taken as it is, whiteouts among it. Of a directory all entries are put into one of the
    image. SOURCE_DATE_EPOCH is the moment that the image says it was made, and the time of files
    of directories that are younger.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        path: A directory, or a tar, compressed or not; - is standard input.
        more: Further ones, each above the one before.
        tag: What the new image is called; the image's own name moves there if it is not said.
        target: Where in the image the entries of directories go.
        owner: UID:GID that the entries of directories get; their own if it is not said.
        compress: How new layers are stored, and pushed: gzip, zstd or none.
        comment: What the history says of it.
        created_by: The command that the history tells.
        author: Who made the layers.
        platform: Which image of several that are stored.
        oci: Turn Docker's media types into OCI's.
        force: Move the name though somebody else has moved it, or it names several images.
    """
    paths = (path, *more)
    for each in paths:
        if each.startswith(STREAM) and each != STREAM:
            raise UsageError(f"{each[:60]!r} is no option", hint="see `orlop append --help`")
    if paths.count(STREAM) > 1:
        raise UsageError("standard input is read but once")
    owned = None if owner is None else _owner(owner)
    if not any(map(os.path.isdir, paths)) and (owned or target != "/"):
        raise UsageError("--target and --owner are for directories: a tar says itself")
    with open_existing() as store:
        base, draft = begin(store, image, tag, platform)
        for each in paths:
            if each == STREAM:
                refuse_terminal("the tar")
            placed = os.path.isdir(each)
            draft = draft.append(
                sys.stdin.buffer if each == STREAM else each,
                target=target if placed else "/",
                owner=owned if placed else None,
                comment=comment,
                created_by=created_by or "orlop append",
                author=author,
            )
        _save(draft, base, tag, compress=compress, oci=oci, force=force)


def squash(
    image: str,
    /,
    *,
    layers: int | None = None,
    since: str | None = None,
    tag: Tag = None,
    compress: Compression = "gzip",
    comment: Text = None,
    platform: str | None = None,
    oci: Flag = False,
    force: Flag = False,
) -> None:
    """Merge the uppermost layers of an image into one; prints the new ID.

    What a later one of them removes or replaces is not in it. The layers below stay as they are.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        layers: How many layers are merged.
        since: The image whose layers are the lowest and stay; all above them are merged.
        tag: What the new image is called; the image's own name moves there if it is not said.
        compress: How the new layer is stored, and pushed: gzip, zstd or none.
        comment: What the history says of it.
        platform: Which image of several that are stored.
        oci: Turn Docker's media types into OCI's.
        force: Move the name though somebody else has moved it, or it names several images.
    """
    if (layers is None) == (since is None):
        raise UsageError(
            "say which layers are merged", hint="by --layers or --since; or use `orlop flatten`"
        )
    if layers is not None and layers < 1:
        raise UsageError(f"{layers} layers cannot be merged")
    with open_existing() as store:
        base, draft = begin(store, image, tag, platform)
        draft = draft.squash(layers, since=since, comment=comment)
        _save(draft, base, tag, compress=compress, oci=oci, force=force)


def flatten(
    image: str,
    /,
    *,
    tag: Tag = None,
    compress: Compression = "gzip",
    comment: Text = None,
    platform: str | None = None,
    oci: Flag = False,
    force: Flag = False,
) -> None:
    """Merge all layers of an image into one; prints the new ID.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        tag: What the new image is called; the image's own name moves there if it is not said.
        compress: How the new layer is stored, and pushed: gzip, zstd or none.
        comment: What the history says of it.
        platform: Which image of several that are stored.
        oci: Turn Docker's media types into OCI's.
        force: Move the name though somebody else has moved it, or it names several images.
    """
    with open_existing() as store:
        base, draft = begin(store, image, tag, platform)
        _save(draft.flatten(comment=comment), base, tag, compress=compress, oci=oci, force=force)


def rebase(
    image: str,
    old: str,
    new: str,
    /,
    *,
    tag: Tag = None,
    platform: str | None = None,
    oci: Flag = False,
    force: Flag = False,
) -> None:
    """Exchange the lowest layers of an image for those of another; prints the new ID.

    What the config has of the old base comes from the new one then; what the image has of its own
    stays.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        old: The image that it stands on: its layers must be the lowest.
        new: The image that it is to stand on.
        tag: What the new image is called; the image's own name moves there if it is not said.
        platform: Which image of several that are stored.
        oci: Turn Docker's media types into OCI's.
        force: Move the name though somebody else has moved it, or it names several images.
    """
    with open_existing() as store:
        base, draft = begin(store, image, tag, platform)
        _save(draft.rebase(old, new), base, tag, oci=oci, force=force)


def begin(
    store: Store, image: str, tag: str | None, platform: str | None
) -> tuple[Image, ImageDraft]:
    """The image that is edited, and a draft that begins as it.

    Raises:
        UsageError: No name is said, and it is not clear which one is to move.
    """
    found = store.image(image)
    by_id = found.id.encoded.startswith(image.removeprefix("sha256:"))
    if tag is None and by_id and len(found.names) > 1:
        raise UsageError(f"{image} has several names", hint="say by --tag which one is to move")
    return found, found.edit(platform=platform, timestamp=source_date_epoch())


def parse_pairs(words: Iterable[str], option: str) -> dict[str, str]:
    """The values by key that NAME=VALUE say.

    Raises:
        UsageError: A word has no `=`, or nothing before it.
    """
    try:
        return parse_labels(words)
    except UsageError as error:
        word = str(error).rpartition(" is no ")[0]
        raise UsageError(f"{word} is no --{option}", hint="write NAME=VALUE") from None


def parse_command(words: Iterable[str] | None) -> tuple[str, ...] | None:
    """The words of a command: one JSON array of them, or each on its own; one that is empty none.

    Raises:
        UsageError: What begins as an array is none of words.
    """
    if words is None:
        return None
    words = tuple(words)
    if words == ("",):
        return ()
    if len(words) != 1 or not words[0].lstrip().startswith("["):
        return words
    try:
        found = json.loads(words[0])
    except ValueError as error:
        raise UsageError(f"{words[0][:60]!r} is no JSON: {error}") from None
    if not all(isinstance(word, str) for word in found):
        raise UsageError(f"{words[0][:60]!r} has more than words in it")
    return tuple(found)


def _healthcheck(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    if text.lower() == "none":
        return {"Test": ["NONE"]}
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise UsageError(f"{text[:60]!r} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{text[:60]!r} is no JSON object")
    return found


def _fields(words: Iterable[str]) -> tuple[Clearable, ...]:
    from orlop.editing import CLEARABLE

    found = []
    for word in words:
        name = word.removeprefix("config.").removeprefix("manifest.").replace("-", "_").lower()
        name = _FIELDS.get(name, name)
        if name not in CLEARABLE:
            known = ", ".join(each.replace("_", "-") for each in CLEARABLE)
            raise UsageError(f"{word[:60]!r} cannot be cleared", hint=f"these can: {known}")
        found.append(name)
    return tuple(found)


def _owner(text: str) -> tuple[int, int]:
    uid, colon, gid = text.partition(":")
    ids = [int(each) for each in (uid, gid) if each.isascii() and each.isdigit() and len(each) < 11]
    if not colon or len(ids) != 2 or max(ids) > 2**32 - 2:
        raise UsageError(f"{text[:40]!r} is no owner", hint="write UID:GID")
    return ids[0], ids[1]


def _save(
    draft: ImageDraft,
    base: Image,
    tag: str | None,
    *,
    compress: Compression = "gzip",
    oci: bool,
    force: bool,
) -> None:
    if not draft.edits and tag is None:
        raise InvalidError("nothing is to be changed", hint="`orlop config --help` lists what can")
    made = draft.save(tag or base.name, compress=compress, oci=oci, force=force)
    print(made.id)
