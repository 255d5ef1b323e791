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

PRAGMA application_id=1330793552;
PRAGMA user_version=2;
INSERT INTO images VALUES (
    'docker.io/library/debian:12', '{}',
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', NULL,
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', NULL,
    'linux/amd64', 5, 1, 2, '{"team": "ö", "containerd.io/gc.expire": "nonsense"}'
);
INSERT INTO images VALUES (
    'odd', '{}',
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', NULL,
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', NULL,
    '', 5, 1, 2, '{"": "x", "a": "0", "empty": "", "number": 1, "a": "1"}'
);
INSERT INTO images VALUES (
    'broken', '{}',
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', NULL,
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', NULL,
    '', 5, 1, 2, '["a'
);
INSERT INTO blobs VALUES (
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', 5, 'text/plain', 3
);
INSERT INTO leases VALUES ('pulling', 7, 8, 9, 'boot', 4, NULL, 'pull debian:12');
INSERT INTO leases VALUES ('nameless', 0, 0, 0, '', 4, 5, '');
INSERT INTO lease_items VALUES (
    'pulling', 'blob', 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'
);
INSERT INTO forms VALUES (
    'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', 'tar', 5, NULL, 'boot', 1, 1
);
