import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from orlop.digest import Digest
from orlop.errors import (
    AmbiguousError,
    DigestMismatchError,
    InvalidError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.layout import Place, list_images, open_source
from orlop.spec.document import decode_document


def opened(path, selector=None):
    return open_source(Place(transport="oci", path=path, selector=selector))


def read_everything(source):
    """The bytes of every blob below a manifest, in its order."""
    target = source.resolve()
    manifest = decode_document(source.read(target), target.media_type)
    blobs = [source.read(target), source.read(manifest.config)]
    for layer in manifest.layers:
        with source.open(layer) as stream:
            blobs.append(b"".join(iter(lambda stream=stream: stream.read(777), b"")))
    return blobs


def test_the_only_image_needs_no_selector(layout, image):
    with opened(layout((image, {}))) as source:
        assert source.names == ()
        assert source.resolve().digest == Digest.of(image.manifest)
        assert read_everything(source) == image.blobs


@pytest.mark.parametrize("selector", ["v2", "@1", "localhost/b:v2"])
def test_a_selector_chooses_by_tag_position_and_containerd_name(layout, kit, selector):
    one, two = kit.Image("one"), kit.Image("two")
    path = layout((one, {"ref": "v1"}), (two, {"ref": "v2", "containerd": "localhost/b:v2"}))
    with opened(path, selector) as source:
        assert source.names == ("localhost/b:v2",)
        assert read_everything(source) == two.blobs


def test_a_selector_prefers_a_ref_name_to_a_containerd_name_to_the_tag_of_a_name(layout, kit):
    images = [kit.Image(name) for name in "abc"]
    annotations = [
        {"ref": "quay.io/x/y:v1"},
        {"ref": "other", "containerd": "quay.io/x/z:v1"},
        {"ref": "v1"},
    ]
    chosen = []
    for kept in (3, 2, 1):
        path = layout(*list(zip(images, annotations, strict=True))[:kept], name=f"layout{kept}")
        with opened(path, "v1" if kept != 2 else "quay.io/x/z:v1") as source:
            chosen.append(source.resolve().digest)
    assert chosen == [Digest.of(image.manifest) for image in reversed(images)]


def test_a_familiar_name_finds_a_full_one(layout, image):
    path = layout((image, {"containerd": "docker.io/library/debian:12", "ref": "12"}))
    with opened(path, "debian:12") as source:
        assert source.names == ("docker.io/library/debian:12",)


def test_several_names_of_one_image_are_no_ambiguity(layout, image):
    path = layout((image, {"ref": "quay.io/a/b:1"}), (image, {"ref": "quay.io/a/b:2"}))
    with opened(path) as source:
        assert source.names == ("quay.io/a/b:1", "quay.io/a/b:2")
    with opened(path, "quay.io/a/b:2") as source:
        assert source.names == ("quay.io/a/b:2",)


def test_several_images_without_selector_are_ambiguous(layout, kit):
    path = layout(
        *[(kit.Image(name), {"ref": name}) for name in ("v1", "v2")], (kit.Image("x"), {})
    )
    with pytest.raises(AmbiguousError) as caught:
        opened(path)
    assert caught.value.candidates == (f"oci:{path}:v1", f"oci:{path}:v2", f"oci:{path}:@2")
    assert caught.value.hint == f"choose one of {', '.join(caught.value.candidates)}"
    assert [image.selector for image in list_images(Place(transport="oci", path=path))] == [
        "v1", "v2", "@2",
    ]  # fmt: skip


def test_one_ref_name_of_two_images_is_ambiguous_and_chosen_by_position(layout, kit):
    one, two = kit.Image("one"), kit.Image("two")
    path = layout((one, {"ref": "latest"}), (two, {"ref": "latest"}))
    with pytest.raises(AmbiguousError) as caught:
        opened(path, "latest")
    assert [text.rpartition(":")[2] for text in caught.value.candidates] == ["@0", "@1"]
    with opened(path, "@1") as source:
        assert read_everything(source) == two.blobs


def test_an_unknown_selector_lists_what_is_there(layout, kit):
    path = layout(*[(kit.Image(str(n)), {"ref": f"v{n}"}) for n in range(12)])
    with pytest.raises(NotFoundError, match="holds no v12") as caught:
        opened(path, "v12")
    assert "v0, v1" in caught.value.hint
    assert "2 more" in caught.value.hint
    with pytest.raises(NotFoundError, match="holds no @12") as caught:
        opened(path, "@12")
    assert caught.value.hint == "its last image is @11"


def test_a_layout_without_images_holds_none(layout):
    for selector in (None, "latest", "@0"):
        with pytest.raises(NotFoundError, match="holds no"):
            opened(layout(), selector)


def test_a_nested_index_is_left_to_the_caller(tmp_path, kit, image):
    nested = kit.encode(
        {"schemaVersion": 2, "mediaType": kit.INDEX, "manifests": [image.described()]}
    )
    described = kit.describe(kit.INDEX, nested, annotations={"x": "y"})
    path = kit.write_files(tmp_path / "l", kit.layout_files([described], [nested, *image.blobs]))
    with opened(path) as source:
        assert source.resolve().media_type == kit.INDEX
        assert source.resolve().annotations == {"x": "y"}
        assert source.read(source.resolve()) == nested


def test_a_stream_begins_at_its_offset(layout, image):
    with opened(layout((image, {}))) as source:
        layer = decode_document(image.manifest, None).layers[0]
        with source.open(layer, 500) as stream:
            assert stream.offset == 500
            assert stream.read(10) == image.layers[0][500:510]
            assert stream.read(10) == image.layers[0][510:520]
        with source.open(layer, layer.size) as stream:
            assert stream.read(10) == b""
        for offset in (-1, layer.size + 1):
            with pytest.raises(ValueError, match="outside"):
                source.open(layer, offset)


def test_many_threads_read_at_once(layout, kit):
    image = kit.Image("many", layers=8)
    with opened(layout((image, {}))) as source, ThreadPoolExecutor(8) as pool:
        for blobs in pool.map(lambda _: read_everything(source), range(24)):
            assert blobs == image.blobs


def test_a_stream_outlives_its_source(layout, image):
    source = opened(layout((image, {})))
    layer = decode_document(image.manifest, None).layers[0]
    with source.open(layer) as stream:
        source.close()
        source.close()
        assert stream.read(1 << 20) == image.layers[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("oci-layout", None),
        ("oci-layout", b""),
        ("oci-layout", b"{}"),
        ("oci-layout", b'{"imageLayoutVersion": 1}'),
        ("index.json", None),
        ("index.json", b""),
        ("index.json", b'{"schemaVersion": 2, "manifests": ['),
        ("index.json", b'{"schemaVersion": 2, "manifests": {}}'),
        ("index.json", b"\xff\xfe"),
    ],
)
def test_a_broken_layout_is_refused_by_file(layout, image, name, content):
    path = layout((image, {}))
    (path / name).unlink() if content is None else (path / name).write_bytes(content)
    with pytest.raises(InvalidError, match=name):
        opened(path)


