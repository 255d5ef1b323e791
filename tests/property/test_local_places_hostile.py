import gzip
import hashlib
import io
import json
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.errors import InvalidReferenceError, OrlopError
from orlop.layout import Place, fallback_name, list_images, open_source, parse_place
from orlop.reference import Reference
from orlop.spec.document import decode_document
from orlop.spec.manifest import Manifest


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def describe(kind, data):
    media_type = f"application/vnd.oci.image.{kind}"
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def saved_archive():
    """An archive of Docker's that is a layout as well, with links, of one image."""
    layer = bytes(1024)
    config = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": describe("config.v1+json", config),
            "layers": [describe("layer.v1.tar", layer)],
        }
    ).encode()
    index = {"schemaVersion": 2, "manifests": [describe("manifest.v1+json", manifest)]}
    saved = [{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["v1/layer.tar"]}]
    members = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(index).encode(),
        "c.json": config,
        "manifest.json": json.dumps(saved).encode(),
        **{f"blobs/sha256/{digest(data)[7:]}": data for data in (layer, config, manifest)},
    }
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("v1/layer.tar")
        link.type = tarfile.SYMTYPE
        link.linkname = f"../blobs/sha256/{digest(layer)[7:]}"
        tar.addfile(link)
    return output.getvalue()


ARCHIVE = saved_archive()
changes = st.lists(
    st.tuples(st.integers(0, len(ARCHIVE) - 1), st.binary(min_size=1, max_size=16)), max_size=4
)
words = st.sampled_from(
    [b"..", b"/", b"../", b"\0", b"null", b"[]", b"{}", b"1", b"2", b"5", b"L", b"x", b"c.json"]
)
aimed = st.lists(st.tuples(st.integers(0, len(ARCHIVE) - 1), words), max_size=4)


def read_everything(place, spool):
    list_images(place, spool=spool)
    with open_source(place, spool=spool) as source:
        target = source.resolve()
        document = decode_document(source.read(target), target.media_type)
        assert isinstance(document, Manifest)
        source.read(document.config)
        for layer in document.layers:
            with source.open(layer) as stream:
                while stream.read(1 << 16):
                    pass


def test_the_archive_itself_is_read(tmp_path):
    (tmp_path / "a.tar").write_bytes(ARCHIVE)
    for transport in ("docker-archive", "oci-archive"):
        read_everything(Place(transport=transport, path=tmp_path / "a.tar"), tmp_path)


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.one_of(changes, aimed), end=st.integers(0, len(ARCHIVE)), cut=st.booleans())
def test_whatever_is_in_an_archive_ends_in_content_or_in_an_error_of_ours(
    tmp_path, transport, changes, end, cut
):
    """All bad input ends in an error class of `errors`."""
    data = bytearray(ARCHIVE)
    for offset, piece in changes:
        data[offset : offset + len(piece)] = piece
    path = tmp_path / "a.tar"
    path.write_bytes(data[:end] if cut else data)
    try:
        read_everything(Place(transport=transport, path=path), tmp_path)
    except OrlopError:
        pass


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=3))
def test_whatever_is_in_a_compressed_archive_ends_in_content_or_in_an_error_of_ours(
    tmp_path, changes
):
    """All bad input ends in an error class of `errors`."""
    data = bytearray(gzip.compress(ARCHIVE, mtime=0))
    for offset, byte in changes:
        data[offset % len(data)] = byte
    path = tmp_path / "a.tar.gz"
    path.write_bytes(data)
    try:
        read_everything(Place(transport="docker-archive", path=path), tmp_path)
    except OrlopError:
        pass


@given(text=st.text())
def test_a_text_is_a_place_that_prints_as_it_was_written_or_is_refused(text):
    """Everything after the first colon of the path is the selector."""
    for transport in ("oci", "oci-archive", "docker-archive", "dir"):
        try:
            place = parse_place(f"{transport}:{text}")
        except InvalidReferenceError:
            continue
        assert parse_place(str(place)) == place


@given(path=st.text(min_size=1).filter(lambda text: "\0" not in text), tag=st.text())
def test_every_image_without_a_name_gets_a_valid_one(path, tag):
    """A name is a reference of the grammar, whatever the file is called."""
    place = parse_place(f"dir:{path}")
    assert str(Reference.parse(fallback_name(place, tag))).startswith("localhost/")
