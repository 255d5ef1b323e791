import pytest

from orlop import mediatype
from orlop.errors import UnsupportedError
from orlop.mediatype import (
    CONTAINERD_CHECKPOINT,
    CONTAINERD_RW,
    DOCKER_CONFIG,
    DOCKER_LAYER_FOREIGN_GZIP,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    EROFS_LAYER,
    IN_TOTO,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP_ENCRYPTED,
    OCI_LAYER_NONDISTRIBUTABLE_ZSTD,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    OCI_TWINS,
)

KINDS = {
    mediatype.is_manifest: {OCI_MANIFEST, DOCKER_MANIFEST},
    mediatype.is_index: {OCI_INDEX, DOCKER_MANIFEST_LIST},
    mediatype.is_config: {OCI_CONFIG, DOCKER_CONFIG},
    mediatype.is_schema1: {DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED},
    mediatype.is_attestation: {IN_TOTO},
    mediatype.is_encrypted: {
        mediatype.OCI_LAYER_ENCRYPTED,
        OCI_LAYER_GZIP_ENCRYPTED,
        mediatype.OCI_LAYER_ZSTD_ENCRYPTED,
    },
    mediatype.is_nondistributable: {
        mediatype.OCI_LAYER_NONDISTRIBUTABLE,
        mediatype.OCI_LAYER_NONDISTRIBUTABLE_GZIP,
        OCI_LAYER_NONDISTRIBUTABLE_ZSTD,
        mediatype.DOCKER_LAYER_FOREIGN,
        DOCKER_LAYER_FOREIGN_GZIP,
    },
}
ALL = {
    value
    for name, value in vars(mediatype).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, str)
}


@pytest.mark.parametrize("ask", KINDS, ids=lambda ask: ask.__name__)
def test_every_known_type_is_of_the_kinds_it_should_be(ask):
    assert {each for each in ALL if ask(each)} == KINDS[ask]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("DOCKER_LAYER", "application/vnd.docker.image.rootfs.diff.tar"),
        ("DOCKER_LAYER_GZIP", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        ("DOCKER_CONFIG", "application/vnd.docker.container.image.v1+json"),
        ("DOCKER_MANIFEST", "application/vnd.docker.distribution.manifest.v2+json"),
        ("DOCKER_MANIFEST_LIST", "application/vnd.docker.distribution.manifest.list.v2+json"),
        (
            "CONTAINERD_CHECKPOINT",
            "application/vnd.containerd.container.criu.checkpoint.criu.tar",
        ),
        (
            "CONTAINERD_CHECKPOINT_PREDUMP",
            "application/vnd.containerd.container.criu.checkpoint.predump.tar",
        ),
        ("CONTAINERD_RESOURCE", "application/vnd.containerd.container.resource.tar"),
        ("CONTAINERD_RW", "application/vnd.containerd.container.rw.tar"),
        (
            "CONTAINERD_CHECKPOINT_CONFIG",
            "application/vnd.containerd.container.checkpoint.config.v1+proto",
        ),
        ("DOCKER_SCHEMA1_SIGNED", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)
def test_the_types_that_containerd_has_had_from_its_first_version(name, media_type):
    assert getattr(mediatype, name) == media_type


def test_layers_are_told_from_everything_else():
    layers = {name for name in vars(mediatype) if "_LAYER" in name and not name.startswith("_")}
    assert {each for each in ALL if mediatype.is_layer(each)} == {
        getattr(mediatype, name) for name in layers
    }


def test_checkpoints_are_containerds_own_types():
    checkpoints = {each for each in ALL if mediatype.is_checkpoint(each)}
    assert checkpoints == {each for each in ALL if ".containerd." in each}
    assert {CONTAINERD_CHECKPOINT, CONTAINERD_RW} < checkpoints
    assert len(checkpoints) == 8


@pytest.mark.parametrize("media_type", sorted(ALL))
def test_every_known_type_is_registrable(media_type):
    assert mediatype.valid(media_type)


@pytest.mark.parametrize(
    "text",
    [
        "text/plain",
        "application/vnd.example+json",
        "a/b",
        "A1/B!#$&-^_.+",
        "a" * 127 + "/" + "b" * 127,
    ],
)
def test_valid_media_types(text):
    assert mediatype.valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "text/",
        "/plain",
        "text/plain/more",
        "text/plain; charset=utf-8",
        "text/plain\n",
        " text/plain",
        "+text/plain",
        "text/.plain",
        "text/pläin",
        "a" * 128 + "/b",
        "a/" + "b" * 128,
    ],
)
def test_invalid_media_types(text):
    assert not mediatype.valid(text)


