"""Each rule of the image-spec that can be checked, and a layout that breaks it and no other."""

import json

import pytest

from orlop.layout.validation import RULES, validate
from support.images import KIND, compress, digest, directory, file, symlink, tar
from support.layouts import put_together

GONE = object()
HEX = "0" * 64
CREATED = "org.opencontainers.image.created"
BASE = "org.opencontainers.image.base.digest"
REF = "org.opencontainers.image.ref.name"

CONTENT = 'image-layout.md, "Content"'
BLOBS = 'image-layout.md, "Blobs"'
INDEX = 'image-index.md, "Image Index Property Descriptions"'
MANIFEST = 'manifest.md, "Image Manifest Property Descriptions"'
CONFIG = 'config.md, "Properties"'
DIFF_ID = 'config.md, "Layer DiffID"'
PROPERTIES = 'descriptor.md, "Properties"'
ANNOTATIONS = 'annotations.md, "Rules"'
KEYS = 'annotations.md, "Pre-Defined Annotation Keys"'
FORMAT = 'layer.md, "Distributable Format"'
WHITEOUTS = 'layer.md, "Whiteouts"'


def put(part, path, value):
    """The edit that puts a value at a path of a document, or takes away what is there."""

    def edit(document):
        *way, last = path
        for key in way:
            document = document.setdefault(key, {}) if isinstance(document, dict) else document[key]
        if value is GONE:
            del document[last]
        else:
            document[last] = value

    return lambda: put_together({part: edit})


def member(section, says, part, *path, value=GONE):
    return pytest.param(section, says, put(part, path, value), id=f"{part}: {says}")


def case(section, says, make):
    return pytest.param(section, says, make, id=says)


def raw(path, data):
    """A layout with a file of these bytes, or without it."""

    def edit(files):
        if data is GONE:
            del files[path]
        else:
            files[path] = data

    return lambda: put_together({"files": edit})


def text(part, old, new):
    """A layout in which the text of a document is changed to what no object in Python says."""

    def edit(document):
        before = json.dumps(document)
        assert old in before
        return before.replace(old, new, 1).encode()

    return lambda: put_together({part: edit})


def layers(*tars, **options):
    """A layout with these layers."""
    return lambda: put_together(layers=list(tars), **options)


def nested(depth):
    """A layout with indexes one inside the other."""

    def edit(files):
        below = json.loads(files["index.json"])["manifests"]
        for _ in range(depth):
            data = json.dumps({"schemaVersion": 2, "manifests": below}).encode()
            files[f"blobs/sha256/{digest(data)[7:]}"] = data
            kind = KIND + "index.v1+json"
            below = [{"mediaType": kind, "digest": digest(data), "size": len(data)}]
        files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": below}).encode()

    return lambda: put_together({"files": edit})


def reversed_diff_ids(config):
    config["rootfs"]["diff_ids"].reverse()


def one_diff_id(config):
    config["rootfs"]["diff_ids"].pop()


LAYER = tar(directory("etc"), file("etc/motd", b"hello\n"))
OTHER = ("manifests", 1)
IMAGE = ("manifests", 0)

FILES = [
    case(CONTENT, "oci-layout exists", raw("oci-layout", GONE)),
    case(CONTENT, "oci-layout is a JSON object", raw("oci-layout", b"[]")),
    member(CONTENT, "imageLayoutVersion is there", "layout", "imageLayoutVersion"),
    member(CONTENT, "imageLayoutVersion is a string", "layout", "imageLayoutVersion", value=1),
    member(
        'image-layout.md, "oci-layout file"', "imageLayoutVersion is that of image-spec 1.1",
        "layout", "imageLayoutVersion", value="2.0.0",
    ),
    case(CONTENT, "index.json exists", raw("index.json", GONE)),
    case(CONTENT, "an index is a JSON object", raw("index.json", b"{")),
    case('manifest.md, "Image Manifest"', "a manifest is a JSON object", text("manifest", "{", "")),
    case('config.md, "Image JSON"', "an image config is a JSON object", text("config", "{", "")),
    case(ANNOTATIONS, "the keys of annotations are unique",
         text("manifest", f'"{CREATED}"', f'"{CREATED}": "", "{CREATED}"')),
    case('considerations.md, "JSON"', "all readers make the same of a document",
         text("config", '"os"', '"os": "plan9", "os"')),
    member("orlop", "orlop can read it", "manifest", "SchemaVersion", value=2),
    case(INDEX, "readers can follow the nest", nested(9)),
]  # fmt: skip

