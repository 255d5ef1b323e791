"""Small images that would take for ever to copy if each way to a manifest were followed."""

import io
import json
import tarfile
from importlib import import_module

import pytest

import orlop
from orlop.errors import LimitExceededError, NotFoundError
from orlop.spec.index import MAX_MANIFESTS
from support.images import KIND, ImageBuilder, digest, directory, file

WIDTH = 40
DEPTH = 7


def nest(path, tag, *, top, depth=DEPTH):
    """Put a descriptor into indexes that each list the one below many times, under a tag."""
    for _ in range(depth):
        top = ImageBuilder()._put_json(
            path,
            KIND + "index.v1+json",
            {
                "schemaVersion": 2,
                "mediaType": KIND + "index.v1+json",
                "manifests": [top] * WIDTH,
            },
        )
    top = {**top, "annotations": {"org.opencontainers.image.ref.name": tag}}
    index = json.loads((path / "index.json").read_bytes())
    index["manifests"] = [top]
    (path / "index.json").write_text(json.dumps(index))


@pytest.fixture
def layout(tmp_path):
    return ImageBuilder().layer(directory("etc")).write(tmp_path / "image")


@pytest.mark.parametrize("to", ["oci:{}/copy", "oci-archive:{}/a.tar", "docker-archive:{}/d.tar"])
def test_a_manifest_that_is_listed_in_a_thousand_million_ways_is_copied_once(layout, to, tmp_path):
    nest(layout.path, "many", top=dict(layout.manifest))
    copied = orlop.copy(f"oci:{layout.path}", to.format(tmp_path))
    assert copied.notes == ()


def test_a_manifest_that_is_missing_in_a_thousand_million_ways_is_missed_once(layout, tmp_path):
    nest(layout.path, "none", top={**layout.manifest, "digest": digest(b"gone")})
    with pytest.raises(NotFoundError, match="is there") as caught:
        orlop.copy(f"oci:{layout.path}", f"oci:{tmp_path}/copy")
    assert str(caught.value).count(digest(b"gone")) == 1


def test_what_is_copied_at_once_has_a_limit_together(layout, tmp_path, monkeypatch):
    size = (layout.path / "blobs" / layout.manifest["digest"].replace(":", "/")).stat().st_size
    ImageBuilder().layer(directory("usr")).write(layout.path, "other")
    monkeypatch.setattr("orlop.transfer.destination.MAX_PLAN_SIZE", size + 1)
    with pytest.raises(LimitExceededError, match="together"):
        orlop.copy_all(f"oci:{layout.path}", f"oci:{tmp_path}/copy")
    assert not (tmp_path / "copy").exists()
    orlop.copy(f"oci:{layout.path}:other", f"oci:{tmp_path}/copy")


@pytest.mark.parametrize("to", ["oci", "oci-archive", "docker-archive"])
def test_no_more_names_are_written_than_can_be_read_again(layout, to, tmp_path):
    archive = tmp_path / "many.tar"
    orlop.copy(layout.source, f"docker-archive:{archive}")
    with tarfile.open(archive) as tar:
        members = {each.name: tar.extractfile(each).read() for each in tar if each.isfile()}
    saved = json.loads(members["manifest.json"])
    saved[0]["RepoTags"] = [f"box:t{number}" for number in range(MAX_MANIFESTS + 1)]
    members["manifest.json"] = json.dumps(saved).encode()
    with tarfile.open(archive, "w") as tar:
        for name, data in members.items():
            info, _ = file(name, data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(LimitExceededError, match="MAX_MANIFESTS"):
        orlop.copy(f"docker-archive:{archive}", f"{to}:{tmp_path}/copy")
    assert not (tmp_path / "copy").is_file()


@pytest.mark.parametrize("limit", ["MAX_SAVED_IMAGES", "MAX_DOCUMENT_SIZE"])
def test_no_more_images_are_saved_than_can_be_read_again(layout, limit, tmp_path, monkeypatch):
    ImageBuilder().layer(directory("usr")).write(layout.path, "other")
    monkeypatch.setattr(import_module("orlop.layout.write.docker"), limit, 1)
    with pytest.raises(LimitExceededError, match=limit):
        orlop.copy_all(f"oci:{layout.path}", f"docker-archive:{tmp_path}/copy.tar")
    assert not (tmp_path / "copy.tar").exists()
