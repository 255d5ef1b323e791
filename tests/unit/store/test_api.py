"""The public API, as `import orlop` gives it."""

import doctest
import importlib
import pickle
import pkgutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import orlop
from orlop.digest import Digest
from orlop.errors import (
    AmbiguousError,
    InvalidReferenceError,
    NotFoundError,
    UnsupportedError,
)
from orlop.metadata import Images
from orlop.platform import Platform
from support.images import ImageBuilder, directory, file, symlink


@pytest.fixture
def layout(tmp_path):
    builder = ImageBuilder(config={"config": {"Env": ["A=b"]}})
    builder.layer(
        directory("etc"),
        file("etc/os-release", b"NAME=box\n", mode=0o640),
        symlink("link", "etc/os-release"),
        file("\N{SNOWMAN}", b"cold"),
    )
    return builder.write(tmp_path / "layout", tag="box")


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", str(tmp_path / "run")) as store:
        yield store


@pytest.fixture
def image(store, layout):
    return store.pull(layout.source, tag="box", driver="directory")


def test_what_the_package_gives():
    assert {"Image", "Mount", "Store", "open_store", "__version__"} <= set(orlop.__all__)
    for name in orlop.__all__:
        assert getattr(orlop, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = orlop.nothing


def test_importing_the_package_costs_nothing_that_is_not_used():
    script = "import sys, orlop; print(sum(name.startswith('orlop.') for name in sys.modules))"
    done = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert int(done) == 0


@pytest.mark.parametrize(
    "module", [module.name for module in pkgutil.walk_packages(orlop.__path__, "orlop.")]
)
def test_every_module_can_be_imported_and_its_examples_hold(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.failed == 0


def test_the_packages_own_example(store, layout, monkeypatch):
    """The program in the docstring runs, on this store and image."""
    text = orlop.__doc__.split("\n\n", 1)[1]
    assert "open_store()" in text
    assert "docker.io/library/debian:12" in text
    text = text.replace("docker.io/library/debian:12", layout.source)
    text = text.replace("open_store()", f"open_store({str(store.root)!r}, {str(store.run)!r})")
    done = subprocess.check_output([sys.executable, "-c", text], text=True)
    assert done == "NAME=box\n\n"


def test_a_store_knows_where_it_is(store, tmp_path):
    assert (store.root, store.run) == (tmp_path / "root", tmp_path / "run")
    assert store.root.is_dir()


def test_a_relative_root_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with orlop.open_store("here", "there") as store:
        monkeypatch.chdir("/")
        assert store.root == tmp_path / "here"
        assert store.images() == []


def test_what_a_pull_gives(image, layout):
    assert image.name == "docker.io/library/box:latest"
    assert isinstance(image.id, Digest)
    assert image.id == image.manifest.config.digest
    assert image.target.digest == image.manifest_digest == layout.manifest["digest"]
    assert image.platform == Platform.parse("linux/amd64")
    assert image.size == sum(
        path.stat().st_size for path in (layout.path / "blobs/sha256").iterdir()
    )
    assert image.config.config.env == ("A=b",)
    assert image.created_at_ns <= image.updated_at_ns
    assert repr(image) == f"<Image docker.io/library/box:latest {image.id}>"


def test_an_image_is_looked_up(store, image):
    for name in ("box", image.name, image.id, image.id.encoded[:8]):
        assert store.image(name).id == image.id
    assert [each.name for each in store.images()] == [image.name]
    with pytest.raises(NotFoundError, match="no image is called 'other'"):
        store.image("other")


def test_files_are_read_by_text_and_by_bytes(image):
    assert image.read("/etc/os-release") == b"NAME=box\n"
    assert image.read(b"link") == b"NAME=box\n"
    assert image.read("\N{SNOWMAN}") == b"cold"
    assert image.stat("etc/os-release").mode & 0o7777 == 0o640
    assert image.stat("link", follow=False).target == b"etc/os-release"
    names = [name for name, _ in image.list()]
    assert names == [b"etc", b"link", "\N{SNOWMAN}".encode()]
    with image.files() as files, files.open(b"/etc/os-release") as found:
        found.seek(5)
        assert found.read(3) == b"box"


def test_files_that_cannot_be_read(image):
    with pytest.raises(NotFoundError):
        image.read("/missing")
    with pytest.raises(NotFoundError):
        image.list("/link")
    with pytest.raises(UnsupportedError, match="is no regular file"):
        image.read("/etc")


def test_an_image_removes_its_own_name(store, image):
    image.remove()
    assert store.images() == []
    with pytest.raises(NotFoundError, match="is gone"):
        image.remove()


def test_an_image_does_not_remove_a_name_that_moved(store, image, tmp_path):
    other = ImageBuilder().layer(file("other", b"o")).write(tmp_path / "other")
    store.pull(other.source, tag="box", driver="directory")
    with pytest.raises(NotFoundError, match="is gone"):
        image.remove()
    assert store.image("box").read("other") == b"o"


def test_removing_an_id_with_several_names(store, image, layout):
    store.pull(layout.source, tag="twin", driver="directory")
    with pytest.raises(AmbiguousError) as error:
        store.remove(image.id)
    names = ("docker.io/library/box:latest", "docker.io/library/twin:latest")
    assert error.value.candidates == names
    assert store.remove(image.id, force=True) == list(names)


def test_a_name_that_is_pulled_again_keeps_its_age(store, image, layout):
    again = store.pull(layout.source, tag="box", driver="directory")
    assert again.created_at_ns == image.created_at_ns
    assert again.updated_at_ns >= image.updated_at_ns


def test_a_chosen_name_has_no_digest(store, layout):
    """It would say what the image is, and nobody has compared."""
    with pytest.raises(InvalidReferenceError, match="has a digest"):
        store.pull(layout.source, tag="box@sha256:" + "a" * 64)
    assert store.images() == []


def test_any_number_of_names_goes_by_force(store, image):
    with store._storage.database.write() as tx:
        for number in range(150):
            Images(tx).create(replace(image._record, name=f"localhost/name-{number}:1"))
    assert len(store.remove(image.id.encoded[:12], force=True)) == 151
    assert store.images() == []


@pytest.mark.parametrize("jobs", [0, -1, 65])
def test_a_number_of_jobs_out_of_range(store, layout, jobs):
    with pytest.raises(ValueError, match="jobs must be 1 to 64"):
        store.pull(layout.source, jobs=jobs)


def test_a_platform_as_text_or_as_value(store, layout):
    for platform in ("linux/amd64", Platform.parse("linux/amd64")):
        assert store.pull(layout.source, platform=platform, driver="directory").platform == (
            Platform.parse("linux/amd64")
        )
    with pytest.raises(NotFoundError, match="not for linux/s390x"):
        store.pull(layout.source, platform="linux/s390x")


def test_a_store_that_is_only_read(store, image, tmp_path):
    with orlop.open_store(store.root, store.run, read_only=True) as reading:
        assert reading.image("box").read("etc/os-release") == b"NAME=box\n"
        assert reading.usage().images == 1
        with pytest.raises(OSError, match="Read-only"):
            reading.remove("box")
    with pytest.raises(NotFoundError, match="no store at"):
        orlop.open_store(tmp_path / "none", read_only=True)


def test_several_threads_use_one_store(store, image, layout):
    failures = []

    def work():
        try:
            for _ in range(5):
                assert store.image("box").read("link") == b"NAME=box\n"
                store.pull(layout.source, tag="box", driver="directory")
                store.usage()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_usage_and_collection_are_plain_values(store, image):
    assert store.usage().images == 1
    image.remove()
    assert store.collect().blobs == 3
    assert pickle.loads(pickle.dumps(store.usage())).blobs.count == 0


def test_what_a_closed_store_does(store):
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.images()
    store.close()


def test_where_stores_are_by_default(monkeypatch, tmp_path):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert orlop.store.find_places().root == Path("/var/lib/orlop")
    assert orlop.store.find_places().run == Path("/run/orlop")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert orlop.store.find_places().root == Path("/home/me/.local/share/orlop")
    assert orlop.store.find_places().run == Path("/home/me/.local/share/orlop-run")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert orlop.store.find_places().root == Path("/data/orlop")
    assert orlop.store.find_places().run == Path("/run/user/1000/orlop")


@pytest.mark.parametrize(
    ("system", "architecture"), [("", ""), ("linux", ""), ("a b/c", "amd64"), ("linux", "x" * 600)]
)
def test_a_platform_that_no_specifier_can_say(store, tmp_path, system, architecture):
    """One odd image does not keep the others from being listed."""
    builder = ImageBuilder(config={"os": system, "architecture": architecture})
    layout = builder.layer(file("a", b"x")).write(tmp_path / "odd", tag="odd")
    store.pull(layout.source, driver="directory")
    assert [image.platform for image in store.images()] == [
        Platform(os=system, architecture=architecture)
    ]
