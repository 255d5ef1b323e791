import gzip
import json

import pytest

from orlop.digest import Digest
from orlop.errors import (
    AmbiguousError,
    DigestMismatchError,
    InvalidArchiveError,
    InvalidDocumentError,
    InvalidReferenceError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.layout import Place, list_images, open_source
from orlop.layout.read import open_all, open_any
from orlop.layout.read.documents import Budget
from orlop.spec.config import ImageConfig
from orlop.spec.document import decode_document

try:
    from compression import zstd
except ImportError:
    from backports import zstd


def element(config, layers, names=None):
    return {"Config": config, "RepoTags": names, "Layers": layers}


@pytest.fixture
def dialects(kit):
    """The members by which each kind of writer saves one image, manifest.json left out."""

    def skopeo(image):
        names = [f"{kit.hex_of(tar)}.tar" for tar in image.tars]
        config = f"{kit.hex_of(image.config)}.json"
        links = [(f"{n}/layer.tar", f"../{name}") for n, name in enumerate(names)]
        members = [*zip(names, image.tars, strict=True), (config, image.config), *links]
        return members, config, names

    def old_docker(image):
        members, config, names = skopeo(image)
        return members, config, [f"{n}/layer.tar" for n in range(len(names))]

    def crane(image):
        layers = [gzip.compress(tar, mtime=0) for tar in image.tars]
        names = [f"{kit.hex_of(layer)}.tar.gz" for layer in layers]
        config = f"sha256:{kit.hex_of(image.config)}"
        return [(config, image.config), *zip(names, layers, strict=True)], config, names

    def bare(image):
        names = [f"./layers/{n}" for n in range(len(image.tars))]
        layers = [zstd.compress(tar) for tar in image.tars]
        return (
            [("config.json", image.config), *zip(names, layers, strict=True)],
            "config.json",
            names,
        )

    return {"skopeo": skopeo, "old": old_docker, "crane": crane, "bare": bare}


@pytest.fixture
def save(tmp_path, kit):
    """Write an archive of members and of the elements of manifest.json."""

    def write(members, elements, selector=None):
        path = tmp_path / "saved.tar"
        documents = [("manifest.json", kit.encode(elements))] if elements is not None else []
        unique = dict(members)
        path.write_bytes(kit.make_tar([*unique.items(), *documents]))
        return Place(transport="docker-archive", path=path, selector=selector)

    return write


def read_everything(source):
    target = source.resolve()
    manifest = decode_document(source.read(target), target.media_type)
    found = []
    for descriptor in manifest.layers:
        with source.open(descriptor) as stream:
            data = b"".join(iter(lambda stream=stream: stream.read(999), b""))
        assert Digest.of(data) == descriptor.digest
        found.append(data)
    return source.read(manifest.config), found, manifest


@pytest.mark.parametrize("dialect", ["skopeo", "old", "crane", "bare"])
def test_an_image_of_each_dialect_is_read(save, dialects, image, dialect):
    members, config, layers = dialects[dialect](image)
    with open_source(save(members, [element(config, layers, ["debian:12"])])) as source:
        assert source.names == ("docker.io/library/debian:12",)
        raw, blobs, _ = read_everything(source)
    content = dict(members)
    assert raw == image.config
    if dialect in {"skopeo", "old"}:
        assert blobs == image.tars
    else:
        assert blobs == [content[name] for name in layers]


def test_what_crane_says_of_layers_from_elsewhere_is_passed_over(save, dialects, image):
    members, config, layers = dialects["crane"](image)
    said = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "size": 7}
    saved = element(config, layers) | {"LayerSources": {"sha256:" + "0" * 64: said}}
    with open_source(save(members, [saved])) as source:
        assert len(read_everything(source)[1]) == len(layers)


def test_a_made_manifest_says_how_its_layers_are_compressed(save, dialects, image):
    endings = {"skopeo": "tar", "crane": "tar+gzip", "bare": "tar+zstd"}
    for dialect, ending in endings.items():
        members, config, layers = dialects[dialect](image)
        with open_source(save(members, [element(config, layers)])) as source:
            manifest = read_everything(source)[2]
        assert manifest.media_type == "application/vnd.oci.image.manifest.v1+json"
        assert manifest.config.media_type == "application/vnd.oci.image.config.v1+json"
        assert [layer.media_type.rpartition(".")[2] for layer in manifest.layers] == [ending] * 2


