import pytest

from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    UnsupportedError,
)
from orlop.layout import Place, list_images, open_source
from orlop.spec.document import decode_document

VERSION = b"Directory Transport Version: 1.1\n"


@pytest.fixture
def place(tmp_path, kit, image):
    files = {kit.hex_of(blob): blob for blob in (image.config, *image.layers)}
    files |= {"version": VERSION, "manifest.json": image.manifest}
    return Place(transport="dir", path=kit.write_files(tmp_path / "d", files))


def test_an_image_is_read_byte_for_byte(place, image):
    with open_source(place) as source:
        target = source.resolve()
        assert (target.digest, source.names) == (Digest.of(image.manifest), ())
        manifest = decode_document(source.read(target), target.media_type)
        assert source.read(manifest.config) == image.config
        for layer, data in zip(manifest.layers, image.layers, strict=True):
            with source.open(layer, 100) as stream:
                assert stream.offset == 100
                assert stream.read(1 << 20) == data[100:]


def test_the_manifest_may_be_streamed(place, image):
    with open_source(place) as source, source.open(source.resolve(), 10) as stream:
        assert stream.read(1 << 20) == image.manifest[10:]
        assert stream.read(1 << 20) == b""


def test_manifests_below_an_index_have_a_suffix(place, kit, image):
    index = kit.encode(
        {"schemaVersion": 2, "mediaType": kit.INDEX, "manifests": [image.described()]}
    )
    (place.path / "manifest.json").write_bytes(index)
    (place.path / f"{kit.hex_of(image.manifest)}.manifest.json").write_bytes(image.manifest)
    with open_source(place) as source:
        assert source.resolve().media_type == kit.INDEX
        child = decode_document(source.read(source.resolve()), kit.INDEX).manifests[0]
        assert source.read(child) == image.manifest


def test_blobs_of_another_algorithm_have_it_in_their_names(place, kit, image):
    digest = Digest.of(image.config, "sha512")
    config = {**kit.describe("application/vnd.oci.image.config.v1+json", image.config)}
    document = {"schemaVersion": 2, "mediaType": kit.MANIFEST, "layers": []}
    manifest = kit.encode({**document, "config": {**config, "digest": digest}})
    (place.path / "manifest.json").write_bytes(manifest)
    (place.path / f"sha512-{digest.encoded}").write_bytes(image.config)
    with open_source(place) as source:
        assert source.read(decode_document(manifest).config) == image.config


def test_a_directory_holds_one_image_without_a_name(place):
    (listed,) = list_images(place)
    assert listed.names == ()
    with open_source(place) as source:
        assert listed.descriptor == source.resolve()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("version", None),
        ("version", b""),
        ("version", b"Directory Transport Version: 1.0\n"),
        ("version", b"Directory Transport Version: 2.0\n"),
        ("version", VERSION * 2),
        ("manifest.json", None),
        ("manifest.json", b""),
        ("manifest.json", b"[]"),
        ("manifest.json", b'{"schemaVersion": 2}'),
    ],
)
def test_a_broken_directory_is_refused_by_file(place, name, content):
    path = place.path / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InvalidDocumentError, match=name):
        open_source(place)


def test_a_layout_in_place_of_it_is_told(layout, image):
    path = layout((image, {}))
    with pytest.raises(InvalidDocumentError, match="version") as caught:
        open_source(Place(transport="dir", path=path))
    assert caught.value.hint == f"write oci:{path}"


def test_a_manifest_of_schema_1_is_unsupported(place):
    (place.path / "manifest.json").write_bytes(b'{"schemaVersion": 1, "fsLayers": []}')
    with pytest.raises(UnsupportedError, match="schema 1"):
        open_source(place)


@pytest.mark.parametrize(
    ("name", "limit", "most"),
    [("version", "MAX_VERSION_SIZE", 256), ("manifest.json", "MAX_DOCUMENT_SIZE", 4 << 20)],
)
def test_an_oversized_file_is_not_read(place, name, limit, most):
    with (place.path / name).open("ab") as file:
        file.truncate(most + 1)
    with pytest.raises(LimitExceededError, match=name) as caught:
        open_source(place)
    assert (caught.value.limit, caught.value.value) == (limit, most)


def test_missing_and_changed_blobs_are_found(place, kit, image):
    with open_source(place) as source:
        config = decode_document(image.manifest).config
        path = place.path / kit.hex_of(image.config)
        path.write_bytes(image.config[:-1] + b" ")
        with pytest.raises(DigestMismatchError):
            source.read(config)
        path.unlink()
        with pytest.raises(NotFoundError, match=str(config.digest)):
            source.read(config)
