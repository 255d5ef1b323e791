import pytest

from orlop.disks import Builder, BuildOptions, DiskOptions, Store
from support.images import ImageBuilder, directory, file, whiteout


@pytest.fixture(scope="session")
def layout(tmp_path_factory):
    """A layout with an image of two layers."""
    builder = ImageBuilder(
        config={"config": {"Cmd": ["sh"], "Env": ["A=b"], "Labels": {"kind": "box"}}}
    )
    builder.layer(directory("etc"), file("etc/motd", b"hello\n"), file("gone", b"x" * 9000))
    builder.layer(whiteout("gone"), file("new", b"new\n" * 5000))
    return builder.write(tmp_path_factory.mktemp("disks") / "layout", tag="box")


@pytest.fixture
def options(tmp_path):
    """Options of builders of one store of the test's own."""

    def make(disk=None, **more):
        return BuildOptions(
            cache_dir=tmp_path / "root",
            run_dir=tmp_path / "run",
            disk=disk or DiskOptions(),
            **more,
        )

    return make


@pytest.fixture
def build(options):
    """Build an image with a builder of its own."""

    def run(reference, disk=None, **more):
        with Builder(options(disk, **more)) as builder:
            return builder.build(str(getattr(reference, "source", reference)))

    return run


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "root", tmp_path / "run") as store:
        yield store
