"""A valid layout in memory, of which any part can be made wrong before it is put together.

driver = put_together({"manifest": lambda manifest: manifest.pop("config")})
"""

from __future__ import annotations

import copy
import json

from orlop.layout.driver import MemoryDriver, MemoryFile
from support.images import KIND, compress, digest, directory, file, tar

NOTES = b"not an image\n"


def descriptor(media_type, data, **more):
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


def put_together(edits=None, *, layers=None, media_types=None, stored=None):
    """A layout with an image of two layers, and with something else.

    Args:
        edits: By the part that they are given when the parts below are final: `config`,
            `manifest`, `index`, `layout` (documents, or the bytes to put in their place), and
            `files` (of the driver).
        layers: The uncompressed tars.
        media_types: Of the layers, behind KIND.
        stored: The layers as they are stored.
    """
    edits = edits or {}
    files = {}

    def store(media_type, data, **more):
        found = descriptor(media_type, data, **more)
        files["blobs/" + found["digest"].replace(":", "/")] = data
        return found

    def document(part, value):
        value = edited(part, value)
        return value if isinstance(value, bytes) else json.dumps(value).encode()

    def edited(part, value):
        value = copy.deepcopy(value)
        changed = edits[part](value) if part in edits else None
        return value if changed is None else changed

    tars = layers or [tar(directory("etc"), file("etc/motd", b"hello\n")), tar(file("new", b"x"))]
    stored = stored or [compress(tars[0], "gzip"), *(compress(each, "zstd") for each in tars[1:])]
    media_types = media_types or ["layer.v1.tar+gzip", *(["layer.v1.tar+zstd"] * len(tars[1:]))]
    config = document("config", {
        "created": "2024-02-03T04:05:06Z",
        "os": "linux",
        "architecture": "amd64",
        "config": {"Env": ["A=b"], "Labels": {"kind": "box"}, "Volumes": {"/data": {}}},
        "rootfs": {"type": "layers", "diff_ids": [digest(each) for each in tars]},
        "history": [{"created_by": "make"}] * len(tars) + [{"empty_layer": True}],
    })  # fmt: skip
    manifest = document("manifest", {
        "schemaVersion": 2,
        "mediaType": KIND + "manifest.v1+json",
        "config": store(KIND + "config.v1+json", config),
        "layers": [
            store(KIND + kind, data) for kind, data in zip(media_types, stored, strict=True)
        ],
        "annotations": {"org.opencontainers.image.created": "2024-02-03T04:05:06Z"},
    })  # fmt: skip
    index = document("index", {
        "schemaVersion": 2,
        "mediaType": KIND + "index.v1+json",
        "manifests": [
            store(
                KIND + "manifest.v1+json", manifest,
                platform={"os": "linux", "architecture": "amd64"},
                annotations={"org.opencontainers.image.ref.name": "v1.0"},
            ),
            store("text/plain", NOTES, urls=["https://example.com/notes"]),
        ],
    })  # fmt: skip
    files["index.json"] = index
    files["oci-layout"] = document("layout", {"imageLayoutVersion": "1.0.0"})
    return driver_of(edited("files", files))


def driver_of(files):
    driver = MemoryDriver()
    driver.files = {path: MemoryFile(data=data, mode=0o644) for path, data in files.items()}
    return driver


def write_to(driver, place):
    """The files of a driver in memory, in a directory."""
    for path, found in driver.files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(found.data)
    return place
