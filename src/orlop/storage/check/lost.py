"""Removing the records of what is lost, by force: what stands on it goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.content import DigestDirectory
from orlop.errors import InUseError, NotFoundError, some_of
from orlop.metadata import Blobs, Containers, Forms, Images, StoredImages
from orlop.storage.check.documents import is_lost
from orlop.storage.check.layers import LayerExaminer
from orlop.storage.layers.making import users_in
from orlop.storage.staging import discard

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.storage.check.examination import Examination
    from orlop.storage.check.objects import Objects
    from orlop.storage.check.report import Finding


class Remover:
    """Removes what is lost from a store.

    Args:
        examination: The check.
        objects: The store's layers, images and containers.

    Attributes:
        removed: What went: kind and ID.
    """

    def __init__(self, examination: Examination, objects: Objects) -> None:
        self._examination = examination
        self._objects = objects
        self._storage = examination.storage
        self.removed: list[str] = []

    def forget_blob(self, digest: Digest) -> None:
        """Remove a blob that is damaged and cannot be had again, so that a pull brings it."""
        with self._storage.database.write() as tx:
            Blobs(tx).delete(digest)
            self._storage.content.delete(digest)
        self.removed.append(f"blob {digest}")

    def forget_form(self, diff_id: Digest) -> None:
        """Remove all forms of a layer, one of which is damaged."""
        root = self._storage.places.root / "forms"
        place = DigestDirectory(str(root), self._storage.content.trash)
        with self._storage.database.write() as tx:
            Forms(tx).delete(diff_id)
            place.delete(diff_id)
        self.removed.append(f"form {diff_id}")

    def remove_layer(self, finding: Finding) -> None:
        """Remove a layer that is lost, what stands on it, and the images and containers of these.

        Raises:
            InUseError: One of them is mounted.
            OSError: Something could not be removed.
        """
        if finding in LayerExaminer(self._examination).look(finding.id):
            self._remove_with_users(finding.id)

    def remove_image(self, finding: Finding) -> None:
        """Remove a name whose image is lost, or an image of its own.

        Raises:
            InUseError: Containers were made from it.
            OSError: It could not be removed.
        """
        with self._storage.database.write() as tx:
            gone = Images(tx).delete(finding.id)
            own = StoredImages(tx).get(finding.id)
        if not gone and own is not None:
            self._delete_image(finding.id)
        else:
            self.removed.append(f"image {finding.id}")

    def remove_container(self, finding: Finding) -> None:
        """Remove a container that has lost its layer, mounted or not.

        Raises:
            InUseError: Layers stand on its own.
            OSError: It could not be removed.
        """
        self._objects.containers.delete(finding.id, force=True)
        self.removed.append(f"container {finding.id}")

    def remove_lost(self, finding: Finding) -> None:
        """Remove an image that is not whole any more; of a container forget its image's documents.

        An image whose files are all here in another form stays.

        Raises:
            NotFoundError: That is so: what is missing has to be fetched.
            InUseError: Containers were made from it.
        """
        if finding.subject == "container":
            sql = "UPDATE containers SET manifest_digest = NULL, config_digest = NULL WHERE id = ?"
            with self._storage.database.write() as tx:
                tx.execute(sql, (finding.id,))
            return
        lost = any(is_lost(self._examination, kind, finding.id) for kind in ("image", "own"))
        if not lost:
            raise NotFoundError(
                f"blobs of image {finding.id} are lost, and its files are here",
                hint="pull it again, or allow that with --fetch",
            )
        self.remove_image(finding)

    def _remove_with_users(self, id: str) -> None:  # noqa: A002
        with self._storage.database.read() as tx:
            users = users_in(tx, id)
        for child in users.layers:
            self._remove_with_users(child)
        for container in users.containers:
            self._objects.containers.delete(container, force=True)
            self.removed.append(f"container {container}")
        for image in users.images:
            self._delete_image(image)
        layers = self._objects.layers
        with layers.mounts.lock(id):
            layers.mounts.require_unmounted(id)
            if layers.has(id):
                layers.making.remove(id)
                self.removed.append(f"layer {id}")
        discard(self._storage.places.layer(id))

    def _delete_image(self, id: str) -> None:  # noqa: A002
        with self._storage.database.read() as tx:
            users = [f"container {row.id}" for row in Containers(tx).with_image(id)]
        if users:
            raise InUseError(f"image {id} is needed by {some_of(users)}", users=users)
        layers = self._objects.images.delete(id)
        self.removed += [f"image {id}", *(f"layer {layer}" for layer in layers)]
