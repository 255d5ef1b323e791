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
    updated_at_ns   INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE INDEX images_by_target ON images (target_digest);

CREATE INDEX images_by_manifest ON images (manifest_digest);

CREATE INDEX images_by_id ON images (image_id);

CREATE INDEX images_by_chain ON images (chain_id);

CREATE TABLE blobs (
    digest        TEXT NOT NULL PRIMARY KEY,
    size          INTEGER NOT NULL,
    media_type    TEXT NOT NULL,
    created_at_ns INTEGER NOT NULL
, updated_at_ns INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;

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
    expires_at_ns INTEGER) STRICT, WITHOUT ROWID;

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

CREATE TABLE image_labels (
    image TEXT NOT NULL REFERENCES images (name) ON DELETE CASCADE,
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
    PRIMARY KEY (image, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX image_labels_by_key ON image_labels (key, value);

CREATE INDEX image_labels_by_role ON image_labels (role, value) WHERE role IS NOT NULL;

CREATE TABLE blob_labels (
    blob TEXT NOT NULL REFERENCES blobs (digest) ON DELETE CASCADE,
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
    PRIMARY KEY (blob, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_labels_by_key ON blob_labels (key, value);

CREATE INDEX blob_labels_by_role ON blob_labels (role, value) WHERE role IS NOT NULL;

CREATE TABLE lease_labels (
    lease TEXT NOT NULL REFERENCES leases (id) ON DELETE CASCADE,
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
    PRIMARY KEY (lease, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX lease_labels_by_key ON lease_labels (key, value);

CREATE INDEX lease_labels_by_role ON lease_labels (role, value) WHERE role IS NOT NULL;

PRAGMA application_id = 1330793552;
PRAGMA user_version = 3;

INSERT INTO chain_layers VALUES ('sha256:9e92f89ee74fbfd690dd9db2b845c49ed7fb3cf5bcdbbecec7970ba098cab9b6', 0, 'sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2');
INSERT INTO chain_layers VALUES ('sha256:9e92f89ee74fbfd690dd9db2b845c49ed7fb3cf5bcdbbecec7970ba098cab9b6', 1, 'sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed');
INSERT INTO chain_layers VALUES ('sha256:bdfbd2d18887a1cb5f2fbf7c3aadc86a2e44ec22926827d85167f3caaa36c0e0', 0, 'sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2');
INSERT INTO chain_layers VALUES ('sha256:bdfbd2d18887a1cb5f2fbf7c3aadc86a2e44ec22926827d85167f3caaa36c0e0', 1, 'sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3');
INSERT INTO chain_layers VALUES ('sha256:bdfbd2d18887a1cb5f2fbf7c3aadc86a2e44ec22926827d85167f3caaa36c0e0', 2, 'sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2');
INSERT INTO images VALUES (
    'docker.io/library/one:1', '{}', 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
    NULL, 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
    'sha256:9e92f89ee74fbfd690dd9db2b845c49ed7fb3cf5bcdbbecec7970ba098cab9b6', 'linux/amd64', 5, 1, 2
);
INSERT INTO chains VALUES (
    'sha256:9e92f89ee74fbfd690dd9db2b845c49ed7fb3cf5bcdbbecec7970ba098cab9b6', 'index.erofs', 4096, NULL, 'boot', 1, 1
);
INSERT INTO mounts VALUES (
    'mounted', 'sha256:9e92f89ee74fbfd690dd9db2b845c49ed7fb3cf5bcdbbecec7970ba098cab9b6', NULL, NULL,
    '/mnt', 'erofs', 'boot', 1, 2, 3
);