def test_a_later_layout_version_is_unsupported(layout, image):
    path = layout((image, {}))
    (path / "oci-layout").write_bytes(b'{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(UnsupportedError, match=r"2\.0\.0"):
        opened(path)


@pytest.mark.parametrize(
    ("name", "limit", "most"),
    [
        ("oci-layout", "MAX_LAYOUT_SIZE", 64 << 10),
        ("index.json", "MAX_INDEX_SIZE", 16 << 20),
    ],
)
def test_an_oversized_file_is_not_read(layout, image, name, limit, most):
    path = layout((image, {}))
    with (path / name).open("ab") as file:
        file.truncate(most + 1)
    with pytest.raises(LimitExceededError, match=name) as caught:
        opened(path)
    assert (caught.value.limit, caught.value.value) == (limit, most)


@pytest.mark.parametrize(
    "digest", ["sha256:../../../etc/passwd", "../x:abc", "sha256:abc", "sha256:" + "A" * 64]
)
def test_a_path_in_place_of_a_digest_is_refused(tmp_path, kit, image, digest):
    described = {**image.described(), "digest": digest}
    path = kit.write_files(tmp_path / "l", kit.layout_files([described], image.blobs))
    with pytest.raises(InvalidError, match="digest"):
        opened(path)


def test_a_path_in_place_of_a_ref_name_chooses_nothing(layout, image):
    path = layout((image, {"ref": "../../etc/passwd"}))
    with opened(path) as source:
        assert source.names == ()
    listed = list_images(Place(transport="oci", path=path))
    assert [(image.selector, image.names) for image in listed] == [("@0", ())]


def test_a_descriptor_that_lies_about_its_size_is_refused(layout, image):
    with opened(layout((image, {}))) as source:
        manifest = source.resolve()
        layer = decode_document(image.manifest, None).layers[0]
        for change in (1, -1):
            with pytest.raises(SizeMismatchError):
                source.read(replace(manifest, size=manifest.size + change))
            with pytest.raises(SizeMismatchError):
                source.open(replace(layer, size=layer.size + change))


def test_a_document_over_the_limit_is_not_read(layout, image):
    path = layout((image, {}))
    with opened(path) as source:
        size = (4 << 20) + 1
        os.truncate(path / "blobs" / "sha256" / source.resolve().digest.encoded, size)
        with pytest.raises(LimitExceededError) as caught:
            source.read(replace(source.resolve(), size=size))
        assert caught.value.limit == "MAX_DOCUMENT_SIZE"


def test_changed_content_is_refused(layout, image):
    path = layout((image, {}))
    with opened(path) as source:
        target = source.resolve()
        blob = path / "blobs" / "sha256" / target.digest.encoded
        blob.write_bytes(blob.read_bytes()[:-1] + b" ")
        with pytest.raises(DigestMismatchError):
            source.read(target)


def test_a_digest_of_an_unknown_algorithm_cannot_be_verified(tmp_path, kit, image):
    described = {**image.described(), "digest": "md5:abc"}
    files = kit.layout_files([described], [])
    files["blobs/md5/abc"] = image.manifest
    source = opened(kit.write_files(tmp_path / "l", files))
    with source, pytest.raises(UnsupportedError, match="md5"):
        source.read(source.resolve())


def test_a_missing_blob_is_not_found(layout, image):
    path = layout((image, {}))
    with opened(path) as source:
        target = source.resolve()
        (path / "blobs" / "sha256" / target.digest.encoded).unlink()
        with pytest.raises(NotFoundError, match=target.digest):
            source.read(target)


def test_a_blob_that_is_a_symbolic_link_is_refused(layout, image, tmp_path):
    path = layout((image, {}))
    with opened(path) as source:
        blob = path / "blobs" / "sha256" / source.resolve().digest.encoded
        blob.rename(tmp_path / "elsewhere")
        blob.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UnsafePathError, match="symbolic link"):
            source.read(source.resolve())


def test_unknown_annotations_and_platforms_survive(tmp_path, kit, image):
    platform = {"os": "linux", "architecture": "arm64"}
    described = {**image.described(), "platform": platform, "annotations": {"vendor": "x"}}
    path = kit.write_files(tmp_path / "l", kit.layout_files([described], image.blobs))
    with opened(path) as source:
        assert json.loads(json.dumps(source.resolve().encode())) == described
