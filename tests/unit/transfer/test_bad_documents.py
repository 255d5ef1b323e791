"""Images whose documents are not what they should be: one clear line, a store as before."""

import json
import os

import pytest

from support.images import ImageBuilder, digest, directory, file
from support.stores import store_with_image

LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("bad-documents")


@pytest.fixture(scope="module")
def store(place):
    """A store with one good image; every test leaves it as it was, and usable."""
    with store_with_image(place, driver="directory") as store:
        yield store


@pytest.fixture
def builder():
    return (
        ImageBuilder()
        .layer(directory("bin"), file("bin/sh", os.urandom(3000)))
        .layer(file("bin/ls", os.urandom(200_000)))
    )


def rewrite(path, change):
    """Change a JSON file."""
    document = json.loads(path.read_bytes())
    changed = change(document)
    path.write_text(json.dumps(document if changed is None else changed))


def put(layout, data, media_type):
    """Add a blob to a layout."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    (layout.path / "blobs/sha256" / digest(raw)[7:]).write_bytes(raw)
    return {"mediaType": media_type, "digest": digest(raw), "size": len(raw)}


def retarget(layout, data, media_type):
    """Let the layout's only name mean another document."""
    descriptor = put(layout, data, media_type)
    annotations = {"org.opencontainers.image.ref.name": layout.tag}
    index = {"schemaVersion": 2, "manifests": [{**descriptor, "annotations": annotations}]}
    (layout.path / "index.json").write_text(json.dumps(index))


def nested(layout, change=lambda entry: entry):
    """Put an index between the name and the manifest, with a changed entry."""
    entry = {key: layout.manifest[key] for key in ("mediaType", "digest", "size")}
    entry["platform"] = {"os": "linux", "architecture": "amd64"}
    retarget(layout, {"schemaVersion": 2, "manifests": [change(entry)]}, INDEX)


PLACES = ["manifest", "config", "layer 0", "layer 1"]


def descriptor_at(layout, what):
    manifest = json.loads(layout.blob(layout.manifest).read_bytes())
    if what == "manifest":
        return layout.manifest
    return manifest["config"] if what == "config" else manifest["layers"][int(what[-1])]


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "missing": (lambda path: path.unlink(), 3),
    "empty": (lambda path: path.write_bytes(b""), 4),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-1]), 4),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), 4),
    "flipped": (flip, 4),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("what", PLACES)
def test_blob(tmp_path, store, builder, what, damage):
    layout = builder.write(tmp_path / "image")
    descriptor = descriptor_at(layout, what)
    change, code = DAMAGES[damage]
    change(layout.blob(descriptor))
    store.refuses(layout.source, code=code, says=descriptor["digest"][7:])


OTHER = digest(b"something else")
WRONG = {
    "larger": lambda entry: entry | {"size": entry["size"] + 1},
    "smaller": lambda entry: entry | {"size": entry["size"] - 1},
    "huge": lambda entry: entry | {"size": 2**62},
    "empty": lambda entry: entry | {"size": 0},
    "other": lambda entry: entry | {"digest": OTHER},
}


def expected_code(wrong):
    return 3 if wrong == "other" else 4


@pytest.mark.parametrize("wrong", WRONG)
def test_descriptor_in_layout(tmp_path, store, builder, wrong):
    layout = builder.write(tmp_path / "image")

    def change(index):
        index["manifests"] = [WRONG[wrong](entry) for entry in index["manifests"]]

    rewrite(layout.path / "index.json", change)
    store.refuses(layout.source, code=expected_code(wrong))


@pytest.mark.parametrize("wrong", WRONG)
def test_descriptor_in_index(tmp_path, store, builder, wrong):
    layout = builder.write(tmp_path / "image")
    nested(layout, WRONG[wrong])
    store.refuses(layout.source, code=expected_code(wrong))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("what", ["config", 0, 1])
def test_descriptor_in_manifest(tmp_path, store, builder, what, wrong):
    def change(manifest):
        if what == "config":
            manifest["config"] = WRONG[wrong](manifest["config"])
        else:
            manifest["layers"][what] = WRONG[wrong](manifest["layers"][what])

    layout = builder.write(tmp_path / "image", change=change)
    store.refuses(layout.source, code=expected_code(wrong))