DOCUMENTS = [
    *(
        member(section, says, part, name, value=value)
        for part, section in (("index", INDEX), ("manifest", MANIFEST))
        for says, name, value in (
            ("schemaVersion is there", "schemaVersion", GONE),
            ("schemaVersion is 2", "schemaVersion", 1),
            ("schemaVersion is 2", "schemaVersion", True),
            (f"mediaType is that of {'an index' if part == 'index' else 'a manifest'}",
             "mediaType", KIND + "config.v1+json"),
            ("artifactType fits RFC 6838", "artifactType", "no type"),
            ("subject is a descriptor", "subject", []),
        )
    ),
    member(INDEX, "manifests is there", "index", "manifests"),
    member(INDEX, "manifests is there", "index", "manifests", value=None),
    member(INDEX, "manifests is an array", "index", "manifests", value={}),
    member(INDEX, "each of manifests is a descriptor", "index", "manifests", 1, value="x"),
    member(MANIFEST, "artifactType is there where the config is empty",
           "manifest", "config", "mediaType", value="application/vnd.oci.empty.v1+json"),
    member(MANIFEST, "config is there", "manifest", "config"),
    member(MANIFEST, "config is a descriptor", "manifest", "config", value="x"),
    member(MANIFEST, "layers is an array", "manifest", "layers", value={}),
    case(MANIFEST, "each of layers is a descriptor",
         put("manifest", ("layers", 0), "x")),
]  # fmt: skip

DESCRIPTORS = [
    member(PROPERTIES, "mediaType is there", "index", *OTHER, "mediaType"),
    member(PROPERTIES, "mediaType fits RFC 6838", "index", *OTHER, "mediaType", value="text"),
    member(PROPERTIES, "mediaType fits RFC 6838", "index", *OTHER, "mediaType", value=3),
    member(PROPERTIES, "digest is there", "index", *OTHER, "digest"),
    *(
        member('descriptor.md, "Digests"', "digest fits the grammar", "index", *OTHER, "digest",
               value=value)
        for value in ("../../x", "sha256:", "sha256:../x", "SHA256:ab", f"sha256:{HEX}/x", 7)
    ),
    member('descriptor.md, "SHA-256"', "a SHA-256 digest is hexadecimal",
           "index", *OTHER, "digest", value="sha256:" + "A" * 64),
    member('descriptor.md, "SHA-512"', "a SHA-512 digest is hexadecimal",
           "index", *OTHER, "digest", value=f"sha512:{HEX}"),
    member(PROPERTIES, "size is there", "index", *OTHER, "size"),
    member(PROPERTIES, "size is a number of bytes", "index", *OTHER, "size", value=-1),
    member(PROPERTIES, "size is a number of bytes", "index", *OTHER, "size", value=15.0),
    member(PROPERTIES, "size is a number of bytes", "index", *OTHER, "size", value=2**63),
    member(PROPERTIES, "size is the length of the content", "index", *OTHER, "size", value=16),
    member(PROPERTIES, "urls is an array", "index", *OTHER, "urls", value="https://x"),
    member(PROPERTIES, "each of urls fits RFC 3986", "index", *OTHER, "urls", 0, value="no url"),
    member(PROPERTIES, "data is base64", "index", *OTHER, "data", value="!"),
    member(PROPERTIES, "data is the content", "index", *OTHER, "data", value="e30="),
    member(PROPERTIES, "data is the content", "index", *OTHER, "data",
           value="eHh4eHh4eHh4eHh4eHh4"),
    member(PROPERTIES, "artifactType fits RFC 6838", "index", *OTHER, "artifactType", value="a b"),
    member(INDEX, "platform is an object", "index", *OTHER, "platform", value="linux"),
    *(
        member(INDEX, f"platform.{name} is {what}", "index", *IMAGE, "platform", name, value=value)
        for name, what, value in (
            ("architecture", "there", GONE), ("architecture", "a string", 6),
            ("os", "there", GONE), ("os", "a string", 6),
            ("os.version", "a string", 10), ("os.features", "an array", "win32k"),
            ("os.features", "an array of strings", [1]), ("variant", "a string", 8),
        )
    ),
]  # fmt: skip

