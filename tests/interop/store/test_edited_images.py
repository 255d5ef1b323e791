"""What orlop makes of images by editing them, read and unpacked by umoci, podman and containerd."""

import json
import os
import random
from functools import partial

import pytest

import orlop
from orlop.storage.layers.tarball import has_foreign_links
from support.images import ImageBuilder, directory, file, symlink, tar
from support.marks import needs_root, needs_tools
from support.peers import ContainersStorage, containerd, run, umoci_unpack
from support.random_images import RandomImage
from support.views import below, differences, view

pytestmark = [
    *needs_root,
    *needs_tools("umoci", "podman", "skopeo", "containerd", "ctr"),
]

NAME = "docker.io/library/edited:1"
SEEDS = range(12)


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    """Its place has a short name: podman takes no long ones."""
    storage = ContainersStorage(tmp_path_factory.mktemp("e") / "s", "overlay")
    yield storage
    storage.close()


@pytest.fixture(scope="module")
def ctr(tmp_path_factory):
    with containerd(tmp_path_factory.mktemp("containerd") / "place") as client:
        yield client


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run", driver="erofs") as store:
        yield store


class Peers:
    """Shows an image of a store with each of the peers.

    Args:
        store: The store.
        place: A directory for copies.
        podman: Its store.
        ctr: What calls containerd's client.
    """

    def __init__(self, store, place, podman, ctr):
        self._store = store
        self._place = place
        self._podman = podman
        self._ctr = ctr

    def umoci(self, name):
        layout = self._place / f"umoci-{name.replace(':', '-')}"
        orlop.copy(f"store:{name}", f"oci:{layout}:x", store=self._store)
        return view(umoci_unpack(layout, "x", self._place / f"rootfs-{layout.name}"))

    def podman(self, name):
        layout = self._place / f"podman-{name.replace(':', '-')}"
        orlop.copy(f"store:{name}", f"oci:{layout}:x", store=self._store)
        return view(self._podman.mount(f"oci:{layout}:x"))

    def containerd(self, name):
        archive = self._place / "image.tar"
        orlop.copy(f"store:{name}", f"oci-archive:{archive}:{NAME}", store=self._store)
        self._ctr("images", "import", archive)
        target = self._place / "ctr"
        target.mkdir(exist_ok=True)
        self._ctr("images", "mount", NAME, target)
        try:
            return view(target)
        finally:
            self._ctr("images", "unmount", "--rm", target)
            self._ctr("images", "rm", NAME)


@pytest.fixture
def peers(store, tmp_path, podman, ctr):
    return Peers(store, tmp_path, podman, ctr)


def shown(store, name):
    with store.image(name).mount() as path:
        return view(path)


def links_stay(store, name):
    """Whether no layer links into one below, which peers that unpack each alone cannot follow."""
    forms = store.storage.forms
    return not any(
        has_foreign_links(forms.changeset(each)) for each in store.image(name).config.diff_ids
    )


def check(store, peers, name, expected):
    """Everybody shows an image as is expected."""
    assert differences(expected, shown(store, name)) == []
    assert differences(expected, peers.umoci(name)) == []
    if links_stay(store, name):
        assert differences(expected, peers.podman(name), root=False) == []
        assert differences(expected, peers.containerd(name), root=False) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_merged_layers_of_random_images(seed, store, peers, tmp_path):
    """Squashing and flattening change nothing that anybody sees.

    podman and containerd cannot unpack every layer that umoci can: they are shown a squashed layer
    over one that orlop made.
    """
    layers = [tar(*layer) for layer in RandomImage(seed).layers]
    source = ImageBuilder("none", tars=layers).write(tmp_path / "from").source
    image = store.pull(source, tag="made:1")
    expected = shown(store, "made:1")
    image.flatten().save("flat:1")
    assert links_stay(store, "flat:1")
    check(store, peers, "flat:1", expected)
    for count in range(1, len(layers)):
        name = f"squashed:{count}"
        image.squash(count).save(name)
        assert differences(expected, shown(store, name)) == []
        assert differences(expected, peers.umoci(name)) == []
    if len(layers) > 1:
        lowest = random.Random(seed).randint(1, len(layers) - 1)
        builder = ImageBuilder("none", tars=layers[:lowest])
        base = store.pull(builder.write(tmp_path / "low").source, tag="low:1").flatten()
        draft = base.save("base:1").edit()
        for each in layers[lowest:]:
            draft = draft.append(each)
        draft.squash(since="base:1").save("above:1")
        assert links_stay(store, "above:1")
        check(store, peers, "above:1", expected)


