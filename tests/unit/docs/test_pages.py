"""What the pages show in Python runs as it stands there, one block after the other."""

import io
import re
from pathlib import Path

import pytest

import orlop
from orlop.content import MemoryContent
from orlop.digest import Digest
from orlop.layout import DirectoryDriver, read_index
from orlop.layout.validation import validate
from support.images import ImageBuilder, file, tar

DOCS = Path(__file__).parents[3] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DATA = b"some content"


def run(page, **names):
    """Run all blocks of a page with these names, and return the names that there are then."""
    blocks = BLOCK.findall((DOCS / page).read_text())
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    return names


def test_layouts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("layer.tar").write_bytes(tar(file("a", b"a")))
    names = run("layouts.md", pieces=[DATA], size=len(DATA), expected=Digest.of(DATA, "sha512"))
    assert names["digest"] == Digest.of(DATA, "sha512")
    assert list(validate(DirectoryDriver("layout"))) == []
    assert [each.digest for each in read_index(names["driver"]).manifests] == [
        names["manifest"].descriptor().digest
    ]


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        yield store


def test_images(store, tmp_path, capsys):
    layout = ImageBuilder().layer(file("a", b"a")).write(tmp_path / "from", "v1")
    image = store.pull(layout.source)
    names = run(
        "images.md",
        provider=store.content(),
        target=image.target,
        store=store,
        content=MemoryContent(),
        data=DATA,
        digest=Digest.of(DATA),
        size=len(DATA),
        stream=io.BytesIO(DATA),
    )
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert names["images"].get("docker.io/library/debian:12").labels == {"team": "sea"}
    assert names["content"].read(names["digest"], len(DATA)) == DATA