def test_a_made_manifest_depends_on_the_content_only(save, dialects, image):
    digests = set()
    for dialect in ("skopeo", "old", "skopeo"):
        members, config, layers = dialects[dialect](image)
        with open_source(save(members[::-1], [element(config, layers)])) as source:
            digests.add(source.resolve().digest)
    assert len(digests) == 1


def test_a_layer_that_comes_twice_in_an_image_lies_once_in_the_archive(save, kit, image):
    config = json.loads(image.config)
    config["rootfs"]["diff_ids"] = [kit.sha256(image.tars[0])] * 3
    members = [("c", kit.encode(config)), ("l", image.tars[0])]
    with open_source(save(members, [element("c", ["l", "l", "l"])])) as source:
        assert read_everything(source)[1] == [image.tars[0]] * 3


def test_several_images_are_chosen_by_name_and_position(save, dialects, kit):
    images = [kit.Image(name) for name in ("one", "two", "three")]
    names = [["localhost/a:1", "localhost/a:2"], ["debian:12"], None]
    saved = [dialects["skopeo"](image) for image in images]
    members = [member for parts, _, _ in saved for member in parts]
    elements = [
        element(config, layers, tags)
        for (_, config, layers), tags in zip(saved, names, strict=True)
    ]
    for selector, number in {
        "localhost/a:1": 0, "localhost/a:2": 0, "@0": 0, "debian:12": 1,
        "docker.io/library/debian:12": 1, "@1": 1, "@2": 2,
    }.items():  # fmt: skip
        with open_source(save(members, elements, selector)) as source:
            assert read_everything(source)[0] == images[number].config
    for selector in ("debian:11", "debian", "@3"):
        with pytest.raises(NotFoundError, match="holds no"):
            open_source(save(members, elements, selector))
    place = save(members, elements)
    with pytest.raises(AmbiguousError) as caught:
        open_source(place)
    assert caught.value.candidates == (
        f"docker-archive:{place.path}:localhost/a:1",
        f"docker-archive:{place.path}:docker.io/library/debian:12",
        f"docker-archive:{place.path}:@2",
    )
    listed = list_images(place)
    assert [image.selector for image in listed] == [
        "localhost/a:1", "docker.io/library/debian:12", "@2",
    ]  # fmt: skip
    assert listed[0].names == ("localhost/a:1", "localhost/a:2")


def test_the_names_are_all_of_the_image_or_the_one_asked_for(save, dialects, image):
    members, config, layers = dialects["skopeo"](image)
    elements = [element(config, layers, ["a:1", "a:2"]), element(config, layers, ["b:1"])]
    names = {}
    for selector in (None, "a:2", "@0", "@1"):
        with open_source(save(members, elements, selector)) as source:
            names[selector] = [name.rpartition("/")[2] for name in source.names]
    assert names == {
        None: ["a:1", "a:2", "b:1"],
        "a:2": ["a:2"],
        "@0": ["a:1", "a:2"],
        "@1": ["b:1"],
    }


def test_all_images_come_once_each_with_all_its_names(save, dialects, kit, image):
    members, config, layers = dialects["skopeo"](image)
    more, other, others = dialects["skopeo"](kit.Image("other"))
    elements = [
        element(config, layers, ["a:1"]),
        element(other, others, ["c:1"]),
        element(config, layers, ["b:1"]),
    ]
    with open_all(save([*members, *more], elements)) as sources:
        names = [[name.rpartition("/")[2] for name in source.names] for source in sources]
    assert names == [["a:1", "b:1"], ["c:1"]]


def test_one_name_of_two_images_is_ambiguous(save, dialects, kit):
    saved = [dialects["skopeo"](kit.Image(name)) for name in ("one", "two")]
    members = [member for parts, _, _ in saved for member in parts]
    elements = [element(config, layers, ["same:1"]) for _, config, layers in saved]
    with pytest.raises(AmbiguousError) as caught:
        open_source(save(members, elements, "same:1"))
    assert [text.rpartition(":")[2] for text in caught.value.candidates] == ["@0", "@1"]


def test_a_selector_that_is_no_reference_is_refused(save, dialects, image):
    members, config, layers = dialects["skopeo"](image)
    with pytest.raises(InvalidReferenceError):
        open_source(save(members, [element(config, layers, ["a:1"])], "UPPER"))


def test_repositories_give_names_where_there_are_no_others(save, dialects, kit, image):
    members, config, layers = dialects["old"](image)
    repositories = kit.encode({"debian": {"12": "1", "11": "0"}, "quay.io/x/y": {"z": "1"}})
    members.append(("repositories", repositories))
    with open_source(save(members, [element(config, layers)])) as source:
        assert source.names == ("docker.io/library/debian:12", "quay.io/x/y:z")
    with open_source(save(members, [element(config, layers, ["b:1"])])) as source:
        assert source.names == ("docker.io/library/b:1",)


