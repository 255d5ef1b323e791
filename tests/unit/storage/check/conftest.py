import io
import os

import pytest

from orlop.storage.storage import Storage
from orlop.store import Store
from support.images import ImageBuilder, directory, file, tar


@pytest.fixture
def store(places):
    with Store(places, driver="vfs") as store:
        yield store


@pytest.fixture
def storage(store):
    return store.storage


@pytest.fixture
def layout(tmp_path):
    builder = ImageBuilder()
    builder.layer(directory("etc"), file("etc/hostname", b"box\n"), file("big", b"x" * 100_000))
    builder.layer(directory("etc"), file("etc/motd", b"hello\n"))
    return builder.write(tmp_path / "layout", tag="box")


@pytest.fixture
def image(store, layout):
    return store.pull(layout.source, tag="box", driver="erofs")


@pytest.fixture
def base(storage):
    """A layer that came as a tar, and has an item of big data."""
    archive = tar(directory("usr"), file("usr/base", b"b" * 5000))
    layer = storage.layers.put(io.BytesIO(archive), names=["base"])
    storage.layers.data.put(layer.id, "notes", b"some notes")
    return layer


@pytest.fixture
def written(storage, base):
    """A layer on it that was written to."""
    layer = storage.layers.create("base", names=["written"])
    with storage.layers.mount(layer.id) as path:
        (path / "usr/more").write_text("more")
    return layer


@pytest.fixture
def container(storage, image):
    made = storage.containers.create("box", names=["web"])
    storage.containers.data.put(made.id, "state", b"{}")
    return made


@pytest.fixture
def full(image, base, written, container):
    """A store with one of everything."""


@pytest.fixture
def flip():
    """Change one bit of a file, and neither its length nor its times."""

    def change(path, at=100):
        found = path.stat()
        mode = found.st_mode & 0o7777
        path.chmod(0o600)
        with open(path, "r+b") as changed:
            changed.seek(min(at, found.st_size - 1))
            byte = changed.read(1)[0]
            changed.seek(-1, os.SEEK_CUR)
            changed.write(bytes([byte ^ 1]))
        path.chmod(mode)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    return change


@pytest.fixture
def kinds():
    """What a report says, without words."""

    def of(report):
        return sorted((each.damage, each.subject, each.remedy) for each in report.findings)

    return of


@pytest.fixture
def forget(storage):
    """Delete rows by hand, as a bug or an old copy of the database would."""

    def run(sql, *values):
        with storage.database.write() as tx:
            return tx.execute(sql, values)

    return run


@pytest.fixture
def other(tmp_path):
    """A second store, to be named as an additional one."""
    from orlop.storage.places import Places

    return Places(tmp_path / "other", tmp_path / "run")


@pytest.fixture
def opened(places):
    def open_again(*additional):
        return Storage.open(places, driver="vfs", additional=additional)

    return open_again
