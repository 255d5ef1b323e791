"""`orlop copy`, `orlop save` and `orlop load`: what they print, where, and how they end."""

import os
import pty
import subprocess
import sys
import tarfile

import pytest

from support.images import ImageBuilder, file, join_platforms
from support.stores import Outcome, StoreUnderTest


@pytest.fixture
def image(tmp_path):
    return ImageBuilder().layer(file("a", b"a" * 5000)).write(tmp_path / "from", "v1")


@pytest.fixture
def store(tmp_path):
    return StoreUnderTest(tmp_path / "store")


def test_copy_prints_the_digest(image, store, tmp_path):
    done = store.orlop("copy", image.source, f"oci-archive:{tmp_path}/out.tar")
    assert (done.code, done.out, done.err) == (0, f"{image.manifest['digest']}\n", "")
    assert not store.root.exists()


def test_all_prints_a_digest_each(image, store, tmp_path):
    ImageBuilder().layer(file("b")).write(tmp_path / "from", "v2")
    done = store.orlop("copy", "--all", f"oci:{tmp_path}/from", f"oci:{tmp_path}/to")
    assert done.code == 0, done
    assert len(done.out.splitlines()) == 2
    assert done.out.startswith(image.manifest["digest"])


def test_to_the_store_and_back(image, store, tmp_path):
    assert store.orlop("copy", image.source, "store:app:1").code == 0
    assert [each["name"] for each in store.images()] == ["docker.io/library/app:1"]
    done = store.orlop("copy", "store:app:1", f"dir:{tmp_path}/out")
    assert done.out.strip() == image.manifest["digest"]
    store.orlop("copy", "store:nothing", f"dir:{tmp_path}/out2").check_failure(3, "store:nothing")


def test_what_changes_is_said_on_stderr(store, tmp_path):
    for architecture in ("amd64", "s390x"):
        builder = ImageBuilder(platform=("linux", architecture)).layer(file(architecture))
        builder.write(tmp_path / "from", architecture)
    top = join_platforms(tmp_path / "from")["digest"]
    source = f"oci:{tmp_path}/from:all"
    done = store.orlop("copy", source, f"oci:{tmp_path}/to", "--platform", "linux/s390x")
    assert done.code == 0
    assert done.err.startswith("note: ")
    assert top in done.err
    assert top not in done.out
    store.pull(source, "--tag", "app:1", "--platform", "linux/amd64")
    done = store.orlop("save", "app:1", "-o", tmp_path / "out.tar")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("note: only linux/amd64 of index " + top)


def test_save_and_load_through_pipes(image, store, tmp_path):
    store.pull(image.source, "--tag", "app:1")
    with (tmp_path / "saved.tar").open("wb") as output:
        done = run(store, ["save", "app:1"], stdout=output)
    assert (done.code, done.err) == (0, "")
    other = StoreUnderTest(tmp_path / "other")
    with (tmp_path / "saved.tar").open("rb") as archive:
        loaded = other.command("load", stdin=archive)
    assert (loaded.code, loaded.out) == (0, "docker.io/library/app:1\n")
    assert other.images() == store.images()


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_copying_through_pipes(form, image, store, tmp_path):
    """An archive has standard output to itself: the digest is on standard error."""
    with (tmp_path / "piped").open("wb") as output:
        done = run(store, ["copy", image.source, f"{form}:-"], stdout=output)
    assert (done.code, done.err) == (0, f"{image.manifest['digest']}\n")
    with (tmp_path / "piped").open("rb") as archive:
        done = run(store, ["copy", f"{form}:-", f"oci:{tmp_path}/to"], stdin=archive)
    assert (done.code, done.out, done.err) == (0, f"{image.manifest['digest']}\n", "")


def test_save_writes_a_file_and_prints_nothing(image, store, tmp_path):
    store.pull(image.source, "--tag", "app:1")
    done = store.orlop("save", "app:1", "-o", tmp_path / "out:with:colons.tar")
    assert (done.code, done.out, done.err) == (0, "", "")
    done = store.orlop("load", "-i", tmp_path / "out:with:colons.tar")
    assert (done.code, done.out) == (0, "docker.io/library/app:1\n")