def test_repositories_that_are_read_for_every_image_are_bounded(save, dialects, kit, image):
    """A file of a few megabytes would else be read a thousand times."""
    members, config, layers = dialects["old"](image)
    members.append(("repositories", kit.encode({"a": {"b": "0" * ((4 << 20) - 64)}})))
    with pytest.raises(LimitExceededError) as caught:
        open_source(save(members, [element(config, layers)] * 20))
    assert caught.value.limit == "MAX_DOCUMENTS_SIZE"


# Archives that are an OCI layout as well.


@pytest.fixture
def hybrid(kit):
    """The members that Docker 25 saves an image as, and its element of manifest.json."""

    def build(image, *, descriptors=None, blobs=None, names=None):
        files = kit.layout_files(
            descriptors if descriptors is not None else [image.described()],
            image.blobs if blobs is None else blobs,
        )
        path = "blobs/sha256/{}".format
        layers = [path(kit.hex_of(layer)) for layer in image.layers]
        return list(files.items()), element(path(kit.hex_of(image.config)), layers, names)

    return build


def test_an_original_manifest_is_preferred(save, hybrid, kit):
    image = kit.Image("gz", compressed=True)
    members, saved = hybrid(image, names=["a:1"])
    with open_source(save(members, [saved])) as source:
        assert source.resolve().digest == Digest.of(image.manifest)
        raw, blobs, _ = read_everything(source)
        assert (raw, blobs) == (image.config, image.layers)


def test_names_of_the_index_are_kept_where_manifest_json_lost_them(save, hybrid, image):
    described = [
        image.described(containerd=f"docker.io/library/a:{tag}", ref=tag) for tag in ("1", "2")
    ]
    members, saved = hybrid(image, descriptors=described, names=["a:2", "b:1"])
    place = save(members, [saved])
    with open_source(place) as source:
        assert source.names == tuple(f"docker.io/library/{name}" for name in ("a:1", "a:2", "b:1"))
    with open_source(save(members, [saved], "a:1")) as source:
        assert source.resolve().annotations["org.opencontainers.image.ref.name"] == "1"


@pytest.fixture
def index_of(kit):
    """An index of images, and its descriptor."""

    def build(*children):
        raw = kit.encode({"schemaVersion": 2, "mediaType": kit.INDEX, "manifests": list(children)})
        return raw, kit.describe(kit.INDEX, raw)

    return build


def test_an_index_that_is_whole_is_kept(save, hybrid, index_of, kit, image):
    other = kit.Image("other")
    raw, described = index_of(image.described(), other.described())
    blobs = [raw, *image.blobs, *other.blobs]
    members, saved = hybrid(image, descriptors=[described], blobs=blobs)
    with open_source(save(members, [saved])) as source:
        assert source.resolve().digest == Digest.of(raw)
        assert source.read(source.resolve()) == raw


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_of_an_index_with_platforms_missing_the_saved_one_is_taken(
    save, hybrid, index_of, kit, image, kept
):
    other = kit.Image("other")
    raw, described = index_of(other.described(), image.described())
    blobs = [raw, *image.blobs, *other.blobs[:kept]]
    members, saved = hybrid(image, descriptors=[described], blobs=blobs)
    with open_source(save(members, [saved])) as source:
        assert source.resolve().digest == Digest.of(image.manifest)
        assert read_everything(source)[1] == image.layers


def test_of_two_manifests_of_one_config_the_one_with_the_name_is_taken(save, hybrid, kit):
    plain, compressed = kit.Image("same"), kit.Image("same", compressed=True)
    assert plain.config == compressed.config
    described = [plain.described(ref="a:1"), compressed.described(ref="b:1")]
    members, saved = hybrid(plain, descriptors=described, blobs=plain.blobs + compressed.blobs)
    for selector, image in {"a:1": plain, "b:1": compressed}.items():
        with open_source(save(members, [saved], selector)) as source:
            assert source.resolve().digest == Digest.of(image.manifest)


def test_a_layer_that_is_not_distributed_may_be_missing(save, hybrid, kit, image):
    document = json.loads(image.manifest)
    document["layers"][0]["mediaType"] = kit.FOREIGN
    raw = kit.encode(document)
    described = [kit.describe(kit.MANIFEST, raw)]
    blobs = [raw, image.config, image.layers[1]]
    members, saved = hybrid(image, descriptors=described, blobs=blobs)
    with open_source(save(members, [saved])) as source:
        assert source.resolve().digest == Digest.of(raw)


