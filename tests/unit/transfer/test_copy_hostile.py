"""Small images that would take for ever to copy if each way to a manifest were followed."""

import json

import pytest

import orlop
from orlop.errors import LimitExceededError, NotFoundError
from support.images import KIND, ImageBuilder, digest, directory

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