NOTED = [
    *(
        member(section, says, part, *way, *below, value=value)
        for part, way, name in (
            ("index", ("annotations",), "annotations"),
            ("manifest", ("annotations",), "annotations"),
            ("index", (*OTHER, "annotations"), "annotations"),
            ("config", ("config", "Labels"), "Labels"),
        )
        for section, says, below, value in (
            (ANNOTATIONS, f"{name} is absent or a map", (), None),
            (ANNOTATIONS, f"{name} is a map", (), ["x"]),
            (ANNOTATIONS, f"each value of {name} is a string", ("x",), 1),
            (ANNOTATIONS, f"each value of {name} is a string", ("x",), None),
            (ANNOTATIONS, f"{name} has no foreign key of OCI's", ("org.opencontainers.x",), ""),
            (KEYS, f"created in {name} is a time", (CREATED,), "yesterday"),
            (KEYS, f"base.digest in {name} is a digest", (BASE,), "latest"),
            (KEYS, f"ref.name in {name} fits the grammar", (REF,), "../../x"),
        )
        if (name, value) != ("Labels", None) or below
    ),
]  # fmt: skip

CONFIGS = [
    *(
        member(CONFIG, f"{name} is {what}", "config", *name.split("/"), value=value)
        for name, what, value in (
            ("created", "a time", "2024-02-03"), ("author", "a string", 1),
            ("architecture", "there", GONE), ("architecture", "a string", 1),
            ("os", "there", GONE), ("os", "a string", 1), ("os.version", "a string", 1),
            ("os.features", "an array", "x"), ("os.features", "an array of strings", [1]),
            ("variant", "a string", 1), ("config", "an object", "x"),
            ("rootfs", "there", GONE), ("rootfs", "an object", "x"), ("history", "an array", {}),
        )
    ),
    *(
        member(CONFIG, f"config.{name} is {what}", "config", "config", name, value=value)
        for name, what, value in (
            ("User", "a string", 1), ("WorkingDir", "a string", 1), ("StopSignal", "a string", 9),
            ("Env", "an array", "A=b"), ("Env", "an array of strings", [{}]),
            ("Entrypoint", "an array", "sh"), ("Entrypoint", "an array of strings", [1]),
            ("Cmd", "an array", "sh"), ("Cmd", "an array of strings", [None]),
            ("ExposedPorts", "an object", ["80"]), ("Volumes", "an object", ["/data"]),
            ("ArgsEscaped", "a boolean", "yes"), ("Memory", "an integer", "1G"),
            ("MemorySwap", "an integer", 1.5), ("CpuShares", "an integer", True),
            ("Healthcheck", "an object", "x"),
        )
    ),
    *(
        member(CONFIG, f"each value of config.{name} is empty",
               "config", "config", name, value={"x": {"y": 1}})
        for name in ("ExposedPorts", "Volumes")
    ),
    member(CONFIG, "each of config.Env is NAME=VALUE", "config", "config", "Env", value=["A"]),
    member(CONFIG, "rootfs.type is there", "config", "rootfs", "type"),
    member(CONFIG, "rootfs.type is layers", "config", "rootfs", "type", value="snapshots"),
    member(CONFIG, "rootfs.diff_ids is there", "config", "rootfs", "diff_ids"),
    member(CONFIG, "rootfs.diff_ids is an array", "config", "rootfs", "diff_ids", value="x"),
    case(CONFIG, "rootfs.diff_ids has one for each layer",
         lambda: put_together({"config": one_diff_id})),
    member(CONFIG, "each of history is an object", "config", "history", 0, value="x"),
    member(CONFIG, "history.created is a time", "config", "history", 0, "created", value="x"),
    *(
        member(CONFIG, f"history.{name} is a string", "config", "history", 0, name, value=1)
        for name in ("author", "created_by", "comment")
    ),
    member(CONFIG, "history.empty_layer is a boolean",
           "config", "history", 2, "empty_layer", value=1),
    member(CONFIG, "history has a step for each layer", "config", "history", 2, value={}),
    member(DIFF_ID, "each diffID is a digest", "config", "rootfs", "diff_ids", 0, value="x"),
    member(DIFF_ID, "a sha256 diffID is hexadecimal",
           "config", "rootfs", "diff_ids", 0, value="sha256:x"),
    member(DIFF_ID, "a sha512 diffID is hexadecimal",
           "config", "rootfs", "diff_ids", 0, value="sha512:x"),
    member(DIFF_ID, "each diffID is of the uncompressed layer",
           "config", "rootfs", "diff_ids", 0, value=f"sha256:{HEX}"),
    case(MANIFEST, "layers are in the order of the stack",
         lambda: put_together({"config": reversed_diff_ids})),
]  # fmt: skip