def test_a_manifest_is_made_where_the_original_is_missing(save, hybrid, image):
    members, saved = hybrid(image, blobs=[image.config, *image.layers])
    with open_source(save(members, [saved])) as source:
        assert source.resolve().digest != Digest.of(image.manifest)
        assert read_everything(source)[:2] == (image.config, image.tars)


def test_a_manifest_is_made_where_the_original_has_lost_its_layers(save, hybrid, kit, image):
    document = {**json.loads(image.manifest), "layers": []}
    raw = kit.encode(document)
    described = [kit.describe(kit.MANIFEST, raw)]
    members, saved = hybrid(image, descriptors=described, blobs=[*image.blobs, raw])
    with open_source(save(members, [saved])) as source:
        assert read_everything(source)[1] == image.tars


@pytest.mark.parametrize("lost", ["layers", "blobs"])
def test_what_docker_25_0_0_saved_comes_once_and_whole(save, hybrid, kit, image, lost):
    """Its manifests had no layers; the images are those of `manifest.json`, and no others."""
    document = json.loads(image.manifest)
    document["layers"] = [] if lost == "layers" else [{**document["layers"][0], "size": 7}]
    if lost == "blobs":
        document["layers"][0]["digest"] = "sha256:" + "7" * 64
    raw = kit.encode(document)
    described = [kit.describe(kit.MANIFEST, raw)]
    members, saved = hybrid(image, descriptors=described, blobs=[*image.blobs, raw])
    with open_any(save(members, [saved]).path) as (_, sources):
        (source,) = sources
        assert read_everything(source)[1] == image.tars


def test_an_archive_with_a_changed_original_manifest_is_refused(save, hybrid, kit, image):
    members, saved = hybrid(image)
    name = f"blobs/sha256/{kit.hex_of(image.manifest)}"
    changed = {**dict(members), name: image.manifest.replace(b"tar", b"taz")}
    with pytest.raises(DigestMismatchError):
        open_source(save(changed, [saved]))


# Broken and hostile archives.


@pytest.mark.parametrize(
    "elements",
    [
        {},
        [[]],
        [{}],
        [{"Config": 1, "Layers": []}],
        [{"Config": "c", "Layers": "l"}],
        [{"Config": "c", "Layers": [1]}],
        [{"Config": "c", "Layers": [], "RepoTags": ["../../x:1"]}],
        [{"Config": "c", "Layers": [], "RepoTags": "a:1"}],
        [{"Config": "missing", "Layers": []}],
        [{"Config": "", "Layers": []}],
    ],
)
def test_a_broken_manifest_json_is_refused(save, image, elements):
    with pytest.raises(InvalidDocumentError):
        open_source(save([("c", image.config)], elements))


@pytest.mark.parametrize("raw", [b"", b"[", b"[]]", b'[],"x":1', b'[],"images":[]', b"\xff", b"1"])
def test_a_manifest_json_that_is_no_array_is_refused(save, raw):
    with pytest.raises(InvalidDocumentError, match=r"manifest\.json"):
        open_source(save([("manifest.json", raw)], None))


def test_an_archive_without_images_holds_none(save):
    for selector in (None, "a:1", "@0"):
        with pytest.raises(NotFoundError, match="holds no"):
            open_source(save([], [], selector))


def test_an_archive_before_manifest_json_is_unsupported(save):
    members = [("repositories", b"{}"), ("1/json", b"{}"), ("1/layer.tar", b"")]
    with pytest.raises(UnsupportedError, match=r"before 1\.10"):
        open_source(save(members, None))


def test_an_archive_of_a_layout_is_told(save, kit, image):
    place = save(list(kit.layout_files([], []).items()), None)
    with pytest.raises(InvalidDocumentError, match="no docker-archive") as caught:
        open_source(place)
    assert caught.value.hint == f"write oci-archive:{place.path}"


@pytest.mark.parametrize("layers", [[], ["l"], ["l", "l", "l"]])
def test_layers_and_diff_ids_must_be_as_many(save, image, layers):
    members = [("c", image.config), ("l", image.tars[0])]
    with pytest.raises(InvalidArchiveError, match="2 diff_ids"):
        open_source(save(members, [element("c", layers)]))


