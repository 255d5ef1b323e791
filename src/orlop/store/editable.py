"""What is edited: an image, or a draft that is made of one. Both have the same edits."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from orlop.editing.config import Clearable
    from orlop.editing.history import Step
    from orlop.editing.sources import DirectorySource, TarSource
    from orlop.store.draft import ImageDraft
    from orlop.store.image import Image


class Editable:
    """What has the edits of images: each gives a draft, and leaves this as it is."""

    __slots__ = ()

    def _draft(self) -> ImageDraft:
        """The draft that an edit is added to."""
        raise NotImplementedError

    def append(
        self,
        source: str | os.PathLike[str] | bytes | BinaryIO,
        *,
        target: str | bytes = "/",
        owner: tuple[int, int] | None = None,
        comment: str | None = None,
        created_by: str = "orlop append",
        author: str | None = None,
        created: str | datetime | float | None = None,
    ) -> ImageDraft:
        """One more layer, on top: a tar as it is, or the entries of a directory.

        Args:
            source: A directory; or a tar, compressed or not, as a file, bytes, or a stream that is
                read from where it stands to its end.
            target: Of a directory, where in the image its entries go; made if it is missing.
                Symbolic links that lead there are followed inside the image.
            owner: Of a directory, the user and group that all get; those that they have where None.
            comment: What the history says of it, like the following.
            created_by: The command.
            author: Who.
            created: When: RFC 3339, a datetime, or seconds since 1970.

        Raises:
            InvalidError: A value is none that a history can have.
            ValueError: Target or owner are said of a tar.
        """
        from orlop.editing.edits import Append
        from orlop.editing.sources import DirectorySource, TarSource

        step = _step(created_by, comment, author, created)
        made: TarSource | DirectorySource
        if isinstance(source, (str, os.PathLike)) and os.path.isdir(source):
            place = _inside(target)
            made = DirectorySource(os.path.abspath(source), place, owner)
        elif owner is not None or target not in {"/", b"/"}:
            raise ValueError("a tar says itself where its files go, and whose they are")
        elif isinstance(source, (str, os.PathLike)):
            made = TarSource(os.path.abspath(source))
        else:
            made = TarSource(source)
        return self._draft().add(Append(made, step))

    def with_config(
        self,
        *,
        clear: Iterable[Clearable] = (),
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        unset_env: Iterable[str] = (),
        entrypoint: Sequence[str] | None = None,
        cmd: Sequence[str] | None = None,
        working_dir: str | None = None,
        labels: Mapping[str, str] | None = None,
        unlabel: Iterable[str] = (),
        exposed_ports: Iterable[str] = (),
        unexpose: Iterable[str] = (),
        volumes: Iterable[str] = (),
        remove_volumes: Iterable[str] = (),
        stop_signal: str | None = None,
        healthcheck: Mapping[str, object] | None = None,
        author: str | None = None,
        created: str | datetime | float | None = None,
        os: str | None = None,
        architecture: str | None = None,
        variant: str | None = None,
        annotations: Mapping[str, str] | None = None,
        remove_annotations: Iterable[str] = (),
        history: bool = True,
        comment: str | None = None,
        created_by: str | None = None,
    ) -> ImageDraft:
        """Another config; fields that are not said stay as they are, those unknown here too.

        What is cleared is so before anything is set. An empty text or list takes a value away.

        Args:
            clear: Fields that are taken away as a whole; see `orlop.editing.CLEARABLE`.
            user: `user`, `uid`, and either followed by `:group` or `:gid`.
            env: Variables by name; one that is there keeps its place.
            unset_env: Variables that are taken away.
            entrypoint: The command and its first arguments.
            cmd: What follows, or the command where there is no entrypoint.
            working_dir: Where the command starts; an absolute path.
            labels: More labels, or other values.
            unlabel: Labels that are taken away.
            exposed_ports: More ports: `80`, `80/tcp` or `53/udp`.
            unexpose: Ports that are taken away.
            volumes: More directories that are written to.
            remove_volumes: Those that are none any more.
            stop_signal: Such as `SIGTERM`, `SIGRTMIN+3` or `15`.
            healthcheck: Docker's health check, with its own keys.
            author: Who made the image.
            created: When: RFC 3339, a datetime, or seconds since 1970; the moment of the draft
                where None.
            os: Such as `linux`.
            architecture: Such as `arm64`; a variant that is not said goes with the old one.
            variant: Such as `v8`.
            annotations: More annotations of the manifest, or other values.
            remove_annotations: Annotations that are taken away.
            history: Whether the history tells of it, as of a step without a layer.
            comment: What the history says of it.
            created_by: The command; a list of what was changed, without values, where None.

        Raises:
            InvalidError: A value is none that a config can have.
            ValueError: What is to be cleared is nothing of a config.
        """
        from orlop.editing.config import ConfigEdit
        from orlop.editing.edits import Configure

        edit = ConfigEdit.of(
            clear=clear, user=user, env=env, unset_env=unset_env, entrypoint=entrypoint, cmd=cmd,
            working_dir=working_dir, labels=labels, unlabel=unlabel, exposed_ports=exposed_ports,
            unexpose=unexpose, volumes=volumes, remove_volumes=remove_volumes,
            stop_signal=stop_signal, healthcheck=healthcheck, author=author, created=created,
            os=os, architecture=architecture, variant=variant, annotations=annotations,
            remove_annotations=remove_annotations,
        )  # fmt: skip
        if edit.nothing:
            return self._draft()
        step = _step(created_by or edit.describe(), comment, None, created) if history else None
        return self._draft().add(Configure(edit, step))

    def squash(
        self,
        count: int | None = None,
        *,
        since: str | Image | None = None,
        comment: str | None = None,
    ) -> ImageDraft:
        """The uppermost layers merged into one that does the same to those below.

        It has nothing that does not show: what a later one of them removes or replaces is not in
        it, and whiteouts only of what lies below. The steps stay in the history, without layers.

        Args:
            count: How many layers.
            since: The image above which all are merged, instead; its layers must be the lowest.
            comment: What the history says of it.

        Raises:
            NotFoundError: There is no such image.
            ValueError: Neither is said, or both, or fewer than one layer.
        """
        if (count is None) == (since is None):
            raise ValueError("say how many layers are merged, or since which image")
        if count is not None and count < 1:
            raise ValueError(f"{count} layers cannot be merged")
        from orlop.editing.edits import Squash

        draft = self._draft()
        below = None if since is None else draft.find(since)
        what = f"squash {count} layers" if below is None else f"squash since {below.name}"
        return draft.add(Squash(count, below, _step(f"orlop {what}", comment)))

    def flatten(self, *, comment: str | None = None) -> ImageDraft:
        """All layers merged into one, in which nothing is removed any more.

        Args:
            comment: What the history says of it.
        """
        from orlop.editing.edits import Squash

        return self._draft().add(Squash(None, None, _step("orlop flatten", comment)))

    def rebase(self, old: str | Image, new: str | Image) -> ImageDraft:
        """The layers of one image, which must be the lowest, exchanged for those of another.

        What config and history have of the old base comes from the new one then; what the image
        has of its own stays. Variables, labels, ports and volumes are judged one by one.

        Args:
            old: The image that it stands on.
            new: The image that it is to stand on, for the same platform.

        Raises:
            NotFoundError: There is no such image, or none for the platform.
        """
        from orlop.editing.edits import Rebase

        draft = self._draft()
        return draft.add(Rebase(draft.find(old), draft.find(new)))


def _step(
    created_by: str,
    comment: str | None,
    author: str | None = None,
    created: str | datetime | float | None = None,
) -> Step:
    from orlop.editing.history import Step
    from orlop.editing.values import check_moment, check_text

    return Step(
        created_by=check_text("created_by", created_by),
        comment=None if comment is None else check_text("comment", comment),
        author=None if author is None else check_text("author", author),
        created=None if created is None else check_moment("created", created),
    )


def _inside(target: str | bytes) -> bytes:
    """A directory of an image, without slashes at its ends."""
    from orlop.editing.values import check_path

    text = os.fsencode(target)
    check_path("target", os.fsdecode(text.decode("utf-8", "replace")))
    return b"/".join(name for name in text.split(b"/") if name not in {b"", b"."})
