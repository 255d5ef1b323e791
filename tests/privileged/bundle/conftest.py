import os
import tempfile
from pathlib import Path

import pytest

import orlop
from orlop.bundle import OverlayBundler, UncompressedBundler, options
from support.images import ImageBuilder
from support.runtimes import RUNTIMES, Runtime, base_members
from support.stores import StoreUnderTest


class Yard:
    """A store with an image of a shell, and a runtime; below a directory that all may enter."""

    def __init__(self, place, runtime=None):
        self.place = Path(place)
        self.under_test = StoreUnderTest(place)
        self.store = orlop.open_store(self.under_test.root, self.under_test.run)
        self.runtime = None if runtime is None else Runtime(runtime, self.place / "state")
        self.images = 0

    def image(self, *layers, base=True, **config):
        """Pull an image of these layers, above one with a shell; its name."""
        builder = ImageBuilder(config={"config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], **config}})
        if base:
            builder.layer(*base_members())
        for members in layers:
            builder.layer(*members)
        self.images += 1
        name = f"localhost/image{self.images}:1"
        self.store.pull(builder.write(self.place / f"layout{self.images}").source, tag=name)
        return name

    def shell(self, script, *more):
        """Options that run a script."""
        return (options.args("sh", "-ec", script), *more)

    @property
    def overlay(self):
        return OverlayBundler(self.store)

    @property
    def uncompressed(self):
        return UncompressedBundler(self.store)

    def run(self, image, script, *more, bundler=None, name="demo"):
        """What a script prints in a container of an image."""
        bundler = bundler or self.overlay
        with bundler.bundle(image, name, *self.shell(script, *more)) as bundle:
            return self.runtime.output(bundle.path, name)


@pytest.fixture
def place():
    """A directory that every user may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="orlop-bundle-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def yard(place):
    yard = Yard(place)
    yield yard
    close(yard)


@pytest.fixture(params=RUNTIMES)
def running(place, request):
    yard = Yard(place, request.param)
    yield yard
    close(yard)


def close(yard):
    for record in orlop.bundle.Bundles(yard.store.storage).list():
        orlop.bundle.Bundles(yard.store.storage).remove(record, force=True)
    yard.store.close()
    yard.under_test.orlop("shutdown", "--force")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    assert [line for line in mounts if str(yard.place) in line] == []
