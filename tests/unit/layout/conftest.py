"""Images in memory, and the places that they are written into."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from contextlib import contextmanager

import pytest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def hex_of(data):
    return hashlib.sha256(data).hexdigest()


def describe(media_type, data, **fields):
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **fields}


def encode(document):
    return json.dumps(document).encode()


def make_tar(members):
    """A tar of (name, bytes | symlink target as str | TarInfo) pairs."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
                continue
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            archive.addfile(info)
    return output.getvalue()


class Image:
    """A small image whose content depends on its name only."""

    def __init__(self, name, *, compressed=False, layers=2):
        self.tars = [
            make_tar([(f"{name}-{number}", name.encode() * 1000)]) for number in range(layers)
        ]
        self.layers = [gzip.compress(tar, mtime=0) if compressed else tar for tar in self.tars]
        media_type = LAYER + "+gzip" if compressed else LAYER
        self.config = encode(
            {
                "os": "linux",
                "architecture": "amd64",
                "config": {"Env": [f"NAME={name}"]},
                "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in self.tars]},
            }
        )
        self.manifest = encode(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": describe(CONFIG, self.config),
                "layers": [describe(media_type, layer) for layer in self.layers],
            }
        )

    @property
    def blobs(self):
        return [self.manifest, self.config, *self.layers]

    def described(self, **annotations):
        keys = {"ref": REF_NAME, "containerd": CONTAINERD_NAME}
        found = {keys[key]: value for key, value in annotations.items()}
        return describe(MANIFEST, self.manifest, **({"annotations": found} if found else {}))


def layout_files(descriptors, blobs):
    """The files of an OCI layout, by name."""
    return {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}),
        **{f"blobs/sha256/{hex_of(blob)}": blob for blob in blobs},
    }


def write_files(root, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture
def image():
    return Image("one")


@pytest.fixture
def layout(tmp_path):
    """Write a layout directory; images are tuples of an `Image` and its annotations."""

    def write(*images, name="layout"):
        descriptors = [image.described(**annotations) for image, annotations in images]
        blobs = [blob for image, _ in images for blob in image.blobs]
        return write_files(tmp_path / name, layout_files(descriptors, blobs))

    return write


@contextmanager
def drop_privileges():
    """Be nobody, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def unprivileged():
    return drop_privileges


class Kit:
    """The helpers of this module, for tests that build places of their own."""

    Image = Image
    make_tar = staticmethod(make_tar)
    layout_files = staticmethod(layout_files)
    write_files = staticmethod(write_files)
    describe = staticmethod(describe)
    encode = staticmethod(encode)
    sha256 = staticmethod(sha256)
    hex_of = staticmethod(hex_of)
    MANIFEST = MANIFEST
    INDEX = INDEX
    FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"


@pytest.fixture
def kit():
    return Kit