def test_docker_types_have_oci_twins_of_the_same_kind():
    for docker, oci in OCI_TWINS.items():
        assert mediatype.is_docker(docker)
        assert not mediatype.is_docker(oci)
        assert mediatype.oci_twin(docker) == oci
        for ask in (*KINDS, mediatype.is_layer):
            assert ask(docker) == ask(oci)


@pytest.mark.parametrize("media_type", [OCI_LAYER, OCI_LAYER_ZSTD, OCI_EMPTY, EROFS_LAYER, "a/b"])
def test_other_types_are_their_own_twins(media_type):
    assert mediatype.oci_twin(media_type) == media_type


def test_unknown_types_are_of_no_kind():
    for ask in (*KINDS, mediatype.is_layer, mediatype.is_checkpoint):
        assert not ask("application/vnd.example.thing")
    assert not mediatype.is_layer(DOCKER_LAYER_GZIP + "+encrypted.not")


LAYERS = {each for each in ALL if mediatype.is_layer(each)}
COMPRESSIONS = {
    "": {OCI_LAYER, mediatype.OCI_LAYER_NONDISTRIBUTABLE, EROFS_LAYER},
    "gzip": {
        mediatype.OCI_LAYER_GZIP,
        mediatype.OCI_LAYER_NONDISTRIBUTABLE_GZIP,
        DOCKER_LAYER_GZIP,
        DOCKER_LAYER_FOREIGN_GZIP,
    },
    "zstd": {
        OCI_LAYER_ZSTD,
        OCI_LAYER_NONDISTRIBUTABLE_ZSTD,
        mediatype.DOCKER_LAYER_ZSTD,
        mediatype.EROFS_LAYER_ZSTD,
    },
    None: {mediatype.DOCKER_LAYER, mediatype.DOCKER_LAYER_FOREIGN},
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("suffix", ["", "+encrypted"])
def test_the_compression_of_a_layer(compression, suffix):
    """containerd says of every one of Docker's types with a suffix that it is not compressed."""
    for media_type in COMPRESSIONS[compression]:
        assert mediatype.is_layer(media_type + suffix)
        assert mediatype.layer_compression(media_type + suffix) == compression


def test_the_compression_of_every_known_layer_is_known():
    plain = {each for each in LAYERS if not mediatype.is_encrypted(each)}
    assert plain == set().union(*COMPRESSIONS.values())


@pytest.mark.parametrize(
    "suffixes",
    [
        "+xz",
        "+gzip+zstd",
        "+zstd+gzip",
        "+encrypted+gzip",
        "+gzip+encrypted+encrypted",
        "+",
        "+GZIP",
    ],
)
def test_a_compression_that_is_unknown(suffixes):
    """containerd sorts the suffixes, and takes the last for the outermost."""
    with pytest.raises(UnsupportedError, match="compressed in an unknown way"):
        mediatype.layer_compression(OCI_LAYER + suffixes)


@pytest.mark.parametrize("media_type", sorted(ALL - LAYERS))
def test_what_is_no_layer_has_no_compression(media_type):
    with pytest.raises(UnsupportedError, match="is no type of a layer"):
        mediatype.layer_compression(media_type)