@pytest.mark.parametrize("wrong", [0, 1])
def test_layers_of_same_content_with_other_sizes(tmp_path, store, builder, wrong):
    """One of two descriptors of one blob lies; which of them comes first must not matter."""

    def change(manifest):
        first = manifest["layers"][1]
        manifest["layers"].append(first)
        manifest["layers"][1 + wrong] = first | {"size": 1}

    diff_ids(builder, lambda ids: [*ids, ids[1]])
    layout = builder.write(tmp_path / "image", change=change)
    store.refuses(layout.source, code=4)


def diff_ids(builder, change):
    ids = [digest(tar) for tar in builder.tars]
    builder.config = {"rootfs": {"type": "layers", "diff_ids": change(ids)}}


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda ids: [ids[0], OTHER], 4, "the uncompressed layer is not what the image's config"),
        (lambda ids: [OTHER, ids[1]], 4, OTHER),
        (lambda ids: ids[::-1], 4, ""),
        (lambda ids: ids[:1], 1, "diff_ids"),
        (lambda ids: [*ids, OTHER], 1, "diff_ids"),
        (lambda ids: [], 1, "diff_ids"),
        (lambda ids: [ids[0], "sha256:../../../etc/passwd"], 1, "diff_ids[1]"),
        (lambda ids: [ids[0], "md5:d41d8cd98f00b204e9800998ecf8427e"], 1, "md5"),
        (lambda ids: "none", 1, "diff_ids"),
    ],
)
def test_diff_ids(tmp_path, store, builder, change, code, says):
    diff_ids(builder, change)
    store.refuses(builder.write(tmp_path / "image").source, code=code, says=says)


def test_size_of_a_layer_that_is_stored(tmp_path, store, builder):
    """A manifest that lies about a layer is refused, though nothing had to be fetched."""

    def change(manifest):
        manifest["layers"][0]["size"] += 1

    layout = builder.write(tmp_path / "image")
    image = store.pull(layout.source, "--tag", "whole:1")
    lying = builder.write(tmp_path / "image", tag="lying", change=change)
    store.refuses(lying.source, code=4, says=layout.layers[0]["digest"])
    assert store.orlop("cat", image, "/bin/sh").code == 0
    store.orlop("rm", "whole:1")
    store.collect()


def test_damaged_layer_is_told_apart_from_wrong_diff_id(tmp_path, store, builder):
    """A blob that is not what its digest says is the fault of its bytes, not of the config."""
    layout = builder.write(tmp_path / "image")
    path = layout.blob(layout.layers[1])
    data = bytearray(path.read_bytes())
    data[-8] ^= 1  # The gzip trailer's CRC.
    path.write_bytes(data)
    store.refuses(layout.source, code=4, says=layout.layers[1]["digest"][7:])


SHAPES = [
    (b"", "JSON"),
    (b"{", "JSON"),
    (b"[]", "object"),
    (b"null", "object"),
    (b"\xff\xfe{}", ""),
    (b"{}", "schemaVersion"),
    (b'{"schemaVersion": 3}', "schemaVersion"),
    (b'{"schemaVersion": 2, "schemaVersion": 2}', "schemaVersion"),
    (b'{"schemaVersion": 2, "size": NaN}', ""),
    (b'{"schemaVersion": 2, "config": 1, "layers": []}', "config"),
    (b'{"schemaVersion": 2, "config": {}, "layers": {}}', ""),
    (b'{"schemaVersion": 2, "layers": [], "manifests": []}', ""),
    (b"[" * 100_000, ""),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, ""),
    (b" " * (5 << 20), ""),
]


@pytest.mark.parametrize(("raw", "says"), SHAPES)
def test_shape_of_manifest(tmp_path, store, builder, raw, says):
    layout = builder.write(tmp_path / "image")
    retarget(layout, raw, "application/vnd.oci.image.manifest.v1+json")
    store.refuses(layout.source, code=1, says=says)


@pytest.mark.parametrize(("raw", "says"), [case for case in SHAPES if b"config" not in case[0]])
def test_shape_of_index(tmp_path, store, builder, raw, says):
    layout = builder.write(tmp_path / "image")
    retarget(layout, raw, INDEX)
    store.refuses(layout.source, code=1, says=says)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"rootfs": 1}',
        b'{"os": "linux", "architecture": "amd64"}',
        b'{"os": "linux", "architecture": "amd64", "rootfs": {"type": "tar", "diff_ids": []}}',
        b'{"os": 1, "architecture": [], "rootfs": {"type": "layers", "diff_ids": []}}',
        b'{"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [1]}}',
        b'{"os":"linux","architecture":"a","config":7,"rootfs":{"type":"layers","diff_ids":[]}}',
    ],
)
def test_shape_of_config(tmp_path, store, builder, raw):
    layout = builder.write(tmp_path / "image")

    def change(manifest):
        manifest["config"] = put(layout, raw, manifest["config"]["mediaType"])
        if raw.count(b"[]"):
            manifest["layers"] = []

    layout = builder.write(tmp_path / "image", tag="bad", change=change)
    store.refuses(layout.source, code=1)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"schemaVersion":2,"manifests":7}'])
