"""Which store, driver and options a command line, an environment and a file mean."""

import pytest

from orlop.errors import InvalidError, LimitExceededError, UnsupportedError
from orlop.storagecmd.options import parse
from orlop.storagecmd.settings import MAX_CONFIG_SIZE, Settings, settings_of, split_option
from orlop.storagecmd.verbs import COMMON


def settings(*words, **environ):
    return settings_of(parse(COMMON, words), environ)


def test_options_come_first():
    found = settings(
        "-g", "/g", "-R", "/r", "-s", "vfs", "--image-store", "/i", "--transient-store", "-D",
        "--storage-opt", "vfs.imagestore=/a",
        STORAGE_DRIVER="overlay", STORAGE_OPTS="x=y", ORLOP_ROOT="/o", ORLOP_RUN="/p",
    )  # fmt: skip
    assert found == Settings(
        root="/g", run="/r", image_store="/i", driver="vfs", options=("vfs.imagestore=/a",),
        transient=True, debug=True,
    )  # fmt: skip


def test_the_environment_comes_then():
    found = settings(
        "-g", "/g", STORAGE_DRIVER="overlay", STORAGE_OPTS=".imagestore=/a,.mountopt=nodev",
        ORLOP_RUN="/p",
    )  # fmt: skip
    assert (found.root, found.run, found.driver) == ("/g", "/p", "overlay")
    assert (found.additional, found.mount_flags) == (("/a",), {"nodev"})


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "storage.conf"
    path.write_text(
        '[storage]\ndriver = "overlay"\ngraphroot = "/cg"\nrunroot = "/cr"\nimagestore = "/ci"\n'
        'transient_store = true\n[storage.options]\nadditionalimagestores = ["/a", "/b"]\n'
        '[storage.options.overlay]\nmountopt = "nodev,metacopy=on"\n'
    )
    return str(path)


def test_a_configuration_holds_where_no_option_says_which_store(config):
    found = settings(CONTAINERS_STORAGE_CONF=config)
    assert (found.root, found.run, found.driver) == ("/cg", "/cr", "overlay")
    assert (found.image_store, found.transient) == ("/ci", True)
    assert (found.additional, found.mount_flags) == (("/a", "/b"), {"nodev"})
    assert settings("-g", "/g", CONTAINERS_STORAGE_CONF=config) == Settings(root="/g")


@pytest.mark.parametrize("text", ["[", "[storage\n", "\xff"])
def test_what_is_no_configuration_is_refused(tmp_path, text):
    path = tmp_path / "storage.conf"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidError, match=r"storage\.conf: no configuration"):
        settings(CONTAINERS_STORAGE_CONF=str(path))


def test_values_of_another_type_are_none(tmp_path):
    path = tmp_path / "storage.conf"
    path.write_text("storage = 1\n")
    assert settings(CONTAINERS_STORAGE_CONF=str(path)) == Settings()
    path.write_text("[storage]\ngraphroot = 1\noptions = 2\n")
    assert settings(CONTAINERS_STORAGE_CONF=str(path)) == Settings()


def test_a_configuration_has_a_limit(tmp_path):
    path = tmp_path / "storage.conf"
    path.write_bytes(b"#" * (MAX_CONFIG_SIZE + 1))
    with pytest.raises(LimitExceededError, match="MAX_CONFIG_SIZE"):
        settings(CONTAINERS_STORAGE_CONF=str(path))


@pytest.mark.parametrize(
    ("option", "meaning"),
    [
        ("vfs.imagestore=/a", ("imagestore", "/a")),
        (".imagestore=/a=b", ("imagestore", "/a=b")),
        ("overlay2.Size= 1", ("size", "1")),
        ("plain=", ("plain", "")),
    ],
)
def test_an_option_is_a_key_and_a_value(option, meaning):
    assert split_option(option) == meaning


def test_an_option_without_a_value_is_none():
    with pytest.raises(InvalidError, match="unable to parse key/value option: c"):
        settings("--storage-opt", "c")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-s", "btrfs"], "driver not supported"),
        (["--storage-opt", "overlay.size=1G"], "no driver of orlop has the option size"),
        (["--storage-opt", "vfs.ignore_chown_errors=true"], "ignore_chown_errors"),
        (["--storage-opt", "overlay.mountopt=nodev,uid=3"], "mount option uid=3"),
    ],
)
def test_what_is_asked_for_and_cannot_be_had_is_refused(words, message):
    with pytest.raises(UnsupportedError, match=message):
        settings(*words)


def test_an_additional_store_has_an_absolute_path():
    with pytest.raises(InvalidError, match='"rel" is not absolute'):
        settings("--storage-opt", ".imagestore=rel")
