from pathlib import Path

import pytest

from orlop.digest import Digest
from orlop.layout import Place, fallback_name
from orlop.layout.names import full_name, is_plainly_full, names_of, same_name
from orlop.reference import Reference
from orlop.spec.descriptor import Descriptor


def described(**annotations):
    keys = {
        "ref": "org.opencontainers.image.ref.name",
        "containerd": "io.containerd.image.name",
    }
    return Descriptor(
        media_type="application/vnd.oci.image.manifest.v1+json",
        digest=Digest.of(b""),
        size=0,
        annotations={keys[key]: value for key, value in annotations.items()},
    )


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        ({}, ()),
        ({"ref": "latest"}, ()),
        ({"ref": "12.1"}, ()),
        ({"ref": "debian:12"}, ("docker.io/library/debian:12",)),
        ({"ref": "quay.io/org/app"}, ("quay.io/org/app:latest",)),
        (
            {"ref": "12", "containerd": "docker.io/library/debian:12"},
            ("docker.io/library/debian:12",),
        ),
        (
            {"ref": "quay.io/a/b:1", "containerd": "debian:12"},
            ("docker.io/library/debian:12", "quay.io/a/b:1"),
        ),
        ({"ref": "debian:12", "containerd": "debian:12"}, ("docker.io/library/debian:12",)),
        ({"ref": "../../etc/passwd"}, ()),
        ({"ref": "/etc/passwd", "containerd": "a/../b:1"}, ()),
        ({"containerd": "UPPER/CASE:1 "}, ()),
    ],
)
def test_annotations_give_full_references_and_nothing_else(annotations, names):
    assert names_of(described(**annotations)) == names


def test_names_are_compared_in_their_full_form():
    assert same_name("debian:12", "docker.io/library/debian:12")
    assert same_name("quay.io/a/b", "quay.io/a/b:latest")
    assert same_name("not a name", "not a name")
    assert not same_name("debian:12", "debian:11")
    assert not same_name("latest", "library/latest")
    assert full_name("latest") is None


@pytest.mark.parametrize(
    ("path", "tag", "name"),
    [
        ("/images/debian", None, "localhost/debian:latest"),
        ("/images/debian.tar", "12", "localhost/debian:12"),
        ("/images/My App_2.tar.gz", None, "localhost/my-app-2:latest"),
        ("app.oci.tar.zst", "@1", "localhost/app:latest"),
        ("a.tgz", "v1.0", "localhost/a:v1.0"),
        ("/", None, "localhost/image:latest"),
        ("/ü.tar", None, "localhost/image:latest"),
        ("/..hidden--x__y", "_a", "localhost/hidden-x-y:_a"),
        ("a", "../../etc/passwd", "localhost/a:latest"),
        ("a", "quay.io/b/c:1.2", "localhost/a:1.2"),
        ("a", "quay.io:5000/b/c", "localhost/a:latest"),
        ("a", "b:7@sha256:" + "0" * 64, "localhost/a:7"),
        ("a", "-._x+y", "localhost/a:_x-y"),
        ("a", "x" * 500, "localhost/a:" + "x" * 128),
        ("x" * 200, None, "localhost/" + "x" * 128 + ":latest"),
    ],
)
def test_a_place_without_names_gets_one_from_its_path(path, tag, name):
    made = fallback_name(Place(transport="oci", path=Path(path)), tag)
    assert made == name
    assert str(Reference.parse(made)) == name


def test_the_selector_is_the_tag_where_none_is_given():
    place = Place(transport="oci", path=Path("debian"), selector="12")
    assert fallback_name(place) == "localhost/debian:12"


def test_usual_names_are_known_at_first_sight():
    assert is_plainly_full("docker.io/library/debian:12")
    assert is_plainly_full("registry.example.com/a/b/c-d:v1.0")
    for text in ("index.docker.io/library/x:1", "docker.io/x:1", "localhost/a/b:1", "a.b/c/d"):
        assert not is_plainly_full(text)
