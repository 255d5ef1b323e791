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

PRAGMA application_id=1330793552;
PRAGMA user_version=1;
INSERT INTO images VALUES (
    'docker.io/library/debian:12', '{}',
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', NULL,
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', NULL,
    'linux/amd64', 5, 1, 2, '{}'
);
INSERT INTO blobs VALUES (
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', 5, 'text/plain', 3
);
