import hashlib
import json
from dataclasses import replace

import pytest

from orlop.digest import Digest, chain_id, chain_ids
from orlop.errors import InvalidDocumentError, LimitExceededError, UnsupportedError
from orlop.mediatype import DOCKER_CONFIG, OCI_CONFIG, OCI_EMPTY, OCI_LAYER_GZIP
from orlop.platform import Platform
from orlop.spec.config import MAX_HISTORY, ImageConfig, check_layers
from orlop.spec.container import ContainerConfig
from orlop.spec.descriptor import Descriptor
from orlop.spec.history import History
from orlop.spec.manifest import MAX_LAYERS, Manifest

A, B, C = (Digest.of(letter) for letter in (b"A", b"B", b"C"))
PLAIN = {
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": [A, B]},
}
FULL = {
    "created": "2015-10-31T22:22:56.015925234Z",
    "author": "Alyssa P. Hacker <alyspdev@example.com>",
    "architecture": "arm",
    "os": "linux",
    "os.version": "1",
    "os.features": ["x"],
    "variant": "v7",
    "config": {
        "User": "alice:1000",
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Env": ["PATH=/bin", "EMPTY=", "ODD"],
        "Entrypoint": ["/bin/app"],
        "Cmd": ["--config", ""],
        "Volumes": {"/var/data": {}},
        "WorkingDir": "/home/alice",
        "Labels": {"com.example": "y"},
        "StopSignal": "SIGRTMIN+3",
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5000000000},
        "ArgsEscaped": True,
        "OnBuild": None,
    },
    "rootfs": {"type": "layers", "diff_ids": [A, B], "base_layer": "x"},
    "history": [
        {"created": "2015-10-31T22:22:54Z", "created_by": "ADD", "author": "a", "comment": "c"},
        {"created_by": "CMD", "empty_layer": True, "unknown": 1},
        {},
    ],
    "docker_version": "1.2",
    "container_config": {"Cmd": None},
}


def encode(document):
    return json.dumps(document, indent=1).encode()


def test_every_field_is_decoded():
    found = ImageConfig.decode(encode(FULL))
    assert found.platform == Platform(
        os="linux", architecture="arm", variant="v7", os_version="1", os_features=("x",)
    )
    assert found.diff_ids == (A, B)
    assert found.created == "2015-10-31T22:22:56.015925234Z"
    assert found.author == "Alyssa P. Hacker <alyspdev@example.com>"
    assert found.config == ContainerConfig(
        user="alice:1000",
        exposed_ports=("8080/tcp", "53/udp"),
        env=("PATH=/bin", "EMPTY=", "ODD"),
        entrypoint=("/bin/app",),
        cmd=("--config", ""),
        volumes=("/var/data",),
        working_dir="/home/alice",
        labels={"com.example": "y"},
        stop_signal="SIGRTMIN+3",
        healthcheck={"Test": ["CMD", "true"], "Interval": 5000000000},
        extra={"ArgsEscaped": True, "OnBuild": None},
    )
    assert found.history == (
        History(created="2015-10-31T22:22:54Z", created_by="ADD", author="a", comment="c"),
        History(created_by="CMD", empty_layer=True, extra={"unknown": 1}),
        History(),
    )
    assert found.extra == {"docker_version": "1.2", "container_config": {"Cmd": None}}
    assert found.rootfs_extra == {"base_layer": "x"}


def test_bytes_are_kept_and_name_the_image():
    raw = encode(FULL)
    found = ImageConfig.decode(raw)
    assert found.raw == raw
    assert found.image_id == Digest.of(raw)
    assert found.descriptor() == Descriptor.of(OCI_CONFIG, raw)


@pytest.mark.parametrize("document", [PLAIN, FULL])
def test_encoding_loses_nothing(document):
    found = ImageConfig.decode(encode(document))
    assert json.loads(found.encode()) == document
    assert ImageConfig.decode(found.encode()) == found


def test_edit_keeps_what_is_unknown():
    found = ImageConfig.decode(encode(FULL))
    edited = replace(found, config=replace(found.config, env=("A=b",), labels={}))
    expected = json.loads(encode(FULL))
    expected["config"]["Env"] = ["A=b"]
    del expected["config"]["Labels"]
    assert json.loads(edited.raw) == expected


def test_null_counts_as_absent():
    names = ("created", "author", "variant", "os.version", "os.features", "config", "history")
    assert ImageConfig.decode(encode(PLAIN | dict.fromkeys(names))) == ImageConfig.decode(
        encode(PLAIN)
    )
    container = dict.fromkeys(key for key in FULL["config"] if key != "ArgsEscaped")
    found = ImageConfig.decode(encode(PLAIN | {"config": container}))
    assert replace(found.config, extra={}) == ContainerConfig()


@pytest.mark.parametrize("rootfs", [{"type": "layers"}, {"type": "layers", "diff_ids": None}])
def test_image_of_no_layers_has_no_diff_ids(rootfs):
    found = ImageConfig.decode(encode(PLAIN | {"rootfs": rootfs}))
    assert (found.diff_ids, found.chain_ids) == ((), ())


