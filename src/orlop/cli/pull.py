"""`orlop pull`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from orlop.cli.progress import display
from orlop.cli.settings import open_store

if TYPE_CHECKING:
    from orlop.transfer import SourceOptions


def _check_jobs(_: object, jobs: int) -> None:
    from orlop.transfer import MAX_JOBS

    if not 1 <= jobs <= MAX_JOBS:
        raise ValueError(f"must be 1 to {MAX_JOBS}")


def pull(
    source: str,
    /,
    *,
    tag: str | None = None,
    platform: str | None = None,
    driver: Literal["erofs", "overlay", "directory"] | None = None,
    jobs: Annotated[int, Parameter(alias="-j", validator=_check_jobs)] = 3,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    insecure: Annotated[bool, Parameter(negative="")] = False,
    ca_file: Path | None = None,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    auth_file: Path | None = None,
) -> None:
    """Bring an image into the store.

    Prints the image's ID. What an interrupted pull left is gone on with.

    Args:
        source: A registry's image (docker.io/library/debian:12), oci:DIR[:TAG],
            oci-archive:FILE, docker-archive:FILE or dir:DIR.
        tag: The name that the image gets, instead of its own.
        platform: Which image of several, such as linux/arm64/v8; this machine's by default.
        driver: What is to mount it; what suits the machine by default.
        jobs: How many layers are brought in at once.
        quiet: Print the image's ID alone, and no progress.
        plain_http: Speak HTTP without encryption to any registry, not to loopback alone.
        insecure: Accept any certificate of a registry.
        ca_file: Certificates (PEM) to trust beside the system's.
        cert_file: Certificate (PEM) to show to the registry.
        key_file: Its private key (PEM).
        auth_file: Credentials, in the form of Docker's config.json or containers' auth.json.
    """
    options = _source_options(
        source,
        plain_http=plain_http,
        insecure=insecure,
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
        auth_file=auth_file,
    )
    with open_store() as store, display(quiet=quiet) as bars:
        image = store.pull(
            source,
            platform=platform,
            tag=tag,
            driver=driver,
            jobs=jobs,
            options=options,
            progress=bars.update if bars else None,
        )
    if not quiet:
        print(f"{image.name} ({image.platform})", file=sys.stderr)
    print(image.id)


def _source_options(
    source: str,
    *,
    plain_http: bool,
    insecure: bool,
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    auth_file: Path | None,
) -> SourceOptions:
    """How registries are reached: the options, and what the environment says of proxies."""
    from orlop.transfer import SourceOptions, is_local

    if is_local(source):
        return SourceOptions()
    from orlop.registry import Keychain, RegistryOptions

    environ = dict(os.environ)
    keychain = (
        Keychain([auth_file], environ=environ) if auth_file else Keychain.of(environ, _home())
    )
    return SourceOptions(
        registry=RegistryOptions(
            plain_http=True if plain_http else None,
            insecure=insecure,
            ca_file=ca_file,
            client_cert=cert_file,
            client_key=key_file,
            environ=environ,
        ),
        credentials=keychain,
    )


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user whom the machine does not know, with a process in a container
        return Path("/")
