"""A `dir:` is written as skopeo does, and changes places with the one that was there."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

import orlop
from orlop.errors import AlreadyExistsError, NotFoundError
from orlop.layout.write import NamedImage
from orlop.layout.write.dir import DirTarget
from orlop.spec import Descriptor
from support.images import ImageBuilder, file, join_platforms


@pytest.fixture
def images(tmp_path):
    return [
        ImageBuilder().layer(file(tag)).write(tmp_path / "from", tag) for tag in ("amd64", "s390x")
    ]


def names(path):
    return sorted(each.name for each in path.iterdir())


def hexadecimal(descriptor):
    return descriptor["digest"].partition(":")[2]


def test_its_files(images, tmp_path):
    orlop.copy(images[0].source, f"dir:{tmp_path}/out")
    layer, version = hexadecimal(images[0].layers[0]), tmp_path / "out/version"
    assert {"manifest.json", "version", layer} < set(names(tmp_path / "out"))
    assert len(names(tmp_path / "out")) == 4
    assert version.read_text() == "Directory Transport Version: 1.1\n"
    assert (tmp_path / "out/manifest.json").read_bytes() == images[0].blob(
        images[0].manifest
    ).read_bytes()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_an_index_has_its_manifests_beside_it(images, tmp_path):
    top = join_platforms(tmp_path / "from")
    orlop.copy(f"oci:{tmp_path}/from:all", f"dir:{tmp_path}/out")
    manifests = [name for name in names(tmp_path / "out") if name.endswith("manifest.json")]
    children = [f"{hexadecimal(image.manifest)}.manifest.json" for image in images]
    assert manifests == sorted([*children, "manifest.json"])
    index = tmp_path / "from/blobs/sha256" / hexadecimal(top)
    assert (tmp_path / "out/manifest.json").read_bytes() == index.read_bytes()


def test_the_one_that_is_there_is_replaced(images, tmp_path):
    orlop.copy(images[0].source, f"dir:{tmp_path}/out")
    before = os.stat(tmp_path / "out").st_ino
    orlop.copy(images[1].source, f"dir:{tmp_path}/out")
    assert os.stat(tmp_path / "out").st_ino != before
    assert hexadecimal(images[0].layers[0]) not in names(tmp_path / "out")
    assert names(tmp_path) == ["from", "out"]


def test_nothing_is_lost_that_is_no_part_of_an_image(images, tmp_path):
    orlop.copy(images[0].source, f"dir:{tmp_path}/out")
    (tmp_path / "out/signature-1").write_bytes(b"skopeo's")
    (tmp_path / "out/notes").write_bytes(b"mine")
    with pytest.raises(AlreadyExistsError, match="'notes', which is no part"):
        orlop.copy(images[1].source, f"dir:{tmp_path}/out")
    assert (tmp_path / "out/notes").read_bytes() == b"mine"
    (tmp_path / "out/notes").unlink()
    assert (
        orlop.copy(images[1].source, f"dir:{tmp_path}/out").digest == images[1].manifest["digest"]
    )
    assert not (tmp_path / "out/signature-1").exists()


def test_an_empty_directory_is_taken(images, tmp_path):
    (tmp_path / "out").mkdir()
    orlop.copy(images[0].source, f"dir:{tmp_path}/out")
    assert "manifest.json" in names(tmp_path / "out")


def test_what_a_killed_writer_left_is_taken_over(images, tmp_path):
    left = tmp_path / ".out.orlop-new"
    (left / "folder").mkdir(parents=True)
    (left / "folder/file").write_bytes(b"half")
    (left / "deadbeef").write_bytes(b"half")
    orlop.copy(images[0].source, f"dir:{tmp_path}/out")
    assert "deadbeef" not in names(tmp_path / "out")
    assert len(names(tmp_path / "out")) == 4
    assert names(tmp_path) == ["from", "out"]


def test_one_writes_and_the_other_waits(images, tmp_path):
    target = DirTarget(tmp_path / "out")
    with ThreadPoolExecutor(1) as pool:
        with target:
            target.begin([NamedImage(target=Descriptor.decode(images[0].manifest))])
            written = tmp_path / ".out.orlop-new/written"
            written.write_bytes(b"")
            second = pool.submit(orlop.copy, images[1].source, f"dir:{tmp_path}/out")
            with pytest.raises(TimeoutError):
                second.result(timeout=0.3)
            assert written.exists()
        assert second.result().digest == images[1].manifest["digest"]
    assert names(tmp_path) == ["from", "out"]


def test_a_link_to_the_place_stays_a_link(images, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for image in images:
        copied = orlop.copy(image.source, f"dir:{tmp_path}/link")
        assert copied.digest == image.manifest["digest"]
    assert (tmp_path / "link").is_symlink()
    assert "manifest.json" in names(tmp_path / "real")


def test_a_copy_onto_itself(images, tmp_path):
    for place in (f"dir:{tmp_path}/out", f"oci:{tmp_path}/layout", f"oci-archive:{tmp_path}/tar"):
        orlop.copy(images[0].source, place)
        assert orlop.copy(place, place).digest == images[0].manifest["digest"]


def test_no_directory_to_make_it_in(images, tmp_path):
    for form in ("dir", "oci-archive", "docker-archive"):
        with pytest.raises(NotFoundError, match="no such directory"):
            orlop.copy(images[0].source, f"{form}:{tmp_path}/missing/out")
    assert names(tmp_path) == ["from"]


def test_a_file_of_the_name(images, tmp_path):
    (tmp_path / "out").write_bytes(b"precious")
    with pytest.raises(AlreadyExistsError, match="no directory"):
        orlop.copy(images[0].source, f"dir:{tmp_path}/out")
    assert (tmp_path / "out").read_bytes() == b"precious"
