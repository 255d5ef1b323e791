"""What the specification says of indexes, manifests and image configs.

Docker's manifests and lists are like OCI's but for their name, and are held against the same rules
without those that say `mediaType` (media-types.md, "Compatibility Matrix").

Spec: image-spec v1.1, image-index.md, manifest.md, config.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from orlop.layout.validation.descriptors import annotated, digest_text, registered
from orlop.layout.validation.members import (
    array,
    boolean,
    each,
    empty_mapping,
    exactly,
    integer,
    mapping,
    media_type,
    member,
    moment,
    required,
    string,
    values,
    within,
)
from orlop.layout.validation.rule import Rule, shown
from orlop.mediatype import (
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    is_config,
    is_docker,
    is_index,
    is_manifest,
)
from orlop.spec.config import ROOTFS_TYPE
from orlop.spec.envelope import SCHEMA_VERSION
from orlop.spec.layout import LAYOUT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.layout.validation.members import Object
    from orlop.layout.validation.rule import Finding

    Rules: TypeAlias = tuple[Rule[Object], ...]

_LAYOUT: Final = 'image-layout.md, "Content"'
_LAYOUT_FILE: Final = 'image-layout.md, "oci-layout file"'
_INDEX: Final = 'image-index.md, "Image Index Property Descriptions"'
_MANIFEST: Final = 'manifest.md, "Image Manifest Property Descriptions"'
_CONFIG: Final = 'config.md, "Properties"'
_DIFF_ID: Final = 'config.md, "Layer DiffID"'


def _has_artifact_type(manifest: Object) -> Iterator[Finding]:
    config = manifest.get("config")
    empty = isinstance(config, dict) and config.get("mediaType") == OCI_EMPTY
    if empty and manifest.get("artifactType") is None:
        yield ".artifactType", f"is missing, though the config is {OCI_EMPTY}"


def _is_assignment(value: object) -> str | None:
    fits = not isinstance(value, str) or "=" in value
    return None if fits else f"{shown(str(value))} is not NAME=VALUE"


def _is_known_version(value: object) -> str | None:
    return exactly(LAYOUT_VERSION)(value) if isinstance(value, str) else None


def _below(name: str, rules: Rules) -> Rules:
    """The rules for the object that a member is, or for each object of an array."""
    return tuple(rule._replace(check=within(name, rule.check)) for rule in rules)


LAYOUT_FILE: Final[Rules] = (
    Rule(_LAYOUT, "imageLayoutVersion is there", required("imageLayoutVersion")),
    Rule(_LAYOUT, "imageLayoutVersion is a string", member("imageLayoutVersion", string)),
    Rule(
        _LAYOUT_FILE,
        "imageLayoutVersion is that of image-spec 1.1",
        member("imageLayoutVersion", _is_known_version),
        "note",
    ),
)
"""What holds for `oci-layout`, once it is JSON."""

_INDEX_TYPE: Final = Rule(
    _INDEX, "mediaType is that of an index", member("mediaType", exactly(OCI_INDEX))
)
INDEX: Final[Rules] = (
    Rule(_INDEX, "schemaVersion is there", required("schemaVersion")),
    Rule(_INDEX, "schemaVersion is 2", member("schemaVersion", exactly(SCHEMA_VERSION))),
    _INDEX_TYPE,
    Rule(_INDEX, "artifactType fits RFC 6838", member("artifactType", media_type)),
    Rule(_INDEX, "manifests is there", required("manifests")),
    Rule(_INDEX, "manifests is an array", member("manifests", array)),
    Rule(_INDEX, "each of manifests is a descriptor", each("manifests", mapping)),
    Rule(_INDEX, "subject is a descriptor", member("subject", mapping)),
    *annotated("annotations"),
)
"""What holds for an index, beside its descriptors."""

_MANIFEST_TYPE: Final = Rule(
    _MANIFEST, "mediaType is that of a manifest", member("mediaType", exactly(OCI_MANIFEST))
)
MANIFEST: Final[Rules] = (
    Rule(_MANIFEST, "schemaVersion is there", required("schemaVersion")),
    Rule(_MANIFEST, "schemaVersion is 2", member("schemaVersion", exactly(SCHEMA_VERSION))),
    _MANIFEST_TYPE,
    Rule(_MANIFEST, "artifactType fits RFC 6838", member("artifactType", media_type)),
    Rule(_MANIFEST, "artifactType is there where the config is empty", _has_artifact_type),
    Rule(_MANIFEST, "config is there", required("config")),
    Rule(_MANIFEST, "config is a descriptor", member("config", mapping)),
    Rule(_MANIFEST, "layers is an array", member("layers", array)),
    Rule(_MANIFEST, "each of layers is a descriptor", each("layers", mapping)),
    Rule(_MANIFEST, "subject is a descriptor", member("subject", mapping)),
    *annotated("annotations"),
)
"""What holds for a manifest, beside its descriptors."""

_RUN: Final[Rules] = (
    *(
        Rule(_CONFIG, f"config.{name} is a string", member(name, string))
        for name in ("User", "WorkingDir", "StopSignal")
    ),
    *(
        rule
        for name in ("Env", "Entrypoint", "Cmd")
        for rule in (
            Rule(_CONFIG, f"config.{name} is an array", member(name, array)),
            Rule(_CONFIG, f"config.{name} is an array of strings", each(name, string)),
        )
    ),
    *(
        rule
        for name in ("ExposedPorts", "Volumes")
        for rule in (
            Rule(_CONFIG, f"config.{name} is an object", member(name, mapping)),
            Rule(_CONFIG, f"each value of config.{name} is empty", values(name, empty_mapping)),
        )
    ),
    Rule(_CONFIG, "each of config.Env is NAME=VALUE", each("Env", _is_assignment), "note"),
    Rule(_CONFIG, "config.ArgsEscaped is a boolean", member("ArgsEscaped", boolean)),
    *(
        Rule(_CONFIG, f"config.{name} is an integer", member(name, integer))
        for name in ("Memory", "MemorySwap", "CpuShares")
    ),
    Rule(_CONFIG, "config.Healthcheck is an object", member("Healthcheck", mapping)),
)
_ROOTFS: Final[Rules] = (
    Rule(_CONFIG, "rootfs.type is there", required("type")),
    Rule(_CONFIG, "rootfs.type is layers", member("type", exactly(ROOTFS_TYPE))),
    Rule(_CONFIG, "rootfs.diff_ids is there", required("diff_ids")),
    Rule(_CONFIG, "rootfs.diff_ids is an array", member("diff_ids", array)),
    Rule(_DIFF_ID, "each diffID is a digest", each("diff_ids", digest_text)),
    *(
        Rule(_DIFF_ID, f"a {name} diffID is hexadecimal", each("diff_ids", registered(name, count)))
        for name, count in (("sha256", 64), ("sha512", 128))
    ),
)
_HISTORY: Final[Rules] = (
    Rule(_CONFIG, "history.created is a time", member("created", moment)),
    *(
        Rule(_CONFIG, f"history.{name} is a string", member(name, string))
        for name in ("author", "created_by", "comment")
    ),
    Rule(_CONFIG, "history.empty_layer is a boolean", member("empty_layer", boolean)),
)
CONFIG: Final[Rules] = (
    Rule(_CONFIG, "created is a time", member("created", moment)),
    Rule(_CONFIG, "author is a string", member("author", string)),
    Rule(_CONFIG, "architecture is there", required("architecture")),
    Rule(_CONFIG, "architecture is a string", member("architecture", string)),
    Rule(_CONFIG, "os is there", required("os")),
    Rule(_CONFIG, "os is a string", member("os", string)),
    Rule(_CONFIG, "os.version is a string", member("os.version", string)),
    Rule(_CONFIG, "os.features is an array", member("os.features", array)),
    Rule(_CONFIG, "os.features is an array of strings", each("os.features", string)),
    Rule(_CONFIG, "variant is a string", member("variant", string)),
    Rule(_CONFIG, "config is an object", member("config", mapping)),
    *_below("config", _RUN),
    *_below("config", annotated("Labels")[1:]),  # Here null is allowed.
    Rule(_CONFIG, "rootfs is there", required("rootfs")),
    Rule(_CONFIG, "rootfs is an object", member("rootfs", mapping)),
    *_below("rootfs", _ROOTFS),
    Rule(_CONFIG, "history is an array", member("history", array)),
    Rule(_CONFIG, "each of history is an object", each("history", mapping)),
    *_below("history", _HISTORY),
)
"""What holds for an image config, whatever the layers are."""


def rules_for(media_type: str) -> Rules:
    """The rules of a document that is parsed; none for content that is opaque."""
    if is_config(media_type):
        return CONFIG
    rules = INDEX if is_index(media_type) else MANIFEST if is_manifest(media_type) else ()
    if is_docker(media_type):
        return tuple(rule for rule in rules if rule not in (_INDEX_TYPE, _MANIFEST_TYPE))
    return rules