def test_a_missing_layer_is_told_by_name(save, image):
    members = [("c", image.config), ("l", image.tars[0])]
    with pytest.raises(InvalidArchiveError, match="'gone'"):
        open_source(save(members, [element("c", ["l", "gone"])]))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "link", "up"])
def test_a_layer_outside_of_the_archive_is_refused(save, image, name):
    members = [("c", image.config), ("link", "/etc/passwd"), ("up", "../etc/passwd")]
    with pytest.raises(UnsafePathError):
        open_source(save(members, [element("c", [name, name])]))
    with pytest.raises(UnsafePathError):
        open_source(save(members, [element(name, [])]))


@pytest.mark.parametrize("name", ["sha256:{}", "{}.json", "blobs/sha256/{}"])
def test_a_config_must_be_what_its_name_says(save, image, name):
    name = name.format("0" * 64)
    members = [(name, image.config), ("l", image.tars[0])]
    with pytest.raises(DigestMismatchError):
        open_source(save(members, [element(name, ["l", "l"])]))


@pytest.mark.parametrize("config", [b"", b"[]", b'{"rootfs": 1}', b"{}"])
def test_a_broken_config_is_told_by_name(save, config):
    with pytest.raises(InvalidDocumentError, match=r"broken\.json"):
        open_source(save([("broken.json", config)], [element("broken.json", [])]))


def test_oversized_documents_are_not_read(save, image):
    large = bytes((4 << 20) + 1)
    with pytest.raises(LimitExceededError, match="large"):
        open_source(save([("large", large)], [element("large", [])]))
    with pytest.raises(LimitExceededError, match=r"manifest\.json"):
        open_source(save([("manifest.json", large)], None))


def test_too_many_images_are_refused(save, image):
    elements = [element("c", [])] * 1025
    with pytest.raises(LimitExceededError) as caught:
        open_source(save([("c", image.config)], elements))
    assert caught.value.limit == "MAX_SAVED_IMAGES"


def test_a_document_that_is_listed_again_and_again_is_not_read_so_often(save, hybrid, kit, image):
    config = kit.encode({**json.loads(image.config), "author": "x" * (3 << 20)})
    elements = [element("c", ["l", "l"])] * 25
    with pytest.raises(LimitExceededError) as caught:
        open_source(save([("c", config), ("l", b"")], elements, "@0"))
    assert caught.value.limit == "MAX_DOCUMENTS_SIZE"
    document = {**json.loads(image.manifest), "annotations": {"x": "x" * (3 << 20)}}
    raw = kit.encode(document)
    members, saved = hybrid(
        image, descriptors=[kit.describe(kit.MANIFEST, raw)] * 25, blobs=[raw, *image.blobs]
    )
    with pytest.raises(LimitExceededError) as caught:
        open_source(save(members, [saved]))
    assert caught.value.limit == "MAX_DOCUMENTS_SIZE"


def test_more_manifests_than_allowed_are_refused(save, hybrid, image):
    members, saved = hybrid(image, descriptors=[image.described()] * 4097)
    with pytest.raises(LimitExceededError) as caught:
        open_source(save(members, [saved]))
    assert caught.value.limit == "MAX_ORIGINALS"


def test_a_budget_is_spent_to_its_last_byte():
    budget = Budget(10)
    budget.spend(4)
    budget.spend(6)
    with pytest.raises(LimitExceededError):
        budget.spend(1)


def test_a_layer_that_is_not_its_diff_id_is_left_to_its_reader(save, dialects, kit, image):
    """Nothing is read twice: what a stream holds is hashed by the one who reads it."""
    members, config, layers = dialects["skopeo"](image)
    swapped = {**dict(members), layers[0]: image.tars[1]}
    with open_source(save(swapped, [element(config, layers)])) as source:
        manifest = decode_document(source.read(source.resolve()))
        diff_ids = ImageConfig.decode(image.config).diff_ids
        assert [layer.digest for layer in manifest.layers] == list(diff_ids)
        with source.open(manifest.layers[0]) as stream:
            assert stream.read(1 << 20) == image.tars[1]


def test_a_descriptor_that_lies_about_its_size_is_refused(save, hybrid, kit, image):
    document = json.loads(image.manifest)
    document["layers"][0]["size"] += 1
    raw = kit.encode(document)
    described = [kit.describe(kit.MANIFEST, raw)]
    members, saved = hybrid(image, descriptors=described, blobs=[*image.blobs, raw])
    with open_source(save(members, [saved])) as source:
        layer = decode_document(source.read(source.resolve())).layers[0]
        with pytest.raises(SizeMismatchError):
            source.open(layer)
