import io
import sys

import pytest

from support.images import ImageBuilder, device, directory, fifo, file, symlink
from support.stores import StoreUnderTest

BINARY = bytes(range(256)) * 9000


@pytest.fixture(scope="session")
def layout(tmp_path_factory):
    """A layout with an image of two layers."""
    builder = ImageBuilder(
        config={
            "created": "2024-02-03T04:05:06Z",
            "config": {
                "Cmd": ["sh", "-c", "true"],
                "Env": ["A=b"],
                "User": "1000",
                "WorkingDir": "/srv",
                "Labels": {"kind": "box\x1b[31m"},
            },
        }
    )
    builder.layer(directory("etc"), file("etc/hostname", b"box\n", uid=7, gid=8, mtime=86400))
    builder.layer(
        directory("deep/below/it"),
        file("binary", BINARY),
        file("deep/note", b"note\n"),
        symlink("link", "etc/hostname"),
        device("null", 1, 3, mode=0o666),
        fifo("pipe"),
        file("odd\x1b[31mname\n", b"odd"),
        file("latin-\udce9", b"latin"),
        file("attributes", b"", pax_headers={"SCHILY.xattr.user.kind": "good"}),
    )
    return builder.write(tmp_path_factory.mktemp("cli") / "layout", tag="box")


@pytest.fixture(scope="session")
def filled(layout, tmp_path_factory):
    """A store with the image `box`; tests must leave it as it is."""
    store = StoreUnderTest(tmp_path_factory.mktemp("cli-store"), driver="directory")
    store.id = store.pull(layout.source, "--tag", "box")
    return store


@pytest.fixture
def empty(tmp_path):
    """A store of the test's own."""
    return StoreUnderTest(tmp_path, driver="directory")


@pytest.fixture
def type_in(monkeypatch):
    """Put bytes into standard input."""

    def put(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return put