def test_the_time_of_members_comes_from_the_environment(image, store, tmp_path, monkeypatch):
    store.pull(image.source, "--tag", "app:1")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert store.orlop("save", "app:1", "-o", tmp_path / "out.tar").code == 0
    assert store.orlop("copy", image.source, f"oci-archive:{tmp_path}/copied.tar").code == 0
    for name in ("out.tar", "copied.tar"):
        with tarfile.open(tmp_path / name) as archive:
            assert {member.mtime for member in archive} == {1000000000}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    store.orlop("save", "app:1", "-o", tmp_path / "out.tar").check_failure(2, "yesterday")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["copy", "oci:nowhere", "oci:there"], 3, "copying oci:nowhere to oci:there"),
        (["copy", "oci:nowhere", "docker.io/library/x"], 1, "is in a registry"),
        (["copy", "oci:nowhere", "./path"], 2, "does not say what is to lie there"),
        (["copy", "oci:nowhere", "oci:there:@1"], 3, "no such directory"),
        (["copy", "--all", "docker.io/library/x", "oci:there"], 1, "in a registry"),
        (["copy", "--all", "store:x", "oci:there"], 2, "is one image"),
        (["copy", "store:", "oci:there"], 2, "names no image"),
        (["copy", "store:x", "out.tar"], 2, "does not say what is to lie there"),
        (["load", "oci:there:1"], 2, "is a place"),
        (["load", "one.tar", "two.tar"], 2, "'two.tar'"),
        (["save", "app:1", "-o", "oci:there"], 2, "is a place"),
        (["copy", "a", "oci:b", "--platform", "linux", "--all-platforms"], 2, "exclude"),
        (["copy", "oci:a", "oci:b", "--jobs", "0"], 2, "jobs"),
        (["load", "-i", "nowhere.tar"], 3, "no such file"),
        (["load", "-i", ""], 2, "empty"),
        (["save", "nothing", "-o", "out.tar"], 3, "nothing"),
        (["save", "nothing", "--format", "zip"], 2, "zip"),
    ],
)
def test_what_goes_wrong(arguments, code, says, image, store, tmp_path, monkeypatch):
    store.pull(image.source)
    monkeypatch.chdir(tmp_path)
    store.orlop(*arguments).check_failure(code, says)
    assert {each.name for each in tmp_path.iterdir()} == {"store", "from"}


def test_a_position_is_no_name_to_write(image, store, tmp_path):
    done = store.orlop("copy", image.source, f"oci:{tmp_path}/to:@1")
    done.check_failure(2, "no place to write to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("words", [["save", "app:1"], ["copy", "store:app:1", "oci-archive:-"]])
def test_no_archive_is_written_to_a_terminal(words, image, store):
    store.pull(image.source, "--tag", "app:1")
    done, shown = on_terminal(store, words, "stdout")
    done.check_failure(2, "not written to a terminal")
    assert shown == b""


@pytest.mark.parametrize("words", [["load"], ["copy", "docker-archive:-", "store:app:1"]])
def test_no_archive_is_read_from_a_terminal(words, store):
    done, _ = on_terminal(store, words, "stdin")
    done.check_failure(2, "not read from a terminal")


def on_terminal(store, words, which):
    """How a command ends one of whose streams is a terminal, and what that has shown."""
    controller, terminal = pty.openpty()
    try:
        done = run(store, words, **{which: terminal})
        os.set_blocking(controller, False)
        try:
            shown = os.read(controller, 1000)
        except BlockingIOError:
            shown = b""
    finally:
        os.close(controller)
        os.close(terminal)
    return done, shown


def run(store, words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE):
    program = "import sys; from orlop.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, *store.options, *words],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    return Outcome(done.returncode, done.stdout or "", done.stderr)


def test_pulling_all_platforms(store, tmp_path):
    for architecture in ("amd64", "arm64", "s390x"):
        builder = ImageBuilder(platform=("linux", architecture)).layer(file(architecture))
        builder.write(tmp_path / "from", architecture)
    top = join_platforms(tmp_path / "from")["digest"]
    store.pull(f"oci:{tmp_path}/from:all", "--all-platforms", "--tag", "app:1")
    store.collect()
    done = store.orlop("copy", "store:app:1", f"oci:{tmp_path}/to", "--all-platforms")
    assert (done.code, done.out.strip(), done.err) == (0, top, "")


def test_a_pipe_without_an_archive(store):
    done = store.command("load", stdin=subprocess.DEVNULL)
    done.check_failure(1, "- is empty")
    assert "has failed" in done.err


def test_several_images_are_listed_once(tmp_path, store):
    for number in range(12):
        ImageBuilder().layer(file(f"{number}")).write(tmp_path / "from", f"v{number}")
    done = store.orlop("copy", f"oci:{tmp_path}/from", f"oci:{tmp_path}/to")
    done.check_failure(1, "may mean any of 12 images")
    assert done.err.count(f"oci:{tmp_path}/from:v1,") == 1
    assert done.err.endswith(" and 2 more\n")


def test_load_takes_a_file_without_an_option(image, store, tmp_path):
    store.pull(image.source, "--tag", "app:1")
    assert store.orlop("save", "app:1", "-o", tmp_path / "out.tar").code == 0
    assert store.orlop("load", tmp_path / "out.tar").out == "docker.io/library/app:1\n"


@pytest.mark.parametrize(
    "words", [["save", "app:1"], ["copy", "store:app:1", "oci-archive:-"]], ids=["save", "copy"]
)
def test_an_archive_whose_reader_goes_away_is_no_success(image, store, words):
    store.pull(image.source, "--tag", "app:1")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(store, words, stdout=writer)
    finally:
        os.close(writer)
    done.check_failure(1, "its reader has gone")
