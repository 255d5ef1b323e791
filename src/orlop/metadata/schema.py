"""The tables, as the list of steps that lead to them.

A step is never changed once it was released: what is wrong in one is put right by the next.
"""

from __future__ import annotations

from typing import Final

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

STEPS: Final = (_FETCHED, _DERIVED, _LABELS)
"""What leads from version n to version n + 1."""

VERSION: Final = len(STEPS)
"""The version that this code reads and writes."""
