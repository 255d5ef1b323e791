"""Copies onto a disk that is full halfway: an error that names the place, nothing half there."""

import errno
import os
import random
import subprocess

import pytest

import orlop
from orlop.layout import DirectoryDriver, list_images, parse_place
from support.images import ImageBuilder, file
from support.marks import needs_root

pytestmark = needs_root

FORMS = ("oci", "oci-archive", "docker-archive", "dir")


@pytest.fixture
def small_disk(tmp_path):
    """A directory for 4 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def image_of(tmp_path, tag, size):
    builder = ImageBuilder(compression="none")
    for number in range(3):
        builder.layer(file(f"{number}", random.Random(f"{tag}{number}").randbytes(size)))
    return builder.write(tmp_path / "from", tag)


@pytest.mark.parametrize("form", FORMS)
def test_a_new_place(form, small_disk, tmp_path):
    image = image_of(tmp_path, "large", 2 << 20)
    with pytest.raises(OSError) as caught:
        orlop.copy(image.source, f"{form}:{small_disk}/out")
    assert caught.value.errno == errno.ENOSPC
    assert str(small_disk) in str(caught.value.filename)
    if form == "oci":
        assert DirectoryDriver(small_disk / "out").unfinished() == []
        assert list_images(parse_place(f"oci:{small_disk}/out")) == []
    else:
        assert os.listdir(small_disk) == []


@pytest.mark.parametrize("form", ["oci", "oci-archive", "dir"])
def test_a_place_with_an_image(form, small_disk, tmp_path):
    small = image_of(tmp_path, "small", 100_000)
    place = f"{form}:{small_disk}/out"
    orlop.copy(small.source, place)
    with pytest.raises(OSError) as caught:
        orlop.copy(image_of(tmp_path, "large", 2 << 20).source, place)
    assert caught.value.errno == errno.ENOSPC
    assert orlop.copy(place, f"oci:{tmp_path}/back").digest == small.manifest["digest"]
    assert os.listdir(small_disk) == ["out"]