def test_empty_platform_is_kept():
    found = ImageConfig.decode(encode(PLAIN | {"os": "", "architecture": ""}))
    assert found.platform == Platform(os="", architecture="")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"architecture": None}, "$.architecture"),
        ({"os": 1}, "$.os"),
        ({"os.features": "x"}, "$['os.features']"),
        ({"variant": []}, "$.variant"),
        ({"created": "yesterday"}, "$.created"),
        ({"created": "2015-13-31T22:22:56Z"}, "$.created"),
        ({"created": "2015-10-31T22:22:56"}, "$.created"),
        ({"created": "2015-10-31T22:22:56Z\n"}, "$.created"),
        ({"created": 0}, "$.created"),
        ({"author": {}}, "$.author"),
        ({"rootfs": None}, "$.rootfs"),
        ({"rootfs": {"diff_ids": [A]}}, "$.rootfs.type"),
        ({"rootfs": {"type": "windows", "diff_ids": [A]}}, "$.rootfs.type"),
        ({"rootfs": {"type": "layers", "diff_ids": {}}}, "$.rootfs.diff_ids"),
        ({"rootfs": {"type": "layers", "diff_ids": [A, "x"]}}, "$.rootfs.diff_ids[1]"),
        ({"rootfs": {"type": "layers", "diff_ids": [None]}}, "$.rootfs.diff_ids[0]"),
        ({"rootfs": {"type": "layers", "diff_IDs": [A]}}, "$.rootfs.diff_IDs"),
        ({"history": {}}, "$.history"),
        ({"history": [None]}, "$.history[0]"),
        ({"history": [{}, {"empty_layer": "true"}]}, "$.history[1].empty_layer"),
        ({"history": [{"created": "x"}]}, "$.history[0].created"),
        ({"history": [{"Empty_Layer": True}]}, "$.history[0].Empty_Layer"),
        ({"config": []}, "$.config"),
        ({"config": {"User": 0}}, "$.config.User"),
        ({"config": {"Env": {}}}, "$.config.Env"),
        ({"config": {"Env": [1]}}, "$.config.Env"),
        ({"config": {"Entrypoint": "/bin/sh"}}, "$.config.Entrypoint"),
        ({"config": {"Cmd": [None]}}, "$.config.Cmd"),
        ({"config": {"Volumes": ["/data"]}}, "$.config.Volumes"),
        ({"config": {"Volumes": {"/data": 1}}}, "$.config.Volumes['/data']"),
        ({"config": {"ExposedPorts": {"80": "x"}}}, "$.config.ExposedPorts['80']"),
        ({"config": {"Labels": {"a": 1}}}, "$.config.Labels.a"),
        ({"config": {"StopSignal": 9}}, "$.config.StopSignal"),
        ({"config": {"WorkingDir": False}}, "$.config.WorkingDir"),
        ({"config": {"Healthcheck": "true"}}, "$.config.Healthcheck"),
        ({"config": {"env": ["A=b"]}}, "$.config.env"),
        ({"OS": "windows"}, "$.OS"),
        ({"Config": {}}, "$.Config"),
    ],
)
def test_broken_fields_are_refused_with_their_path(change, where):
    with pytest.raises(InvalidDocumentError) as caught:
        ImageConfig.decode(encode(PLAIN | change))
    assert caught.value.where == where


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:01+00:00",
        "2015-10-31t22:22:56.1z",
        "2016-12-31T23:59:60Z",
        "2015-10-31T22:22:56.015925234-12:30",
    ],
)
def test_times_are_kept_as_they_are_written(text):
    assert ImageConfig.decode(encode(PLAIN | {"created": text})).created == text


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        ({"history": [{}] * (MAX_HISTORY + 1)}, "MAX_HISTORY"),
        ({"rootfs": {"type": "layers", "diff_ids": [A] * (MAX_LAYERS + 1)}}, "MAX_LAYERS"),
        ({"config": {"Env": ["a"] * 65537}}, "MAX_STRINGS"),
        ({"config": {"Labels": {str(i): "" for i in range(4097)}}}, "MAX_ANNOTATIONS"),
        ({"os.features": ["x"] * 257}, "MAX_OS_FEATURES"),
    ],
)
def test_counts_are_limited(change, limit):
    with pytest.raises(LimitExceededError) as caught:
        ImageConfig.decode(encode(PLAIN | change))
    assert caught.value.limit == limit


def test_docker_config_is_decoded_as_its_twin():
    assert ImageConfig.decode(encode(PLAIN), DOCKER_CONFIG).diff_ids == (A, B)


@pytest.mark.parametrize("media_type", [OCI_EMPTY, "application/vnd.cncf.helm.config.v1+json"])
def test_configs_of_artifacts_are_not_parsed(media_type):
    with pytest.raises(UnsupportedError, match="opaque"):
        ImageConfig.decode(b"\xff not even JSON", media_type)


def test_chain_ids_follow_the_recursion():
    def digest(text):
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    ab = digest(f"{A} {B}")
    assert chain_ids([A, B, C]) == (A, ab, digest(f"{ab} {C}"))
    assert chain_id([A, B]) == ab
    assert chain_id([]) is None
    assert chain_ids([A, B]) != chain_ids([B, A])


def test_number_of_layers_must_be_that_of_the_diff_ids():
    config = ImageConfig.decode(encode(PLAIN))
    layer = Descriptor.of(OCI_LAYER_GZIP, b"layer")
    manifest = Manifest(config=config.descriptor(), layers=(layer, layer))
    check_layers(manifest, config)
    for layers in ((), (layer,), (layer,) * 3):
        with pytest.raises(InvalidDocumentError) as caught:
            check_layers(replace(manifest, layers=layers), config)
        assert caught.value.where == "$.rootfs.diff_ids"


def test_configs_are_values():
    assert hash(ImageConfig.decode(encode(FULL))) == hash(ImageConfig.decode(encode(FULL)))