CONTENTS = [
    case(BLOBS, "a blob's path fits the grammar of digests", raw("blobs/SHA256/abc", b"")),
    case(BLOBS, "a blob's path fits the grammar of digests", raw("blobs/sha256/a b", b"")),
    case(BLOBS, "a blob's path fits the grammar of digests", raw("blobs/sha256/a/b", b"")),
    case(BLOBS, "a blob's content matches its digest", raw(f"blobs/sha256/{HEX}", b"x")),
    case(BLOBS, "a blob's content matches its digest", raw("blobs/sha256/abc", b"x")),
    case(BLOBS, "a blob lies in the directory of an algorithm", raw("blobs/readme", b"")),
    case('descriptor.md, "Registered algorithms"', "a blob's digest can be verified",
         raw("blobs/md5/abc", b"")),
    member(BLOBS, "what is referenced is there, or elsewhere",
           "index", *OTHER, "digest", value=f"sha256:{HEX}"),
    case('layer.md, "+gzip Media Types"', "a layer of +gzip is compressed with gzip",
         layers(LAYER, media_types=["layer.v1.tar+gzip"], stored=[LAYER])),
    case('layer.md, "+zstd Media Types"', "a layer of +zstd is compressed with zstd",
         layers(LAYER, media_types=["layer.v1.tar+zstd"], stored=[compress(LAYER, "gzip")])),
    case(FORMAT, "a layer of tar is not compressed",
         layers(LAYER, media_types=["layer.v1.tar"], stored=[compress(LAYER, "zstd")])),
    case(FORMAT, "a layer is a tar archive", layers(b"no tar at all" * 100)),
    case(FORMAT, "a layer is a tar archive",
         layers(LAYER[:700], media_types=["layer.v1.tar"], stored=[LAYER[:700]])),
    case(FORMAT, "no path comes twice", layers(tar(file("a"), file("a")))),
    case(FORMAT, "no path comes twice", layers(tar(directory("a"), directory("./a/")))),
    case(FORMAT, "a layer can be read to its end", layers(tar(file("../a")))),
    case(WHITEOUTS, "a whiteout names a path", layers(tar(file("etc/.wh.")))),
    case(WHITEOUTS, "a whiteout is an empty file", layers(tar(file(".wh.x", b"full")))),
    case(WHITEOUTS, "a whiteout is an empty file", layers(tar(symlink(".wh.x", "y")))),
]  # fmt: skip

CASES = [*FILES, *DOCUMENTS, *DESCRIPTORS, *NOTED, *CONFIGS, *CONTENTS]
IN_A_DIRECTORY = {(CONTENT, "the directory blobs exists")}


def found(driver):
    return {(violation.section, violation.rule) for violation in validate(driver)}


def test_a_valid_layout_breaks_nothing():
    assert list(validate(put_together())) == []


@pytest.mark.parametrize(("section", "says", "make"), CASES)
def test_a_breach_is_found_and_nothing_else(section, says, make):
    assert found(make()) == {(section, says)}


def test_every_rule_has_a_layout_that_breaks_it():
    broken = {(case.values[0], case.values[1]) for case in CASES} | IN_A_DIRECTORY
    assert broken == {(rule.section, rule.says) for rule in RULES}
