"""Layers that are broken, hostile or too large: one clear line, and a store as before."""

import bz2
import lzma
import os
import zlib

import pytest

import orlop
from orlop.compression import DecompressionLimits
from orlop.errors import LimitExceededError
from orlop.storage.build import LayerLimits
from orlop.tar import TarLimits
from support.hostile import BROKEN, HARMLESS, stored_as
from support.images import ImageBuilder, compress, directory, file, tar
from support.stores import store_with_image

TAR = tar(directory("bin"), *(file(f"bin/{n}", os.urandom(2000)) for n in range(50)))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one good image; every test leaves it as it was, and usable."""
    with store_with_image(tmp_path_factory.mktemp("bad-layers"), driver="directory") as store:
        yield store


@pytest.fixture
def builder():
    base = (directory("etc"), file("etc/passwd", b"root"))
    return ImageBuilder(compression="none").layer(*base)


@pytest.mark.parametrize("case", BROKEN)
def test_broken(tmp_path, store, builder, case):
    data, says = BROKEN[case]
    layout = builder.raw_layer(data).write(tmp_path / "image")
    done = store.refuses(layout.source, code=1, says=says)
    # The tar is the blob, so that both digests name it.
    assert f"layer {layout.layers[1]['digest']}" in done.err


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless(tmp_path, store, builder, case):
    data, path = HARMLESS[case]
    image = store.pull(builder.raw_layer(data).write(tmp_path / "image").source, "--tag", "x:1")
    assert store.orlop("cat", image, path).out == "x"
    assert not os.path.lexists("/orlop-test-escape")
    store.orlop("rm", "x:1")
    store.collect()


def spoil(data, position):
    damaged = bytearray(data)
    damaged[position] ^= 0xFF
    return bytes(damaged)


def damages(data):
    """Damaged forms of a compressed stream, by what is wrong with them."""
    size = len(data)
    places = {"1": 1, "2": 2, "5": 5, "a third": size // 3, "the half": size // 2}
    places |= {"-9": size - 9, "-2": size - 2, "-1": size - 1}
    at = {"cut": ["1", "5", "a third", "the half", "-9", "-1"]}
    at["flipped"] = ["2", "a third", "the half", "-2"]
    cuts = {f"cut at {name}": data[: places[name]] for name in at["cut"]}
    flips = {f"flipped at {name}": spoil(data, places[name]) for name in at["flipped"]}
    ends = {"garbage after it": data + b"garbage", "zeros after it": data + bytes(512)}
    return cuts | flips | ends


def zstd_with_checksum(data):
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


CORRUPT = {
    f"{how}, {what}": damaged
    for how, stream in (("gzip", compress(TAR, "gzip")), ("zstd", zstd_with_checksum(TAR)))
    for what, damaged in damages(stream).items()
}


@pytest.mark.parametrize("case", CORRUPT)
def test_corrupt_compression(tmp_path, store, builder, case):
    """The blob is what its digest says, and still no stream: never a digest's fault."""
    layout = stored_as(builder, CORRUPT[case], TAR).write(tmp_path / "image")
    done = store.refuses(layout.source, code=1, says=layout.layers[1]["digest"])
    assert len(done.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (bz2.compress(TAR), "bzip2"),
        (lzma.compress(TAR), "xz"),
        (lzma.compress(TAR, format=lzma.FORMAT_ALONE), ""),
        (zlib.compress(TAR), ""),
        (b"PK\x03\x04" + TAR, ""),
    ],
)
def test_unknown_compression(tmp_path, store, builder, data, says):
    layout = stored_as(builder, data, TAR).write(tmp_path / "image")
    store.refuses(layout.source, code=1, says=says)


def refuse_by_limit(store, source, limit, **limits):
    images, files = store.images(), store.files()
    with orlop.open_store(store.root, store.run) as opened:
        with pytest.raises(LimitExceededError) as caught:
            opened.pull(source, driver="directory", limits=LayerLimits(**limits))
        assert caught.value.limit == limit
    store.is_unchanged(images, files)


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_decompression_bomb(tmp_path, store, builder, how):
    bomb = tar(file("zeros", bytes(4 << 20)))
    stored = compress(bomb, how)
    layout = stored_as(builder, stored, bomb).write(tmp_path / "image")
    ratio = DecompressionLimits(max_ratio=50, ratio_floor=1 << 20)
    refuse_by_limit(store, layout.source, "max_ratio", decompression=ratio)
    size = DecompressionLimits(max_size=1 << 20)
    refuse_by_limit(store, layout.source, "max_size", decompression=size)


def test_bomb_in_a_tar_that_is_not_compressed(tmp_path, store, builder):
    layout = builder.layer(file("zeros", bytes(1 << 20))).write(tmp_path / "image")
    size = DecompressionLimits(max_size=1 << 19)
    refuse_by_limit(store, layout.source, "max_size", decompression=size)


def test_too_many_entries(tmp_path, store, builder):
    layout = builder.layer(*(file(f"{n}") for n in range(100))).write(tmp_path / "image")
    refuse_by_limit(store, layout.source, "max_entries", tar=TarLimits(max_entries=99))


def test_error_of_one_layer_stops_the_others(tmp_path, store):
    """However many layers fail, one error is told, and nothing of the sound ones stays."""
    builder = ImageBuilder(compression="none")
    for number in range(12):
        builder.layer(file(f"a{number}", os.urandom(50_000)))
        builder.raw_layer(os.urandom(5000))
    store.refuses(builder.write(tmp_path / "image").source, "-j", "8", code=1, says="offset 0")
