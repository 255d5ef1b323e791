"""Small OCI layouts out of lists of tar members.

layout = ImageBuilder().layer(directory("etc"), file("etc/motd")).write(tmp_path / "image")
store.pull(layout.source)
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

KIND = "application/vnd.oci.image."
PAX = tarfile.PAX_FORMAT


def member(name, kind, **attributes):
    """A TarInfo with these attributes, and its data."""
    info = tarfile.TarInfo(name)
    info.type = kind
    data = attributes.pop("data", b"")
    info.size = len(data)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def file(name, data=b"", mode=0o644, **attributes):
    return member(name, tarfile.REGTYPE, data=data, mode=mode, **attributes)


def directory(name, mode=0o755, **attributes):
    return member(name, tarfile.DIRTYPE, mode=mode, **attributes)


def symlink(name, target, **attributes):
    return member(name, tarfile.SYMTYPE, linkname=target, mode=0o777, **attributes)


def hardlink(name, target):
    return member(name, tarfile.LNKTYPE, linkname=target)


def device(name, major, minor, kind=tarfile.CHRTYPE, **attributes):
    return member(name, kind, devmajor=major, devminor=minor, **attributes)


def fifo(name, **attributes):
    return member(name, tarfile.FIFOTYPE, **attributes)


def whiteout(path):
    folder, _, name = path.rpartition("/")
    return file(f"{folder}/.wh.{name}" if folder else f".wh.{name}")


def opaque(path):
    return file(f"{path}/.wh..wh..opq")


def tar(*members, format=PAX):  # noqa: A002
    """The members as an uncompressed tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def compress(data, how):
    """The data compressed as `gzip`, `zstd` or `none`."""
    if how == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if how == "zstd":
        try:
            from compression import zstd
        except ImportError:
            from backports import zstd
        return zstd.compress(data)
    return data


@dataclass
class Layout:
    """A written layout.

    Attributes:
        path: Its directory.
        tag: The ref.name of its image.
        manifest: The manifest's descriptor.
        layers: The layers' descriptors.
        diff_ids: The layers' diffIDs.
    """

    path: Path
    tag: str
    manifest: dict
    layers: list
    diff_ids: list

    @property
    def source(self):
        return f"oci:{self.path}:{self.tag}"

    def blob(self, descriptor):
        """The file of a blob."""
        return self.path / "blobs" / descriptor["digest"].replace(":", "/")


@dataclass
class ImageBuilder:
    """An image to be: layers, config and platform; each part can be made wrong on purpose."""

    compression: str = "gzip"
    platform: tuple = ("linux", "amd64")
    config: dict = field(default_factory=dict)
    tars: list = field(default_factory=list)

    def layer(self, *members, **options):
        """Add a layer of tar members."""
        self.tars.append(tar(*members, **options))
        return self

    def raw_layer(self, data):
        """Add a layer of these uncompressed bytes."""
        self.tars.append(data)
        return self

    def write(self, path, tag="latest", *, change=None, **annotations):
        """Write the image into a layout, beside the images that are there.

        Args:
            path: The layout's directory.
            tag: Its ref.name.
            change: Called with the manifest document before it is written.
            annotations: More annotations of its descriptor in the index.
        """
        path = Path(path)
        (path / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        stored = [compress(data, self.compression) for data in self.tars]
        suffix = "" if self.compression == "none" else f"+{self.compression}"
        layers = [self._put(path, KIND + f"layer.v1.tar{suffix}", data) for data in stored]
        diff_ids = [digest(data) for data in self.tars]
        os, architecture = self.platform
        document = {
            "schemaVersion": 2,
            "mediaType": KIND + "manifest.v1+json",
            "config": self._put_json(
                path,
                KIND + "config.v1+json",
                {
                    "os": os,
                    "architecture": architecture,
                    "rootfs": {"type": "layers", "diff_ids": diff_ids},
                    **self.config,
                },
            ),
            "layers": layers,
        }
        if change:
            change(document)
        manifest = self._put_json(path, KIND + "manifest.v1+json", document)
        manifest["annotations"] = {"org.opencontainers.image.ref.name": tag, **annotations}
        index_path = path / "index.json"
        index = {"schemaVersion": 2, "mediaType": KIND + "index.v1+json", "manifests": []}
        if index_path.exists():
            index = json.loads(index_path.read_bytes())
        index["manifests"].append(manifest)
        index_path.write_text(json.dumps(index))
        (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        return Layout(path, tag, manifest, layers, diff_ids)

    @staticmethod
    def _put(path, media_type, data):
        name = digest(data)
        (path / "blobs/sha256" / name[7:]).write_bytes(data)
        return {"mediaType": media_type, "digest": name, "size": len(data)}

    def _put_json(self, path, media_type, document):
        return self._put(path, media_type, json.dumps(document).encode())


def with_more_fields(document):
    """Give a manifest fields that are no matter of its layers, unknown ones among them."""
    document["artifactType"] = "application/vnd.example.thing"
    document["annotations"] = {"noted": "yes"}
    document["subject"] = {
        "mediaType": KIND + "manifest.v1+json", "digest": digest(b"subject"), "size": 7
    }  # fmt: skip
    document["x-unknown"] = {"kept": True}
    document["config"]["annotations"] = {"of": "config"}
    document["config"]["x-unknown"] = [1]


def join_platforms(path, tag="all"):
    """Put all images of a layout, whose tags are architectures, into one index; what names it.

    Returns:
        The index's descriptor; the layout has no other image then.
    """
    path = Path(path)
    index = json.loads((path / "index.json").read_bytes())
    for child in index["manifests"]:
        architecture = child.pop("annotations")["org.opencontainers.image.ref.name"]
        child["platform"] = {"os": "linux", "architecture": architecture}
    data = json.dumps(index).encode()
    (path / "blobs/sha256" / digest(data)[7:]).write_bytes(data)
    top = {"mediaType": KIND + "index.v1+json", "digest": digest(data), "size": len(data)}
    top["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (path / "index.json").write_text(json.dumps({**index, "manifests": [top]}))
    return top