def test_shape_of_layout(tmp_path, store, builder, raw):
    layout = builder.write(tmp_path / "image")
    (layout.path / "index.json").write_bytes(raw)
    store.refuses(layout.source, code=1)


def test_missing_places(tmp_path, store, builder):
    layout = builder.write(tmp_path / "image")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"no archive")
    store.refuses(f"oci:{tmp_path}/nowhere", code=3, says="nowhere")
    store.refuses(f"oci:{layout.path}:v2", code=3, says="v2")
    store.refuses(f"oci-archive:{tmp_path}/nothing", code=3, says="nothing")
    store.refuses(f"docker-archive:{tmp_path}/nothing", code=3, says="nothing")
    store.refuses(f"dir:{tmp_path}/nowhere", code=3, says="nowhere")
    store.refuses(f"oci:{tmp_path}/empty", code=1, says="empty")
    store.refuses(f"oci-archive:{tmp_path}/file", code=1, says="file")
    store.refuses("oci:", code=2)
    store.refuses("a//b", code=2)


def test_platform_is_not_there(tmp_path, store, builder):
    layout = builder.write(tmp_path / "image")
    nested(layout)
    done = store.refuses(layout.source, "--platform", "linux/s390x", code=3, says="linux/s390x")
    assert "linux/amd64" in done.err.splitlines()[1]
    store.refuses(layout.source, "--platform", "linux/amd64/v1/more", code=2)


def test_platform_of_a_single_image(tmp_path, store, builder):
    layout = builder.write(tmp_path / "image")
    store.refuses(layout.source, "--platform", "linux/s390x", code=3, says="linux/s390x")


def test_config_of_another_platform_than_its_index_says(tmp_path, store):
    builder = ImageBuilder(platform=("linux", "s390x")).layer(file("a", b"a"))
    layout = builder.write(tmp_path / "image")
    nested(layout)
    store.refuses(layout.source, "--platform", "linux/amd64", code=3, says="linux/s390x")


def test_schema_1(tmp_path, store, builder):
    layout = builder.write(tmp_path / "image")
    document = {"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": [], "history": []}
    for kind in ("manifest.v1+json", "manifest.v1+prettyjws"):
        retarget(layout, document, f"application/vnd.docker.distribution.{kind}")
        store.refuses(layout.source, code=1, says="schema")
    retarget(layout, document, "application/vnd.oci.image.manifest.v1+json")
    store.refuses(layout.source, code=1, says="schema")


def test_artifact(tmp_path, store, builder):
    layout = builder.write(tmp_path / "image")
    empty = put(layout, b"{}", "application/vnd.oci.empty.v1+json")
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example.sbom",
        "config": empty,
        "layers": [empty],
    }
    retarget(layout, document, document["mediaType"])
    store.refuses(layout.source, code=1, says="application/vnd.example.sbom")


@pytest.mark.parametrize(
    ("media_type", "says"),
    [
        (f"{LAYER}+gzip+encrypted", "encrypted"),
        (f"{LAYER}+encrypted", "encrypted"),
        ("application/vnd.erofs.layer.v1", "filesystem image"),
        ("application/vnd.in-toto+json", "application/vnd.in-toto+json"),
        ("text/plain", "text/plain"),
    ],
)
def test_layer_media_types(tmp_path, store, builder, media_type, says):
    def change(manifest):
        manifest["layers"][0]["mediaType"] = media_type

    store.refuses(builder.write(tmp_path / "image", change=change).source, code=1, says=says)


def test_deep_indexes(tmp_path, store, builder):
    layout = builder.write(tmp_path / "image")
    entry = {key: layout.manifest[key] for key in ("mediaType", "digest", "size")}
    for _ in range(40):
        entry = put(layout, {"schemaVersion": 2, "manifests": [entry]}, INDEX)
    raw = layout.blob(entry).read_bytes()
    retarget(layout, raw, INDEX)
    store.refuses(layout.source, code=1, says="too deep")
