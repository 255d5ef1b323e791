"""Reading from registries.

Spec: distribution-spec v1.1, "Pull".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop import mediatype
from orlop.errors import (
    AuthError,
    LimitExceededError,
    NotFoundError,
    RegistryError,
    SizeMismatchError,
)
from orlop.registry import document
from orlop.registry.blob import BlobStream
from orlop.registry.endpoint import Endpoint
from orlop.registry.options import RegistryOptions
from orlop.registry.session import Session
from orlop.spec.json import MAX_DOCUMENT_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from orlop.digest import Digest
    from orlop.reference import Reference
    from orlop.registry.credential import CredentialStore
    from orlop.registry.document import Document
    from orlop.registry.response import Response
    from orlop.spec.descriptor import Descriptor

_LIMIT_NAME: Final = "MAX_DOCUMENT_SIZE"
_ACCEPT: Final = {"Accept": document.ACCEPT}
_FORBIDDEN: Final = 403


class RegistryClient:
    """A client for any number of registries; a context manager, safe for several threads.

    Nothing is asked before it is needed: there is no ping, and no credential is sent to a
    registry that did not ask for one.

    Args:
        options: How to behave.
        credentials: Where credentials are looked up, None to ask as anybody.
    """

    def __init__(
        self,
        options: RegistryOptions | None = None,
        credentials: CredentialStore | None = None,
    ) -> None:
        self._options = options or RegistryOptions()
        self._session = Session(self._options, credentials)

    def resolve(self, reference: Reference) -> Descriptor:
        """The manifest or index that a reference means at this moment.

        Raises:
            NotFoundError: The registry has no such image.
            AuthError: The registry wants other credentials.
            RegistryError: The registry refuses, or cannot be reached.
            VerificationError: The registry's answer is not what was asked for.
            InvalidDocumentError: The answer is no manifest.
        """
        return self.lookup(reference).descriptor

    def lookup(self, reference: Reference) -> Document:
        """Like `resolve`; with the bytes, where the registry had to be asked for them."""
        reference = reference.with_default_tag()
        endpoint = Endpoint.of(reference, self._options.plain_http)
        return self._head(endpoint, reference) or self._get(endpoint, reference)

    def fetch_document(self, reference: Reference, descriptor: Descriptor) -> bytes:
        """The bytes of a manifest, index or config, verified.

        Args:
            reference: An image in the repository to read from.
            descriptor: What to fetch.

        Raises:
            LimitExceededError: It is larger than a document may be.
            NotFoundError: The repository does not have it.
            AuthError: The registry wants other credentials.
            RegistryError: The registry refuses, or cannot be reached.
            VerificationError: What came is something else.
            InvalidDocumentError: It is served as something else.
        """
        if descriptor.size > MAX_DOCUMENT_SIZE:
            raise LimitExceededError(
                f"{descriptor.digest} has {descriptor.size} bytes",
                limit=_LIMIT_NAME,
                value=MAX_DOCUMENT_SIZE,
            )
        endpoint = Endpoint.of(reference, self._options.plain_http)
        what = f"document {descriptor.digest} in {reference.name}"
        if _is_manifest(descriptor):
            url, headers = endpoint.manifest_url(descriptor.digest), _ACCEPT
        else:
            url, headers = endpoint.blob_url(descriptor.digest), {}
        try:
            response, raw = self._read(endpoint, url, what, headers, limit=descriptor.size)
        except LimitExceededError as error:
            raise SizeMismatchError(what, expected=descriptor.size, actual="more") from error
        document.check_document(response, raw, descriptor)
        return raw

    def open_blob(
        self, reference: Reference, descriptor: Descriptor, offset: int = 0
    ) -> BlobStream:
        """A blob's bytes from `offset`, or from its beginning where the registry insists.

        Args:
            reference: An image in the repository to read from.
            descriptor: The blob.
            offset: Where to begin (bytes).

        Raises:
            ValueError: The offset lies outside the blob.
            NotFoundError: The repository does not have it.
            AuthError: The registry wants other credentials.
            RegistryError: The registry refuses, or cannot be reached.
            SizeMismatchError: The registry's blob has another size.
        """
        endpoint = Endpoint.of(reference, self._options.plain_http)
        return BlobStream(self._session, endpoint, descriptor, offset)

    def close(self) -> None:
        """Close idle connections, and end what other threads wait for: retries, and open blobs."""
        self._session.close()

    def _head(self, endpoint: Endpoint, reference: Reference) -> Document | None:
        """What HEAD says; None when GET may say more."""

        def ask() -> Document | None:
            with self._session.request(
                endpoint,
                endpoint.manifest_url(_name(reference)),
                _image(reference),
                method="HEAD",
                headers=_ACCEPT,
            ) as response:
                response.discard()
                return document.from_headers(response, reference.digest)

        try:
            return self._session.retrying(self._session.budget(), ask)
        except NotFoundError:
            return None
        except AuthError as error:
            if error.status != _FORBIDDEN:
                raise
            return None
        except RegistryError as error:
            if error.retryable or not error.status:
                raise
            return None

    def _get(self, endpoint: Endpoint, reference: Reference) -> Document:
        url = endpoint.manifest_url(_name(reference))
        response, raw = self._read(
            endpoint, url, _image(reference), _ACCEPT, limit=MAX_DOCUMENT_SIZE
        )
        return document.from_body(response, raw, reference.digest)

    def _read(
        self, endpoint: Endpoint, url: str, what: str, headers: Mapping[str, str], *, limit: int
    ) -> tuple[Response, bytes]:
        def ask() -> tuple[Response, bytes]:
            with self._session.request(endpoint, url, what, headers=headers) as response:
                seconds = self._options.document_timeout
                return response, response.read_all(limit, _LIMIT_NAME, seconds=seconds)

        return self._session.retrying(self._session.budget(), ask)

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()


def _name(reference: Reference) -> Digest | str:
    """What a manifest is asked for by: the digest where there is one."""
    return reference.digest or reference.tag or ""


def _image(reference: Reference) -> str:
    return f"image {reference} in registry {reference.domain}"


def _is_manifest(descriptor: Descriptor) -> bool:
    media_type = descriptor.media_type
    return (
        mediatype.is_manifest(media_type)
        or mediatype.is_index(media_type)
        or mediatype.is_schema1(media_type)
    )
