import pytest

from orlop.digest import Digest
from orlop.metadata import Lease
from orlop.storage.build import FormBuild, LayerLimits
from orlop.storage.places import Places
from orlop.storage.storage import Storage
from support.images import ImageBuilder, directory, file


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path / "root", tmp_path / "run")


@pytest.fixture
def storage(places):
    with Storage.open(places) as storage:
        yield storage


@pytest.fixture
def lease(storage):
    with Lease(storage.database, "test") as lease:
        yield lease


@pytest.fixture
def build(storage, lease):
    """Make a form of a layer that is stored as it is given; its diffID."""

    def make(data, diff_id=None, *, blob=None, kind="tar", lowest=False, limits=None):
        diff_id = diff_id or Digest.of(data)
        with FormBuild(
            storage.places, storage.forms, lease,
            blob=blob or Digest.of(b"some blob"), diff_id=diff_id,
            kind=kind, lowest=lowest, limits=limits or LayerLimits(),
        ) as form:  # fmt: skip
            for start in range(0, len(data), 1000):
                form.feed(data[start : start + 1000])
            form.finish()
            form.publish()
        return diff_id

    return make


@pytest.fixture
def restart(storage):
    """Let what is recorded be of an earlier boot, from which nothing was synced."""

    def age():
        with storage.database.write() as tx:
            for table in ("forms", "chains"):
                tx.execute(f"UPDATE {table} SET boot_id = 'an-earlier-boot', durable = 0")

    return age


@pytest.fixture
def layout(tmp_path):
    builder = ImageBuilder()
    builder.layer(directory("etc"), file("etc/hostname", b"box\n"), file("big", b"x" * 100_000))
    builder.layer(directory("etc"), file("etc/motd", b"hello\n"))
    return builder.write(tmp_path / "layout", tag="box")
