"""The plain cache: references, images and layers in files, verified."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import orlop
from orlop.bundle import (
    CacheBundler,
    DigestStore,
    ImageCache,
    PullRules,
    StoreDigests,
    StoreImages,
    fetch_image,
    options,
)
from orlop.bundle.cache import verify_layer
from orlop.bundle.stored import obtain_image
from orlop.compression import DecompressionLimits
from orlop.digest import Digest
from orlop.errors import (
    AlreadyExistsError,
    DigestMismatchError,
    InvalidDigestError,
    InvalidDocumentError,
    InvalidError,
    InvalidLayerError,
    LimitExceededError,
    NotFoundError,
    UnsupportedError,
    VerificationError,
)
from orlop.spec import ImageConfig
from support.images import ImageBuilder, directory, file, hardlink, opaque, symlink, tar, whiteout

REFERENCE = "docker.io/library/debian:12"
DIGEST = Digest("sha256:" + "ab" * 32)


class MadeUp:
    """An image that says whatever it is told."""

    def __init__(self, tars, diff_ids=None, **fields):
        self.tars = tars
        diff_ids = diff_ids or [Digest.of(each) for each in tars]
        document = {
            "os": "linux", "architecture": "amd64", **fields,
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        }  # fmt: skip
        self.config = ImageConfig.decode(json.dumps(document).encode())
        self.digest = Digest.of(b"manifest of " + self.config.raw)
        self.opened = []

    def open_layer(self, number):
        import io

        self.opened.append(number)
        return io.BytesIO(self.tars[number])


def image(*layers, **config):
    builder = ImageBuilder()
    for members in layers:
        builder.layer(*members)
    return MadeUp(builder.tars, config={"Cmd": ["sh"], **config})


def files(root):
    return sorted(str(path.relative_to(root)) for path in Path(root).rglob("*") if path.is_file())


def test_a_reference_is_found_under_its_hash(tmp_path):
    digests = DigestStore(tmp_path)
    digests.write_hash(REFERENCE, DIGEST)
    name = hashlib.sha256(REFERENCE.encode()).hexdigest()
    path = tmp_path / "d/sha256" / name
    assert path.read_text() == DIGEST
    assert digests.hash(REFERENCE) == DIGEST
    assert files(tmp_path) == [f"d/sha256/{name}"]
    other = Digest("sha256:" + "cd" * 32)
    digests.write_hash(REFERENCE, other)
    assert digests.hash(REFERENCE) == other


def test_an_unknown_reference(tmp_path):
    with pytest.raises(NotFoundError, match="debian"):
        DigestStore(tmp_path).hash(REFERENCE)


@pytest.mark.parametrize(
    "text", [b"", b"sha256:", b"x" * 10_000, b"\xff", b"sha256:../../etc/passwd"]
)
def test_what_is_no_digest_is_not_believed(tmp_path, text):
    digests = DigestStore(tmp_path)
    digests.write_hash(REFERENCE, DIGEST)
    next((tmp_path / "d/sha256").iterdir()).write_bytes(text)
    with pytest.raises(InvalidDigestError):
        digests.hash(REFERENCE)


def test_an_image_lies_as_config_and_tars(tmp_path):
    """The config under the digest of the manifest, each layer uncompressed under its diffID."""
    found = image([file("a")], [file("b")])
    cache = ImageCache(tmp_path)
    cache.write_image(found)
    names = [found.digest, *found.config.diff_ids]
    assert files(tmp_path) == sorted(f"i/sha256/{each.encoded}" for each in names)
    assert (tmp_path / "i/sha256" / found.digest.encoded).read_bytes() == found.config.raw
    kept = cache.image(found.digest)
    assert kept.digest == found.digest
    assert kept.config.diff_ids == found.config.diff_ids
    for number, data in enumerate(found.tars):
        with kept.open_layer(number) as stream:
            assert stream.read() == data
        with cache.layer(found.config.diff_ids[number]).open() as stream:
            assert stream.read() == data


def test_what_is_there_is_not_fetched_again(tmp_path):
    cache = ImageCache(tmp_path)
    base = [file("base")]
    cache.write_image(image(base))
    other = image(base, [file("more")])
    cache.write_image(other)
    assert other.opened == [1]
    cache.write_image(other)
    assert other.opened == [1]


def test_a_layer_is_not_believed_on_an_images_word(tmp_path):
    """A forged config names the diffID of a layer that others have, for another tar."""
    good = image([file("f", b"good")])
    forged = MadeUp(
        [tar(file("f", b"evil"))], good.config.diff_ids, config={"Cmd": ["sh"]}, author="x"
    )
    cache = ImageCache(tmp_path)
    with pytest.raises(DigestMismatchError):
        cache.write_image(forged)
    assert files(tmp_path) == []
    with pytest.raises(NotFoundError):
        cache.layer(good.config.diff_ids[0])
    cache.write_image(good)
    assert cache.image(good.digest)


def test_a_layer_that_was_changed_is_not_used(tmp_path):
    found = image([file("f", b"good")])
    cache = ImageCache(tmp_path)
    cache.write_image(found)
    path = cache.layer(found.config.diff_ids[0]).path
    path.chmod(0o600)
    path.write_bytes(tar(file("f", b"evil")))
    with pytest.raises(VerificationError):
        CacheBundler(cache).bundle(found.digest, "demo")
    assert not (tmp_path / "c/demo").exists()


@pytest.mark.parametrize("data", [b"no tar", b"\x1f\x8b broken", tar(file("../../x"))[:700]])
def test_a_broken_layer_is_not_kept(tmp_path, data):
    with pytest.raises((InvalidLayerError, VerificationError, Exception)):
        ImageCache(tmp_path).write_image(MadeUp([data]))
    assert files(tmp_path) == []


def test_too_many_layers_are_refused_before_anything_is_written(tmp_path):
    found = image([file("a")], [file("b")], [file("c")])
    with pytest.raises(LimitExceededError) as caught:
        ImageCache(tmp_path / "cache", max_layers=2).write_image(found)
    assert caught.value.limit == "MAX_LAYERS"
    assert not (tmp_path / "cache").exists()
    assert found.opened == []
    ImageCache(tmp_path / "cache").write_image(found)
    with pytest.raises(LimitExceededError):
        ImageCache(tmp_path / "cache", max_layers=2).image(found.digest)


def test_a_layer_that_grows_too_large_is_not_kept(tmp_path):
    import gzip

    bomb = gzip.compress(bytes(64 << 20), 9)
    found = MadeUp([bomb], [DIGEST])
    cache = ImageCache(tmp_path, decompression=DecompressionLimits(max_size=1 << 20))
    with pytest.raises(LimitExceededError):
        cache.write_image(found)
    assert files(tmp_path) == []


def test_an_image_without_one_of_its_layers_is_not_there(tmp_path):
    found = image([file("a")], [file("b")])
    cache = ImageCache(tmp_path)
    cache.write_image(found)
    cache.layer(found.config.diff_ids[1]).path.unlink()
    with pytest.raises(NotFoundError, match=found.config.diff_ids[1].encoded):
        cache.image(found.digest)
    cache.write_image(found)
    assert found.opened == [0, 1, 1]


def test_a_damaged_config(tmp_path):
    found = image([file("a")])
    cache = ImageCache(tmp_path)
    cache.write_image(found)
    (tmp_path / "i/sha256" / found.digest.encoded).write_bytes(b"{}")
    with pytest.raises(InvalidDocumentError):
        _ = cache.image(found.digest).config


def test_a_digest_that_cannot_be_computed_names_no_file(tmp_path):
    with pytest.raises((UnsupportedError, InvalidDigestError)):
        ImageCache(tmp_path).layer(Digest("md9:" + "ab" * 16))


def test_several_write_the_same_image_at_once(tmp_path):
    """Each with an object of its own, as other processes have."""
    found = image(*([file(f"f{number}", os.urandom(100_000))] for number in range(4)))

    def write(_):
        ImageCache(tmp_path).write_image(MadeUp(found.tars, config={"Cmd": ["sh"]}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(16)))
    assert len(files(tmp_path)) == 5
    kept = ImageCache(tmp_path).image(found.digest)
    for layer in kept.layers():
        with layer.open() as stream:
            verify_layer(stream, layer.diff_id)


def layout(place, *layers, **config):
    builder = ImageBuilder(config={"config": {"Cmd": ["sh"], **config}})
    for members in layers:
        builder.layer(*members)
    return builder.write(place)


def caches(tmp_path, kind):
    if kind == "plain":
        return DigestStore(tmp_path / "cache"), ImageCache(tmp_path / "cache"), None
    store = orlop.open_store(tmp_path / "root", tmp_path / "run", driver="vfs")
    return StoreDigests(store), StoreImages(store), store


@pytest.mark.parametrize("kind", ["plain", "store"])
def test_images_are_fetched_as_the_rules_have_it(tmp_path, kind):
    digests, images, store = caches(tmp_path, kind)
    source = layout(tmp_path / "img", [file("f", b"1")])
    with pytest.raises(NotFoundError):
        fetch_image(digests, images, source.source, PullRules(policy="never"))
    found = fetch_image(digests, images, source.source)
    assert found.digest == source.manifest["digest"]
    with images.layer(found.config.diff_ids[0]).open() as stream:
        assert stream.read() == tar(file("f", b"1"))
    with pytest.raises(NotFoundError):
        images.layer(DIGEST)
    with pytest.raises(NotFoundError):
        images.image(DIGEST)
    again = fetch_image(digests, images, source.source, PullRules(policy="always"))
    assert again.digest == found.digest
    if kind == "plain":
        for blob in (tmp_path / "img/blobs/sha256").iterdir():
            blob.unlink()
        for policy in ("never", "missing"):
            assert fetch_image(digests, images, source.source, PullRules(policy=policy)).digest
        with pytest.raises(NotFoundError):
            fetch_image(digests, images, source.source, PullRules(policy="always"))
    if store is not None:
        assert digests.hash("localhost/cached:sha256-" + found.digest.encoded) == found.digest
        digests.write_hash("localhost/mine:1", found.digest)
        assert digests.hash("localhost/mine:1") == found.digest
        store.close()


def test_an_image_of_another_platform_is_not_taken_for_the_one_asked_for(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run", driver="vfs") as store:
        built = ImageBuilder(platform=("linux", "amd64")).layer(file("f", b"1"))
        store.pull(built.write(tmp_path / "img").source, tag="box")
        rules = PullRules(policy="never", platform="linux/amd64")
        found = obtain_image(store.storage, "box", rules)
        assert list(found.config.diff_ids) == [Digest.of(tar(file("f", b"1")))]
        with pytest.raises(NotFoundError, match="for linux/amd64, and not for linux/arm64"):
            obtain_image(store.storage, "box", replace(rules, platform="linux/arm64"))


def test_a_damaged_cache_is_an_error_and_no_reason_to_fetch(tmp_path):
    digests, images, _ = caches(tmp_path, "plain")
    source = layout(tmp_path / "img", [file("f")])
    found = fetch_image(digests, images, source.source)
    (tmp_path / "cache/i/sha256" / found.digest.encoded).write_bytes(b"damaged")
    with pytest.raises(InvalidDocumentError):
        fetch_image(digests, images, source.source)


def test_a_layer_of_a_source_is_held_against_its_descriptor(tmp_path):
    digests, images, _ = caches(tmp_path, "plain")
    source = layout(tmp_path / "img", [file("f", b"x" * 5000)])
    blob = source.blob(source.layers[0])
    data = bytearray(blob.read_bytes())
    data[8] ^= 1  # the gzip header's notes: the tar is the same
    blob.write_bytes(data)
    with pytest.raises(VerificationError):
        fetch_image(digests, images, source.source)
    assert files(tmp_path / "cache") == []


def made(tmp_path, *layers, **config):
    found = image(*layers, **config)
    cache = ImageCache(tmp_path / "cache")
    cache.write_image(found)
    return CacheBundler(cache), found.digest


def test_a_bundle_of_a_plain_cache(tmp_path):
    bundler, digest = made(
        tmp_path,
        [directory("d"), file("d/a"), file("gone"), file("f", b"old"), file("t", b"1")],
        [whiteout("gone"), file("f", b"new"), opaque("d"), file("d/b"), hardlink("u", "t")],
        [symlink("l", "f")],
        Env=["A=b"],
    )
    with bundler.bundle(digest, "demo", options.tmpfs("/x/y")) as bundle:
        assert bundle.path == tmp_path / "cache/c/demo"
        rootfs = bundle.path / "rootfs"
        names = {path.name for path in rootfs.iterdir()}
        assert names == {"d", "f", "t", "u", "l", "proc", "sys", "dev", "x"}
        assert [path.name for path in (rootfs / "d").iterdir()] == ["b"]
        assert (rootfs / "f").read_bytes() == b"new"
        assert os.path.samefile(rootfs / "t", rootfs / "u")
        assert (rootfs / "x/y").is_dir()
        document = json.loads((bundle.path / "config.json").read_bytes())
        assert document["hostname"] == "demo"
        assert "A=b" in document["process"]["env"]
        with pytest.raises(AlreadyExistsError):
            bundler.bundle(digest, "demo")
        assert (rootfs / "f").exists()
    bundle.cleanup()
    assert list((tmp_path / "cache/c").iterdir()) == []


def test_nothing_of_one_bundle_is_remembered_in_the_next(tmp_path):
    """A map of extracted paths that outlives a layer lets the whiteouts of later ones fail."""
    bundler, digest = made(tmp_path, [file("f")], [whiteout("f"), file("g")])
    for name in ("one", "two"):
        with bundler.bundle(digest, name) as bundle:
            assert not (bundle.path / "rootfs/f").exists()
            assert (bundle.path / "rootfs/g").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "x" * 200, "a\0b", "ü"])
def test_an_id_is_one_word(tmp_path, name):
    bundler, digest = made(tmp_path, [file("f")])
    with pytest.raises(InvalidError):
        bundler.bundle(digest, name)
    assert not (tmp_path / "cache/c").exists()


@pytest.mark.parametrize("option", [options.user("nobody-knows"), lambda spec: 1 / 0])
def test_a_failure_leaves_no_bundle(tmp_path, option):
    bundler, digest = made(tmp_path, [file("f")])
    with pytest.raises((NotFoundError, ZeroDivisionError)):
        bundler.bundle(digest, "demo", option)
    assert not (tmp_path / "cache/c/demo").exists()


def test_what_a_crash_leaves_is_cleaned(tmp_path):
    bundler, digest = made(tmp_path, [file("f")])
    for name in ("demo", "other"):
        bundle = bundler.bundle(digest, name)
        (bundle.path / "config.json").unlink()
    with bundler.bundle(digest, "demo") as bundle:
        assert bundler.collect() == [tmp_path / "cache/c/other"]
        assert (bundle.path / "rootfs/f").exists()
    assert bundler.collect() == []
    assert list((tmp_path / "cache/c").iterdir()) == []


def test_an_unknown_image(tmp_path):
    bundler, _ = made(tmp_path, [file("f")])
    with pytest.raises(NotFoundError):
        bundler.bundle(DIGEST, "demo")