@pytest.mark.parametrize("seed", [1, 4, 9])
def test_an_appended_directory(seed, store, peers, tmp_path):
    """A random tree as umoci unpacks it, put below a directory that a link leads to."""
    layers = RandomImage(seed).layers
    layout = ImageBuilder("none", tars=[tar(*layer) for layer in layers]).write(tmp_path / "tree")
    tree = umoci_unpack(layout.path, "latest", tmp_path / "appended")
    base = ImageBuilder().layer(
        directory("usr", mode=0o711, uid=9), directory("usr/lib", mtime=86400),
        file("usr/lib/old", b"old"), symlink("lib", "usr/lib"),
    )  # fmt: skip
    image = store.pull(base.write(tmp_path / "base").source, tag="base:1")
    image.append(tree, target="/lib/new").save("made:1")
    expected = shown(store, "made:1")
    found = below(expected, "usr/lib/new")
    assert differences(view(tree), found, root=False) == []
    assert below(expected, "usr").uid == 9
    check(store, peers, "made:1", expected)


def test_a_tar_that_turns_one_image_into_another(store, peers, tmp_path):
    for seed in (2, 5):
        layers = RandomImage(seed).layers
        builder = ImageBuilder("none", tars=[tar(*layer) for layer in layers])
        store.pull(builder.write(tmp_path / f"{seed}").source, tag=f"made:{seed}")
    with store.diff("made:2", "made:5").open() as stream:
        store.image("made:2").append(stream).save("turned:1")
    check(store, peers, "turned:1", shown(store, "made:5"))


CONFIG = {
    "created": "2024-01-01T00:00:00Z",
    "author": "them",
    "config": {
        "User": "root", "Env": ["PATH=/bin", "A=1"], "Cmd": ["sh"], "Entrypoint": ["/init"],
        "Labels": {"x": "1"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}},
        "WorkingDir": "/", "StopSignal": "SIGTERM",
    },
    "history": [{"created_by": "one"}],
}  # fmt: skip

EDITS = [
    (["--config.user=1:2"], ["--user", "1:2"]),
    (["--config.env=A=2", "--config.env=B=x=y"], ["--env", "A=2", "--env", "B=x=y"]),
    (["--clear=config.env", "--config.env=N=1"], ["--clear", "config.env", "--env", "N=1"]),
    (["--config.entrypoint=/a", "--config.entrypoint=b c"], ["--entrypoint", '["/a","b c"]']),
    (["--config.entrypoint=/a", "--config.entrypoint=b"],
     ["--entrypoint", "/a", "--entrypoint", "b"]),
    (["--config.cmd=a", "--config.cmd=-b"], ["--cmd", "a", "--cmd", "-b"]),
    (["--clear=config.cmd", "--clear=config.entrypoint"],
     ["--clear", "cmd", "--clear", "entrypoint"]),
    (["--config.workingdir=/srv"], ["--workdir", "/srv"]),
    (["--config.label=y=2", "--config.label=x="], ["--label", "y=2", "--label", "x="]),
    (["--clear=config.labels"], ["--clear", "labels"]),
    (["--config.exposedports=53/udp"], ["--expose", "53/udp"]),
    (["--clear=config.exposedports", "--config.exposedports=1"],
     ["--clear", "config.exposedports", "--expose", "1"]),
    (["--config.volume=/w"], ["--volume", "/w"]),
    (["--clear=config.volume"], ["--clear", "config.volume"]),
    (["--config.stopsignal=SIGINT"], ["--stop-signal", "SIGINT"]),
    (["--author=me"], ["--author", "me"]),
    (["--created=2024-02-03T04:05:06Z"], ["--created", "2024-02-03T04:05:06Z"]),
    (["--os=linux", "--architecture=arm64"], ["--os", "linux", "--arch", "arm64"]),
    (["--manifest.annotation=k=v"], ["--annotation", "k=v"]),
]  # fmt: skip


@pytest.mark.parametrize(("umoci", "ours"), EDITS)
def test_the_same_edit_by_umoci(umoci, ours, tmp_path, monkeypatch):
    """All fields are the same afterwards, but for the time and the words of the history."""
    from support.stores import StoreUnderTest

    layout = ImageBuilder(config=CONFIG).layer(file("a")).write(tmp_path / "l", "base")
    run("umoci", "config", f"--image={layout.path}:base", "--tag=theirs", *umoci)
    store = StoreUnderTest(tmp_path / "s", "directory")
    store.root.parent.mkdir()
    store.pull(layout.source, "--tag", "base:1")
    done = store.orlop("config", "base:1", "--tag", "mine:1", *ours)
    assert done.code == 0, done
    assert store.orlop("copy", "store:mine:1", f"oci:{layout.path}:ours").code == 0
    theirs, mine = (documents(layout.path, tag) for tag in ("theirs", "ours"))
    assert mine[0].get("annotations") == theirs[0].get("annotations")
    assert mine[0]["layers"] == theirs[0]["layers"]
    for found in (theirs[1], mine[1]):
        assert [step.get("empty_layer", False) for step in found.pop("history")] == [False, True]
        if "--created" not in ours:
            found.pop("created")
    assert mine[1] == theirs[1]


def documents(layout, tag):
    raw = (run("skopeo", "inspect", *more, f"oci:{layout}:{tag}") for more in
           (("--raw",), ("--config", "--raw")))  # fmt: skip
    return tuple(map(json.loads, raw))


