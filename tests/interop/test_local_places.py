"""What umoci, skopeo, buildah and podman write, read back and compared with their own reading."""

import gzip
import json
import os
import shutil
import subprocess
import time

import pytest

from orlop.compression import Decompressor
from orlop.digest import Digest
from orlop.errors import AmbiguousError
from orlop.layout import list_images, open_source, parse_place
from orlop.mediatype import is_index
from orlop.spec.config import ImageConfig
from orlop.spec.document import decode_document
from support.peers import short_directory

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.geteuid() != 0, reason="umoci, buildah and podman run as root here"),
    *(
        pytest.mark.skipif(shutil.which(tool) is None, reason=f"needs {tool}")
        for tool in ("umoci", "skopeo", "buildah", "podman")
    ),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a tool in a directory of its own, and return what it prints."""
    directory = tmp_path_factory.mktemp("places")
    environment = {**os.environ, "TMPDIR": str(directory)}
    storage = [f"--root={directory}/root", "--storage-driver=vfs"]

    def call(tool, *arguments):
        options = [*storage, f"--runroot={place}"] if tool in {"buildah", "podman"} else []
        command = [tool, *options, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    call.directory = directory
    with short_directory() as place:
        yield call


@pytest.fixture(scope="module")
def layout(run):
    """A layout that umoci made, with the images `one` of one layer and `two` of another on top."""
    run("umoci", "init", "--layout", "layout")
    run("umoci", "new", "--image", "layout:one")
    for number, tag in enumerate(("one", "two")):
        bundle = run.directory / f"bundle{number}"
        run("umoci", "unpack", "--image", "layout:one", bundle)
        (bundle / "rootfs" / tag).write_bytes(tag.encode() * 100_000)
        run("umoci", "repack", "--image", f"layout:{tag}", bundle)
    return run.directory / "layout"


@pytest.fixture(scope="module")
def built(run):
    """The name of an image that buildah committed from scratch."""
    (run.directory / "file").write_bytes(b"built" * 1000)
    container = run("buildah", "from", "scratch").decode().strip()
    run("buildah", "copy", container, "file", "/file")
    run("buildah", "config", "--env", "A=B", container)
    run("buildah", "commit", "-q", container, "localhost/built:v1")
    return "localhost/built:v1"


def at(run, text):
    """A place below the directory that the tools run in."""
    transport, _, path = text.partition(":")
    return parse_place(f"{transport}:{run.directory}/{path}")


def read_image(source, target=None):
    """The manifest, config and layers below a descriptor, every byte verified."""
    target = target or source.resolve()
    raw = source.read(target)
    manifest = decode_document(raw, target.media_type)
    layers = []
    for layer in manifest.layers:
        with source.open(layer) as stream:
            data = b"".join(iter(lambda stream=stream: stream.read(1 << 16), b""))
        assert Digest.of(data) == layer.digest
        layers.append(data)
    return raw, source.read(manifest.config), layers


def read_place(run, text):
    with open_source(at(run, text)) as source:
        return read_image(source)


def decompressed(data):
    decompressor = Decompressor()
    return b"".join([*decompressor.feed(data), *decompressor.close()])


@pytest.mark.parametrize("tag", ["one", "two"])
def test_a_layout_of_umoci(run, layout, tag):
    raw, config, layers = read_place(run, f"oci:layout:{tag}")
    assert raw == run("skopeo", "inspect", "--raw", f"oci:layout:{tag}")
    assert config == run("skopeo", "inspect", "--raw", "--config", f"oci:layout:{tag}")
    tars = [Digest.of(decompressed(layer)) for layer in layers]
    assert tars == list(ImageConfig.decode(config).diff_ids)
    assert len(tars) == {"one": 1, "two": 2}[tag]


def test_a_layout_of_umoci_with_several_images(run, layout):
    assert [image.selector for image in list_images(at(run, "oci:layout"))] == ["one", "two"]
    with pytest.raises(AmbiguousError) as caught:
        open_source(at(run, "oci:layout"))
    assert caught.value.candidates == (f"oci:{layout}:one", f"oci:{layout}:two")


@pytest.mark.parametrize("form", ["oci-archive:copy.oci.tar:v1", "dir:copy", "oci:copy-layout:v1"])
def test_copies_of_skopeo_are_byte_for_byte(run, layout, form):
    run("skopeo", "copy", "--preserve-digests", "oci:layout:two", form)
    assert read_place(run, form) == read_place(run, "oci:layout:two")


def test_a_docker_archive_of_skopeo(run, layout):
    place = "docker-archive:copy.docker.tar"
    run("skopeo", "copy", "oci:layout:two", f"{place}:localhost/two:v1")
    _, config, layers = read_place(run, place)
    _, original, compressed = read_place(run, "oci:layout:two")
    assert ImageConfig.decode(config).diff_ids == ImageConfig.decode(original).diff_ids
    assert layers == [decompressed(layer) for layer in compressed]
    assert config == run("skopeo", "inspect", "--raw", "--config", place)
    with open_source(at(run, f"{place}:localhost/two:v1")) as source:
        assert source.names == ("localhost/two:v1",)


def test_a_docker_archive_compressed_as_a_whole(run, layout):
    run("skopeo", "copy", "oci:layout:one", "docker-archive:plain.tar:localhost/one:v1")
    plain = (run.directory / "plain.tar").read_bytes()
    (run.directory / "plain.tar.gz").write_bytes(gzip.compress(plain))
    place = at(run, "docker-archive:plain.tar.gz")
    with open_source(place, spool=run.directory) as source:
        assert read_image(source) == read_place(run, "docker-archive:plain.tar")


def test_a_docker_archive_of_podman_with_several_images(run, layout, built):
    other = run("podman", "pull", "-q", "oci:layout:two").decode().strip()
    run("podman", "tag", other, "localhost/two:a", "localhost/two:b")
    run(
        "podman",
        "save",
        "-q",
        "-m",
        "-o",
        "several.tar",
        built,
        "localhost/two:a",
        "localhost/two:b",
    )
    place = "docker-archive:several.tar"
    listed = list_images(at(run, place))
    names = {name for image in listed for name in image.names}
    assert names == set(json.loads(run("skopeo", "list-tags", place))["Tags"])
    assert {built, "localhost/two:a", "localhost/two:b"} <= names
    for name in names:
        _, config, layers = read_place(run, f"{place}:{name}")
        assert config == run("skopeo", "inspect", "--raw", "--config", f"{place}:{name}")
        assert [Digest.of(tar) for tar in layers] == list(ImageConfig.decode(config).diff_ids)


@pytest.mark.parametrize("form", ["oci:built:v1", "oci-archive:built.tar:v1", "dir:built-dir"])
def test_what_buildah_pushes(run, built, form):
    run("buildah", "push", "-q", built, form)
    raw, config, layers = read_place(run, form)
    assert raw == run("skopeo", "inspect", "--raw", form)
    assert [Digest.of(decompressed(layer)) for layer in layers] == list(
        ImageConfig.decode(config).diff_ids
    )
    assert ImageConfig.decode(config).config.env == ("A=B",)


@pytest.mark.parametrize("form", ["oci:list:multi", "dir:list-dir"])
def test_an_index_that_buildah_pushes(run, built, form):
    name = f"list-{form.partition(':')[0]}"
    run("buildah", "manifest", "create", name)
    run("buildah", "manifest", "add", name, built)
    run("buildah", "manifest", "push", "-q", "--all", name, form)
    with open_source(at(run, form)) as source:
        target = source.resolve()
        assert is_index(target.media_type)
        assert source.read(target) == run("skopeo", "inspect", "--raw", form)
        (child,) = decode_document(source.read(target), target.media_type).manifests
        _, config, layers = read_image(source, child)
        assert len(layers) == len(ImageConfig.decode(config).diff_ids) == 1


@pytest.fixture(scope="module")
def ctr(run):
    """The client of a containerd that runs for these tests only."""
    if shutil.which("containerd") is None or shutil.which("ctr") is None:
        pytest.skip("needs containerd")
    directory = run.directory / "containerd"
    directory.mkdir()
    socket = directory / "socket"
    config = directory / "config.toml"
    config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    places = ["--root", directory / "root", "--state", directory / "state", "--address", socket]
    command = ["containerd", "--config", config, *places, "--log-level", "error"]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(server, socket)
        yield lambda *arguments: run("ctr", "--address", socket, *arguments)
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(server, socket):
    for _ in range(200):
        assert server.poll() is None, "containerd ended"
        command = ["ctr", "--address", str(socket), "--timeout", "5s", "version"]
        if socket.exists() and succeeds(command):
            return
        time.sleep(0.05)
    pytest.fail("containerd does not answer")


def test_an_export_of_containerd_keeps_its_manifests_and_names(run, layout, ctr):
    run("skopeo", "copy", "oci:layout:one", "oci-archive:to-import.tar:one")
    names = ["localhost/app:one", "localhost/app:a", "quay.io/other/name:b"]
    ctr(
        "images",
        "import",
        "--no-unpack",
        "--base-name",
        "localhost/app",
        run.directory / "to-import.tar",
    )
    for name in names[1:]:
        ctr("images", "tag", names[0], name)
    ctr("images", "export", run.directory / "exported.tar", *names)
    original = read_place(run, "oci:layout:one")
    for form in ("docker-archive", "oci-archive"):
        place = f"{form}:exported.tar"
        listed = list_images(at(run, place))
        assert {name for image in listed for name in image.names} == set(names)
        assert read_place(run, place) == original
        for name in names:
            assert read_place(run, f"{place}:{name}") == original


def succeeds(command):
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
