"""Every kind of image from every kind of place to every other, byte for byte."""

import hashlib
import itertools
import json
import os

import pytest

import orlop
from orlop.digest import Digest
from orlop.errors import NotFoundError
from orlop.layout import open_source, parse_place
from orlop.mediatype import is_index
from orlop.platform import Platform
from orlop.spec.document import decode_document
from support.images import ImageBuilder, directory, file, join_platforms

PLACES = ("store", "oci", "oci-archive", "docker-archive", "dir")
HOST = Platform.of_machine(os.uname().machine).architecture
OTHER = "s390x" if HOST != "s390x" else "arm64"


def builder(compression="gzip", **more):
    return (
        ImageBuilder(compression=compression, **more)
        .layer(directory("etc"))
        .layer()
        .layer(file("etc/motd", b"hello" * 10_000))
        .layer()
    )


def docker_types(document):
    kinds = "application/vnd.docker."
    document["mediaType"] = kinds + "distribution.manifest.v2+json"
    document["config"]["mediaType"] = kinds + "container.image.v1+json"
    for layer in document["layers"]:
        layer["mediaType"] = kinds + "image.rootfs.diff.tar.gzip"


def retype(path, media_type):
    index = json.loads((path / "index.json").read_bytes())
    for each in index["manifests"]:
        each["mediaType"] = media_type
    (path / "index.json").write_text(json.dumps(index))


def of_docker(path):
    image = builder().write(path, "v1", change=docker_types)
    retype(path, "application/vnd.docker.distribution.manifest.v2+json")
    return image.manifest["digest"]


def of_sha512(path):
    """An image whose layers and config are named by SHA-512."""

    def rename(document):
        for part in (document["config"], *document["layers"]):
            old = path / "blobs/sha256" / part["digest"][7:]
            data = old.read_bytes()
            part["digest"] = "sha512:" + hashlib.sha512(data).hexdigest()
            (path / "blobs/sha512").mkdir(exist_ok=True)
            (path / "blobs/sha512" / part["digest"][7:]).write_bytes(data)

    return builder().write(path, "v1", change=rename).manifest["digest"]


def of_platforms(path):
    for architecture in (OTHER, HOST):
        builder(platform=("linux", architecture)).write(path, architecture)
    return join_platforms(path, "v1")["digest"]


