import os
from contextlib import ExitStack

import pytest

from orlop._sys.handle import Fd
from orlop.drivers.devices import check_devices
from orlop.drivers.tiny import CONTENT, tiny_image
from orlop.errors import InvalidImageError, SizeMismatchError


@pytest.fixture
def check(tmp_path):
    """Check an image with devices of the given contents."""

    def check(image, *devices):
        (tmp_path / "index").write_bytes(image)
        paths = [tmp_path / f"device{number}" for number in range(len(devices))]
        with ExitStack() as stack:
            for path, content in zip(paths, devices, strict=True):
                path.write_bytes(content)
            files = [
                stack.enter_context(Fd(os.open(path, os.O_RDONLY)))
                for path in (tmp_path / "index", *paths)
            ]
            check_devices(tmp_path / "index", files[0], list(zip(paths, files[1:], strict=True)))

    return check


def patched(offset, data):
    image = bytearray(tiny_image())
    image[offset : offset + len(data)] = data
    return bytes(image)


def test_the_device_that_belongs_to_it(check):
    check(tiny_image(), CONTENT)
    check(tiny_image(), CONTENT + b"more")


@pytest.mark.parametrize("devices", [[], [CONTENT, CONTENT]])
def test_another_number_of_devices(check, devices):
    with pytest.raises(InvalidImageError, match=f"1 devices, {len(devices)} are given"):
        check(tiny_image(), *devices)


def test_an_image_without_a_device_table(check):
    image = patched(1024 + 80, bytes(4))
    check(image)
    with pytest.raises(InvalidImageError, match="0 devices, 1 are given"):
        check(image, CONTENT)


@pytest.mark.parametrize("cut", [1, len(CONTENT)])
def test_a_device_cut_short(check, cut):
    with pytest.raises(SizeMismatchError, match="device0 is cut short") as caught:
        check(tiny_image(), CONTENT[:-cut])
    assert (caught.value.expected, caught.value.actual) == (512, 512 - cut)


def test_a_device_of_more_than_32_bits_of_blocks(check):
    with pytest.raises(SizeMismatchError) as caught:
        check(patched(1152 + 72, b"\1\0"), CONTENT)
    assert caught.value.expected == ((1 << 32) + 1) * 512


@pytest.mark.parametrize("size", range(0, 1280, 64))
def test_an_image_cut_anywhere_in_its_head(check, size):
    with pytest.raises(InvalidImageError, match="index"):
        check(tiny_image()[:size], CONTENT)


@pytest.mark.parametrize(
    ("offset", "data"),
    [(1024, b"\0"), (1024 + 12, b"\x08"), (1024 + 12, b"\x11"), (1024 + 88, b"\xff\xff")],
)
def test_a_head_that_is_damaged(check, offset, data):
    with pytest.raises(InvalidImageError, match="index"):
        check(patched(offset, data), CONTENT)


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_no_regular_file(tmp_path, which):
    (tmp_path / "index").write_bytes(tiny_image())
    (tmp_path / "layer").write_bytes(CONTENT)
    places = [tmp_path / "index", tmp_path / "layer"]
    places[which] = tmp_path
    with ExitStack() as stack:
        files = [stack.enter_context(Fd(os.open(place, os.O_RDONLY))) for place in places]
        with pytest.raises(InvalidImageError, match="no regular file") as caught:
            check_devices(places[0], files[0], [(places[1], files[1])])
    assert caught.value.where == str(tmp_path)
