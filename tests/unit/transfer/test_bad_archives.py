"""Archives that are cut short or have wrong bytes: one clear line, and a store as before."""

import os
import random
import tarfile

import pytest

from support.images import ImageBuilder, compress, directory, file
from support.stores import store_with_image

CASES = 16


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one good image; every test leaves it as it was, and usable."""
    with store_with_image(tmp_path_factory.mktemp("bad-archives"), driver="directory") as store:
        yield store


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    place = tmp_path_factory.mktemp("archive")
    builder = ImageBuilder().layer(directory("d"), file("d/a", os.urandom(9000)))
    layout = builder.layer(file("d/b", os.urandom(20_000))).write(place / "layout")
    path = place / "archive.tar"
    with tarfile.open(path, "w") as out:
        for each in sorted(layout.path.rglob("*")):
            out.add(each, each.relative_to(layout.path), recursive=False)
    return path.read_bytes()


def content_end(archive):
    """Where the last member ends: what is cut behind it is padding."""
    return len(archive.rstrip(b"\0"))


def is_refused(store, path, *, or_harmless=False):
    """A pull fails clearly and leaves nothing; or all of the image comes, where it may."""
    images, files = store.images(), store.files()
    done = store.orlop("pull", f"oci-archive:{path}", "--driver", "directory", "--tag", "bad:1")
    if done.code or not or_harmless:
        done.check_failure(done.code)
        assert done.code in {1, 3, 4}
    else:
        assert store.orlop("ls", "bad:1", "/d").out == "a\nb\n"
        assert store.orlop("rm", "bad:1").code == 0
    store.is_unchanged(images, files)


@pytest.mark.parametrize("number", range(CASES))
@pytest.mark.parametrize("how", ["none", "gzip"])
def test_cut(tmp_path, store, archive, how, number):
    data = compress(archive, how)
    end = content_end(archive) if how == "none" else len(data)
    path = tmp_path / "cut.tar"
    path.write_bytes(data[: end * number // CASES])
    is_refused(store, path)


@pytest.mark.parametrize("number", range(CASES))
def test_flipped(tmp_path, store, archive, number):
    """Wherever a bit is wrong, it is found, or was in what nobody reads."""
    position = random.Random(number).randrange(content_end(archive))
    data = bytearray(archive)
    data[position] ^= 1 << number % 8
    path = tmp_path / "flipped.tar"
    path.write_bytes(data)
    is_refused(store, path, or_harmless=True)