IMAGES = {
    "gzip": lambda path: builder().write(path, "v1").manifest["digest"],
    "zstd": lambda path: builder("zstd").write(path, "v1").manifest["digest"],
    "none": lambda path: builder("none").write(path, "v1").manifest["digest"],
    "docker": of_docker,
    "sha512": of_sha512,
    "platforms": of_platforms,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    place = tmp_path_factory.mktemp("store")
    with orlop.open_store(place / "root", place / "run") as opened:
        yield opened


def place_of(kind, folder, number):
    if kind == "store":
        return f"store:localhost/copied:{number}"
    return f"{kind}:{folder}/{number}"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_goes_through_all_pairs_of_places(image, store, tmp_path):
    """A walk over the complete graph: each place is once copied to from each."""
    expected = IMAGES[image](tmp_path / "first")
    sources = {}
    for number, kind in enumerate(PLACES):
        sources[kind] = place_of(kind, tmp_path, f"from-{number}")
        first = f"oci:{tmp_path}/first:v1"
        copied = orlop.copy(first, sources[kind], store=store, all_platforms=True)
        assert (copied.digest, copied.notes) == (expected, ())
    for number, (one, other) in enumerate(itertools.product(PLACES, PLACES)):
        target = place_of(other, tmp_path, number)
        copied = orlop.copy(sources[one], target, store=store, all_platforms=True)
        assert (copied.digest, copied.notes) == (expected, ()), (one, other)
        if other != "store":
            assert_whole(target, expected)


def assert_whole(place, expected):
    """Everything below the image's target is there, and is what it is said to be."""
    with open_source(parse_place(place)) as source:
        pending = [source.resolve()]
        assert pending[0].digest == expected
        while pending:
            descriptor = pending.pop()
            document = decode_document(source.read(descriptor), descriptor.media_type)
            if is_index(descriptor.media_type):
                pending += document.manifests
                continue
            for part in (document.config, *document.layers):
                with source.open(part) as stream:
                    data = b"".join(iter(lambda stream=stream: stream.read(1 << 20), b""))
                assert Digest.of(data, part.digest.algorithm) == part.digest


def test_all_platforms_survive_a_collection_of_the_store(store, tmp_path):
    expected = of_platforms(tmp_path / "in")
    store.pull(f"oci:{tmp_path}/in:v1", tag="localhost/kept:1", all_platforms=True)
    store.collect()
    copied = orlop.copy(
        "store:localhost/kept:1", f"dir:{tmp_path}/out", store=store, all_platforms=True
    )
    assert copied.digest == expected
    assert_whole(f"dir:{tmp_path}/out", expected)


def test_one_stored_platform_of_an_index_is_copied_alone_and_said_so(tmp_path):
    expected = of_platforms(tmp_path / "in")
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        image = store.pull(f"oci:{tmp_path}/in:v1", tag="localhost/one:1")
        assert image.target.digest == expected
        copied = orlop.copy("store:localhost/one:1", f"oci:{tmp_path}/out", store=store)
        assert copied.digest == image.manifest_digest
        (note,) = copied.notes
        assert expected in note
        assert image.manifest_digest in note
        with pytest.raises(NotFoundError, match=f"linux/{OTHER} of {expected}"):
            orlop.copy(
                "store:localhost/one:1", f"oci:{tmp_path}/out", store=store, all_platforms=True
            )


def test_one_platform_as_asked(tmp_path):
    expected = of_platforms(tmp_path / "in")
    copied = orlop.copy(f"oci:{tmp_path}/in:v1", f"oci:{tmp_path}/out", platform=f"linux/{OTHER}")
    (note,) = copied.notes
    assert expected in note
    with open_source(parse_place(f"oci:{tmp_path}/out:v1")) as source:
        assert source.resolve().platform.architecture == OTHER
    with pytest.raises(NotFoundError, match="riscv64"):
        orlop.copy(f"oci:{tmp_path}/in:v1", f"oci:{tmp_path}/out", platform="linux/riscv64")


def test_an_index_keeps_its_digest_where_more_than_one_of_its_images_is_there(tmp_path):
    for architecture in ("amd64", "arm64", "s390x"):
        builder(platform=("linux", architecture)).layer(file(architecture)).write(
            tmp_path / "in", architecture
        )
    index = json.loads((tmp_path / "in/index.json").read_bytes())
    lost = index["manifests"][1]["digest"]
    top = join_platforms(tmp_path / "in", "v1")
    (tmp_path / "in/blobs/sha256" / lost[7:]).unlink()
    copied = orlop.copy(f"oci:{tmp_path}/in:v1", f"oci-archive:{tmp_path}/out.tar")
    assert copied.digest == top["digest"]
    (note,) = copied.notes
    assert "arm64" in note


def test_to_ocis_types_and_nothing_else_changes(store, tmp_path):
    before = of_docker(tmp_path / "in")
    for destination in (f"oci:{tmp_path}/out", "store:localhost/converted:1"):
        copied = orlop.copy(f"oci:{tmp_path}/in:v1", destination, store=store, oci=True)
        assert copied.digest != before
        (note,) = copied.notes
        assert before in note
        assert copied.digest in note
        again = orlop.copy(destination, f"dir:{tmp_path}/again", store=store, oci=True)
        assert (again.digest, again.notes) == (copied.digest, ())
    raw = (tmp_path / "again/manifest.json").read_bytes()
    original = json.loads((tmp_path / "in/blobs/sha256" / before[7:]).read_bytes())
    assert b"docker" not in raw
    digests = [part["digest"] for part in (original["config"], *original["layers"])]
    made = json.loads(raw)
    assert [part["digest"] for part in (made["config"], *made["layers"])] == digests
