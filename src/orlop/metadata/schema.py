"""The tables, as the list of steps that lead to them.

A step is never changed once it was released: what is wrong in one is put right by the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.digest import Digest, chain_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from apsw import Connection

APPLICATION_ID: Final = 0x4F52_4C50
"""`ORLP`: what the header of every database of orlop says it is."""

_FETCHED: Final = """
CREATE TABLE images (
    name            TEXT NOT NULL PRIMARY KEY,
    target          TEXT NOT NULL,
    target_digest   TEXT NOT NULL,
    manifest_digest TEXT,
    image_id        TEXT NOT NULL,
    chain_id        TEXT,
    platform        TEXT NOT NULL,
    size            INTEGER NOT NULL,
    created_at_ns   INTEGER NOT NULL,
    updated_at_ns   INTEGER NOT NULL,
    labels          TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX images_by_target ON images (target_digest);
CREATE INDEX images_by_manifest ON images (manifest_digest);
CREATE INDEX images_by_id ON images (image_id);
CREATE INDEX images_by_chain ON images (chain_id);

CREATE TABLE blobs (
    digest        TEXT NOT NULL PRIMARY KEY,
    size          INTEGER NOT NULL,
    media_type    TEXT NOT NULL,
    created_at_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE edges (
    parent TEXT NOT NULL REFERENCES blobs (digest) ON DELETE CASCADE,
    child  TEXT NOT NULL,
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;
CREATE INDEX edges_by_child ON edges (child);

CREATE TABLE leases (
    id            TEXT NOT NULL PRIMARY KEY,
    pid           INTEGER NOT NULL,
    pid_start     INTEGER NOT NULL,
    pid_namespace INTEGER NOT NULL,
    boot_id       TEXT NOT NULL,
    created_at_ns INTEGER NOT NULL,
    expires_at_ns INTEGER,
    label         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE lease_items (
    lease TEXT NOT NULL REFERENCES leases (id) ON DELETE CASCADE,
    kind  TEXT NOT NULL CHECK (kind IN ('blob', 'form', 'chain', 'ingest')),
    key   TEXT NOT NULL,
    PRIMARY KEY (lease, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_items_by_key ON lease_items (kind, key);
"""

_DERIVED: Final = """
CREATE TABLE forms (
    diff_id        TEXT NOT NULL,
    kind           TEXT NOT NULL,
    size           INTEGER NOT NULL,
    digest         TEXT,
    boot_id        TEXT NOT NULL,
    durable        INTEGER NOT NULL,
    writer_version INTEGER NOT NULL,
    PRIMARY KEY (diff_id, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE chains (
    chain_id       TEXT NOT NULL,
    kind           TEXT NOT NULL,
    size           INTEGER NOT NULL,
    digest         TEXT,
    boot_id        TEXT NOT NULL,
    durable        INTEGER NOT NULL,
    writer_version INTEGER NOT NULL,
    PRIMARY KEY (chain_id, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE chain_layers (
    chain_id TEXT NOT NULL,
    ordinal  INTEGER NOT NULL,
    diff_id  TEXT NOT NULL,
    PRIMARY KEY (chain_id, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX chain_layers_by_diff ON chain_layers (diff_id);

CREATE TABLE mounts (
    id              TEXT NOT NULL PRIMARY KEY,
    chain_id        TEXT,
    image_name      TEXT,
    image_id        TEXT,
    target          TEXT NOT NULL,
    driver          TEXT NOT NULL,
    boot_id         TEXT NOT NULL,
    mount_namespace INTEGER NOT NULL,
    mount_id        INTEGER NOT NULL,
    created_at_ns   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mounts_by_chain ON mounts (chain_id);
CREATE INDEX mounts_by_image ON mounts (image_name);
CREATE UNIQUE INDEX mounts_by_target ON mounts (target, boot_id, mount_namespace);

CREATE TABLE mount_holders (
    id            TEXT NOT NULL PRIMARY KEY,
    mount         TEXT NOT NULL REFERENCES mounts (id) ON DELETE CASCADE,
    pid           INTEGER NOT NULL,
    pid_start     INTEGER NOT NULL,
    pid_namespace INTEGER NOT NULL,
    boot_id       TEXT NOT NULL,
    created_at_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mount_holders_by_mount ON mount_holders (mount);
"""

# What a label means to the collector follows from its key alone; see `orlop.metadata.graph`.
_LABELLED: Final = """
CREATE TABLE {kind}_labels (
    {kind} TEXT NOT NULL REFERENCES {kind}s ({key}) ON DELETE CASCADE,
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    role   TEXT GENERATED ALWAYS AS (CASE
        WHEN key NOT GLOB 'containerd.io/gc.*' THEN NULL
        WHEN key = 'containerd.io/gc.root' THEN 'root'
        WHEN key = 'containerd.io/gc.flat' THEN 'flat'
        WHEN key = 'containerd.io/gc.expire' THEN 'expires'
        WHEN key = 'containerd.io/gc.ref.content' THEN 'keeps blob'
        WHEN key GLOB 'containerd.io/gc.ref.content[./]*' THEN 'keeps blob'
        WHEN key = 'containerd.io/gc.ref.image' THEN 'keeps image'
        WHEN key GLOB 'containerd.io/gc.ref.image[./]*' THEN 'keeps image'
        WHEN key GLOB 'containerd.io/gc.ref.snapshot.?*' THEN 'keeps chain'
        WHEN key = 'containerd.io/gc.bref.content' THEN 'follows blob'
        WHEN key GLOB 'containerd.io/gc.bref.content[./]*' THEN 'follows blob'
        WHEN key = 'containerd.io/gc.bref.image' THEN 'follows image'
        WHEN key GLOB 'containerd.io/gc.bref.image[./]*' THEN 'follows image'
        WHEN key GLOB 'containerd.io/gc.bref.snapshot.?*' THEN 'follows chain'
    END) VIRTUAL,
    PRIMARY KEY ({kind}, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX {kind}_labels_by_key ON {kind}_labels (key, value);
CREATE INDEX {kind}_labels_by_role ON {kind}_labels (role, value) WHERE role IS NOT NULL;
"""

_MOVED: Final = """
INSERT OR REPLACE INTO image_labels (image, key, value)
    SELECT name, label.key, label.value
    FROM images, json_each(CASE WHEN json_valid(labels) THEN labels ELSE '{}' END) AS label
    WHERE label.type = 'text' AND typeof(label.key) = 'text'
        AND label.key <> '' AND label.value <> '';
ALTER TABLE images DROP COLUMN labels;

INSERT INTO lease_labels (lease, key, value)
    SELECT id, 'orlop.purpose', label FROM leases WHERE label <> '';
ALTER TABLE leases DROP COLUMN label;

ALTER TABLE blobs ADD COLUMN updated_at_ns INTEGER NOT NULL DEFAULT 0;
UPDATE blobs SET updated_at_ns = created_at_ns;
"""

_LABELS: Final = "".join(
    (
        _LABELLED.format(kind="image", key="name"),
        _LABELLED.format(kind="blob", key="digest"),
        _LABELLED.format(kind="lease", key="id"),
        _MOVED,
    )
)

_STORED: Final = """
CREATE TABLE layers (
    id            TEXT NOT NULL PRIMARY KEY,
    parent        TEXT,
    diff_id       TEXT,
    diff_size     INTEGER,
    chain_id      TEXT,
    source        TEXT,
    source_size   INTEGER,
    compression   TEXT NOT NULL,
    form          TEXT,
    read_only     INTEGER NOT NULL,
    frozen        INTEGER NOT NULL,
    pinned        INTEGER NOT NULL,
    metadata      TEXT NOT NULL,
    flags         TEXT NOT NULL,
    mount_label   TEXT NOT NULL,
    id_mapping    TEXT,
    created_at_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX layers_by_parent ON layers (parent);
CREATE INDEX layers_by_diff ON layers (diff_id) WHERE diff_id IS NOT NULL;
CREATE INDEX layers_by_chain ON layers (chain_id) WHERE chain_id IS NOT NULL;
CREATE INDEX layers_by_source ON layers (source) WHERE source IS NOT NULL;
CREATE INDEX layers_pinned ON layers (pinned) WHERE pinned <> 0;
CREATE INDEX layers_frozen ON layers (frozen) WHERE frozen <> 0;
CREATE INDEX layers_mapped ON layers (id_mapping) WHERE id_mapping IS NOT NULL;

CREATE TABLE stored_images (
    id              TEXT NOT NULL PRIMARY KEY,
    layer           TEXT,
    digest          TEXT,
    made            INTEGER NOT NULL,
    target          TEXT,
    target_digest   TEXT,
    manifest_digest TEXT,
    config_digest   TEXT,
    platform        TEXT NOT NULL,
    size            INTEGER NOT NULL,
    metadata        TEXT NOT NULL,
    flags           TEXT NOT NULL,
    created_at_ns   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX stored_images_by_layer ON stored_images (layer) WHERE layer IS NOT NULL;
CREATE INDEX stored_images_by_digest ON stored_images (digest) WHERE digest IS NOT NULL;
CREATE INDEX stored_images_by_target ON stored_images (target_digest)
    WHERE target_digest IS NOT NULL;
CREATE INDEX stored_images_by_manifest ON stored_images (manifest_digest)
    WHERE manifest_digest IS NOT NULL;
CREATE INDEX stored_images_by_config ON stored_images (config_digest)
    WHERE config_digest IS NOT NULL;

CREATE TABLE containers (
    id              TEXT NOT NULL PRIMARY KEY,
    image           TEXT NOT NULL,
    layer           TEXT NOT NULL,
    manifest_digest TEXT,
    config_digest   TEXT,
    metadata        TEXT NOT NULL,
    flags           TEXT NOT NULL,
    created_at_ns   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX containers_by_image ON containers (image);
CREATE INDEX containers_by_layer ON containers (layer);
CREATE INDEX containers_by_manifest ON containers (manifest_digest)
    WHERE manifest_digest IS NOT NULL;
CREATE INDEX containers_by_config ON containers (config_digest) WHERE config_digest IS NOT NULL;

CREATE TABLE object_names (
    kind    TEXT NOT NULL CHECK (kind IN ('layer', 'image', 'container')),
    name    TEXT NOT NULL,
    id      TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX object_names_by_id ON object_names (kind, id, ordinal);

CREATE TABLE name_history (
    id      TEXT NOT NULL,
    name    TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE big_data (
    kind   TEXT NOT NULL CHECK (kind IN ('layer', 'image', 'container')),
    id     TEXT NOT NULL,
    name   TEXT NOT NULL,
    file   TEXT NOT NULL,
    size   INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (kind, id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX big_data_by_digest ON big_data (digest);

ALTER TABLE mounts ADD COLUMN layer TEXT;
ALTER TABLE mounts ADD COLUMN below TEXT;
ALTER TABLE mounts ADD COLUMN writable INTEGER NOT NULL DEFAULT 0;
DROP INDEX mounts_by_target;
CREATE UNIQUE INDEX mounts_by_target ON mounts (target, boot_id, mount_namespace)
    WHERE mount_id <> 0;
CREATE INDEX mounts_by_place ON mounts (target, boot_id);
CREATE INDEX mounts_by_layer ON mounts (layer) WHERE layer IS NOT NULL;
CREATE INDEX mounts_by_below ON mounts (below) WHERE below IS NOT NULL;

CREATE TRIGGER image_takes_name AFTER INSERT ON images BEGIN
    DELETE FROM object_names WHERE kind = 'image' AND name = new.name;
END;
"""


def _record_pulled(connection: Connection) -> None:
    """Record the layers of the stacks that are known: they were no records of their own before."""
    stacks: dict[str, list[Digest]] = {}
    for chain_id, diff_id in connection.execute(_STACKS):
        stacks.setdefault(chain_id, []).append(Digest(diff_id))
    for diff_ids in stacks.values():
        parent = None
        for diff_id, chain_id in zip(diff_ids, chain_ids(diff_ids), strict=True):
            connection.execute(_PULLED, (chain_id.encoded, parent, diff_id, chain_id))
            parent = chain_id.encoded


_STACKS: Final = "SELECT chain_id, diff_id FROM chain_layers ORDER BY chain_id, ordinal"
_PULLED: Final = (
    "INSERT OR IGNORE INTO layers (id, parent, diff_id, chain_id, compression, read_only, frozen,"
    " pinned, metadata, flags, mount_label, created_at_ns) VALUES (?,?,?,?,'',1,0,0,'','{}','',0)"
)

STEPS: Final[tuple[str | Callable[[Connection], None], ...]] = (
    _FETCHED,
    _DERIVED,
    _LABELS,
    _STORED,
    _record_pulled,
)
"""What leads from version n to version n + 1: SQL, or what SQL cannot say."""

VERSION: Final = len(STEPS)
"""The version that this code reads and writes."""
