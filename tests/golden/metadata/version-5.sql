CREATE INDEX big_data_by_digest ON big_data (digest);

CREATE INDEX blob_labels_by_key ON blob_labels (key, value);

CREATE INDEX blob_labels_by_role ON blob_labels (role, value) WHERE role IS NOT NULL;

CREATE INDEX chain_layers_by_diff ON chain_layers (diff_id);

CREATE INDEX containers_by_config ON containers (config_digest) WHERE config_digest IS NOT NULL;

CREATE INDEX containers_by_image ON containers (image);

CREATE INDEX containers_by_layer ON containers (layer);

CREATE INDEX containers_by_manifest ON containers (manifest_digest)
    WHERE manifest_digest IS NOT NULL;

CREATE INDEX edges_by_child ON edges (child);

CREATE INDEX image_labels_by_key ON image_labels (key, value);

CREATE INDEX image_labels_by_role ON image_labels (role, value) WHERE role IS NOT NULL;

CREATE INDEX images_by_chain ON images (chain_id);

CREATE INDEX images_by_id ON images (image_id);

CREATE INDEX images_by_manifest ON images (manifest_digest);

CREATE INDEX images_by_target ON images (target_digest);

CREATE INDEX layers_by_chain ON layers (chain_id) WHERE chain_id IS NOT NULL;

CREATE INDEX layers_by_diff ON layers (diff_id) WHERE diff_id IS NOT NULL;

CREATE INDEX layers_by_parent ON layers (parent);

CREATE INDEX layers_by_source ON layers (source) WHERE source IS NOT NULL;

CREATE INDEX layers_frozen ON layers (frozen) WHERE frozen <> 0;

CREATE INDEX layers_mapped ON layers (id_mapping) WHERE id_mapping IS NOT NULL;

CREATE INDEX layers_pinned ON layers (pinned) WHERE pinned <> 0;

CREATE INDEX lease_items_by_key ON lease_items (kind, key);

CREATE INDEX lease_labels_by_key ON lease_labels (key, value);

CREATE INDEX lease_labels_by_role ON lease_labels (role, value) WHERE role IS NOT NULL;

CREATE INDEX mount_holders_by_mount ON mount_holders (mount);

CREATE INDEX mounts_by_below ON mounts (below) WHERE below IS NOT NULL;

CREATE INDEX mounts_by_chain ON mounts (chain_id);

CREATE INDEX mounts_by_image ON mounts (image_name);

CREATE INDEX mounts_by_layer ON mounts (layer) WHERE layer IS NOT NULL;

CREATE INDEX mounts_by_place ON mounts (target, boot_id);

CREATE UNIQUE INDEX mounts_by_target ON mounts (target, boot_id, mount_namespace)
    WHERE mount_id <> 0;

CREATE INDEX object_names_by_id ON object_names (kind, id, ordinal);

CREATE INDEX stored_images_by_config ON stored_images (config_digest)
    WHERE config_digest IS NOT NULL;

CREATE INDEX stored_images_by_digest ON stored_images (digest) WHERE digest IS NOT NULL;

CREATE INDEX stored_images_by_layer ON stored_images (layer) WHERE layer IS NOT NULL;

CREATE INDEX stored_images_by_manifest ON stored_images (manifest_digest)
    WHERE manifest_digest IS NOT NULL;

CREATE INDEX stored_images_by_target ON stored_images (target_digest)
    WHERE target_digest IS NOT NULL;

CREATE TABLE big_data (
    kind   TEXT NOT NULL CHECK (kind IN ('layer', 'image', 'container')),
    id     TEXT NOT NULL,
    name   TEXT NOT NULL,
    file   TEXT NOT NULL,
    size   INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (kind, id, name)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE blobs (
    digest        TEXT NOT NULL PRIMARY KEY,
    size          INTEGER NOT NULL,
    media_type    TEXT NOT NULL,
    created_at_ns INTEGER NOT NULL
, updated_at_ns INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;

CREATE TABLE chain_layers (
    chain_id TEXT NOT NULL,
    ordinal  INTEGER NOT NULL,
    diff_id  TEXT NOT NULL,
    PRIMARY KEY (chain_id, ordinal)
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

CREATE TABLE edges (
    parent TEXT NOT NULL REFERENCES blobs (digest) ON DELETE CASCADE,
    child  TEXT NOT NULL,
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE lease_items (
    lease TEXT NOT NULL REFERENCES leases (id) ON DELETE CASCADE,
    kind  TEXT NOT NULL CHECK (kind IN ('blob', 'form', 'chain', 'ingest')),
    key   TEXT NOT NULL,
    PRIMARY KEY (lease, kind, key)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE leases (
    id            TEXT NOT NULL PRIMARY KEY,
    pid           INTEGER NOT NULL,
    pid_start     INTEGER NOT NULL,
    pid_namespace INTEGER NOT NULL,
    boot_id       TEXT NOT NULL,
    created_at_ns INTEGER NOT NULL,
    expires_at_ns INTEGER) STRICT, WITHOUT ROWID;

CREATE TABLE mount_holders (
    id            TEXT NOT NULL PRIMARY KEY,
    mount         TEXT NOT NULL REFERENCES mounts (id) ON DELETE CASCADE,
    pid           INTEGER NOT NULL,
    pid_start     INTEGER NOT NULL,
    pid_namespace INTEGER NOT NULL,
    boot_id       TEXT NOT NULL,
    created_at_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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
, layer TEXT, below TEXT, writable INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;

CREATE TABLE name_history (
    id      TEXT NOT NULL,
    name    TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE object_names (
    kind    TEXT NOT NULL CHECK (kind IN ('layer', 'image', 'container')),
    name    TEXT NOT NULL,
    id      TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

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

CREATE TRIGGER image_takes_name AFTER INSERT ON images BEGIN
    DELETE FROM object_names WHERE kind = 'image' AND name = new.name;
END;