def test_podman_and_skopeo_read_an_edited_config(store, podman, tmp_path):
    image = store.pull(
        ImageBuilder(config=CONFIG).layer(file("a")).write(tmp_path / "l").source, tag="base:1"
    )
    made = image.append(tar(file("b"))).with_config(
        user="7:8", env={"A": "2", "N": "ü\n"}, entrypoint=["/e", "x y"], cmd=["-c"],
        working_dir="/w", labels={"l": "v"}, exposed_ports=["53/udp"], volumes=["/d"],
        stop_signal="SIGINT", author="me", healthcheck={"Test": ["CMD", "ok"], "Retries": 3},
        annotations={"org.example.a": "b"}, comment="why",
    )  # fmt: skip
    made = made.squash(1).save("made:1")
    orlop.copy("store:made:1", f"oci:{tmp_path / 'out'}:x", store=store)
    found = json.loads(
        podman.podman("inspect", podman.podman("pull", "-q", f"oci:{tmp_path}/out:x"))
    )
    config = found[0]["Config"]
    assert found[0]["Id"] == made.id.encoded
    assert found[0]["RootFS"]["Layers"] == list(made.config.diff_ids)
    assert found[0]["Annotations"]["org.example.a"] == "b"
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("7:8", "/w", "SIGINT")
    assert config["Env"] == ["PATH=/bin", "A=2", "N=ü\n"]
    assert (config["Entrypoint"], config["Cmd"]) == (["/e", "x y"], ["-c"])
    assert config["Labels"] == {"x": "1", "l": "v"}
    assert set(config["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert set(config["Volumes"]) == {"/v", "/d"}
    assert found[0]["Author"] == "me"
    assert len(found[0]["History"]) == len(made.config.history)
    told = json.loads(run("skopeo", "inspect", f"oci:{tmp_path}/out:x"))
    assert told["Env"] == config["Env"]
    assert told["Layers"] == [str(layer.digest) for layer in made.manifest.layers]
    assert run("umoci", "stat", f"--image={tmp_path}/out:x", "--json")


def test_podman_goes_on_with_an_image_that_had_no_history(store, podman, tmp_path):
    """It refuses to commit one whose history tells of other layers than there are."""
    builder = ImageBuilder(config={"history": [{"created_by": "x"}]}).layer(file("a"))
    image = store.pull(builder.layer(file("b")).write(tmp_path / "l").source, tag="base:1")
    image.with_config(cmd=["x"]).append(tar(file("c"))).squash(2).save("made:1")
    orlop.copy("store:made:1", f"oci:{tmp_path / 'out'}:x", store=store)
    pulled = podman.podman("pull", "-q", f"oci:{tmp_path}/out:x")
    container = podman.podman("create", pulled)
    podman.podman("commit", "-q", container, "again")
    podman.podman("push", "again", f"oci:{tmp_path}/again:x")
    podman.podman("rm", container)


def test_peers_choose_from_an_index(store, podman, tmp_path):
    for arch in ("amd64", "arm64"):
        builder = ImageBuilder(platform=("linux", arch)).layer(file(arch))
        source = builder.write(tmp_path / "l", arch).source
        store.pull(source, tag=f"app:{arch}", platform=f"linux/{arch}")
    made = store.make_index("app:1", ["app:amd64", "app:arm64"], annotations={"k": "v"})
    orlop.copy("store:app:1", f"oci:{tmp_path / 'out'}:x", store=store, all_platforms=True)
    raw = run("skopeo", "inspect", "--raw", f"oci:{tmp_path}/out:x")
    assert raw.encode() == made.read_target()
    run("skopeo", "copy", "--all", f"oci:{tmp_path}/out:x", f"oci:{tmp_path}/copy:x")
    inspect = partial(run, "skopeo", "--override-arch", "arm64", "inspect", "--config")
    assert json.loads(inspect(f"oci:{tmp_path}/copy:x"))["architecture"] == "arm64"
    podman.podman("pull", "-q", "--arch", "arm64", f"oci:{tmp_path}/copy:x")


def test_what_is_rebased_is_unpacked_alike(store, peers, tmp_path):
    old = ImageBuilder().layer(directory("etc"), file("etc/a", b"old"), file("gone"))
    new = ImageBuilder().layer(directory("etc", uid=4), file("etc/a", b"new"), file("etc/b", b"b"))
    for tag, builder in (("old", old), ("new", new)):
        store.pull(builder.write(tmp_path / tag).source, tag=f"{tag}:1")
    (tmp_path / "app").mkdir()
    os.mkfifo(tmp_path / "app/pipe")
    store.image("old:1").append(tmp_path / "app", target="/etc/app").save("app:1")
    store.image("app:1").rebase("old:1", "new:1").save("app:2")
    expected = shown(store, "app:2")
    assert below(expected, "etc/app/pipe")
    check(store, peers, "app:2", expected)
