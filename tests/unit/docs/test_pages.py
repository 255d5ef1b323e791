"""What the pages show in Python runs as it stands there, one block after the other."""

import gzip
import io
import json
import os
import re
import shlex
import tarfile
from pathlib import Path

import pytest

import orlop
from orlop.cli.commands import COMMANDS, Command
from orlop.content import MemoryContent
from orlop.digest import Digest
from orlop.layout import DirectoryDriver, read_index
from orlop.layout.validation import validate
from orlop.storagecmd.run import run as run_storage_command
from orlop.storagecmd.session import Streams
from support.images import ImageBuilder, directory, file, tar

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


def test_storage(tmp_path, monkeypatch, capsys):
    """Whole copies need no right to mount: they are the directories that they are written to."""
    monkeypatch.chdir(tmp_path)
    base = tar(directory("etc"), file("etc/motd", b"old"))
    layout = ImageBuilder().layer(directory("etc"), file("etc/hostname")).write(tmp_path / "from")
    with orlop.open_store(tmp_path / "root", tmp_path / "run", driver="vfs") as store:
        store.pull(layout.source, tag="debian:12", driver="directory")
        names = run("storage.md", store=store, orlop=orlop, tar=io.BytesIO(base))
        assert [each.path for each in store.layers.changes("work")] == [b"etc/motd"]
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(names["archive"]))) as archive:
            assert archive.extractfile("etc/motd").read() == b"hello\n"
        assert store.image("web:1").read("/etc/hostname") == b"web\n"
        assert store.image("mine:1").read("/etc/motd") == b"hello\n"
        manifest = store.image("mine:1").target.digest
        assert read_index(DirectoryDriver("layout")).manifests[0].digest == manifest
        assert store.containers.list() == ()
    assert "etc/hostname" in capsys.readouterr().out
    assert Path("web.tar").exists()


def test_editing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("rootfs").mkdir()
    Path("rootfs/run").write_bytes(b"#!/bin/sh\n")
    with orlop.open_store(tmp_path / "root", tmp_path / "run", driver="vfs") as store:
        for tag in ("debian:12", "debian:13"):
            builder = ImageBuilder().layer(directory("etc"), file("etc/version", tag.encode()))
            store.pull(builder.write(tmp_path / tag[-2:]).source, tag=tag, driver="directory")
        arm = ImageBuilder(platform=("linux", "arm64")).layer(file("arm"))
        source = arm.write(tmp_path / "arm").source
        store.pull(source, tag="app:arm64", platform="linux/arm64", driver="directory")
        names = run("editing.md", store=store)
        assert store.image("app:2").read("/etc/version") == b"debian:13"
        assert store.image("app:flat").read("/srv/app/run") == b"#!/bin/sh\n"
        assert len(store.image("app:squashed").manifest.layers) == 2
        index = json.loads(store.image("app:all").read_target())
        assert [each.get("annotations") for each in index["manifests"]] == [None, {"tested": "yes"}]
        assert gzip.decompress(names["layer"])
    assert "add b'srv/app/run'" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
def test_bundles(store, tmp_path, capsys):
    layout = ImageBuilder(config={"config": {"Cmd": ["sh"]}}).layer(file("a")).write(tmp_path / "i")
    store.pull(layout.source, tag="debian:12")
    run("bundles.md", store=store)
    assert capsys.readouterr().out == "{'uid': 7, 'gid': 7}\n"
    assert store.containers.list() == ()


def test_the_commands_that_are_shown_exist():
    """Each word that follows `orlop` on a page, as far as it is a command, is one."""
    pages = [*DOCS.glob("*.md"), DOCS.parent / "README.md"]
    lines = [
        line
        for page in pages
        for line in re.findall(r"^    (orlop .*)$", page.read_text(), re.MULTILINE)
    ]
    assert len(lines) > 40
    for line in lines:
        entries = [each for group in COMMANDS.values() for each in group]
        for word in line.partition("#")[0].split()[1:]:
            known = {each.name: each for each in entries}
            assert word in known, line
            if isinstance(known[word], Command):
                break
            entries = known[word].verbs


def test_the_storage_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("base.tar").write_bytes(tar(file("a", b"a")))
    page = (DOCS / "storage-command.md").read_text()
    block = re.search(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    layer = "box-layer"
    for line in block[1].splitlines():
        program, *words = shlex.split(line.replace("box-layer", layer))
        assert program == "orlop-storage"
        assert storage_command(tmp_path, *words)[0] == 0, line
        if words[0] == "create-container":
            layer = json.loads(storage_command(tmp_path, "container", "-j", "box")[1])[0]["layer"]
    assert Path("changed.tar.gz").read_bytes()[:2] == b"\x1f\x8b"


def storage_command(place, *words):
    streams = Streams(stdin=io.BytesIO(), out=io.BytesIO(), err=io.BytesIO())
    options = ["-g", str(place / "root"), "-R", str(place / "run"), "-s", "vfs"]
    code = run_storage_command("orlop-storage", [*options, *words], {}, streams)
    return code, streams.out.getvalue()
