"""What a repair asks of whoever can fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.metadata import Lease


class BlobFetcher(Protocol):
    """Fetches blobs from where the images that need them came from."""

    def __call__(self, digest: Digest, lease: Lease) -> None:
        """Fetch one blob, in place of what is stored; success means: verified, durable, recorded.

        Args:
            digest: Which one.
            lease: What keeps it.

        Raises:
            NotFoundError: No place is known that has it.
            OrlopError: It could not be fetched, or is not what it should be.
            OSError: It could not be written.
        """
