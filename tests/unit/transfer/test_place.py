import pytest

from orlop.errors import InvalidReferenceError, NotFoundError, OrlopError
from orlop.transfer.place import SourceOptions, open_source
from support.images import ImageBuilder, file


@pytest.fixture
def layout(tmp_path):
    return ImageBuilder().layer(file("one", b"1")).write(tmp_path / "my-image", tag="1.2")


def name_of(text):
    with open_source(text, SourceOptions()) as (_, name):
        return name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("debian:12", "docker.io/library/debian:12"),
        ("docker://debian:12", "docker.io/library/debian:12"),
        ("docker://quay.io/org/app", "quay.io/org/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("app@sha256:" + "a" * 64, "docker.io/library/app@sha256:" + "a" * 64),
        ("dir", "docker.io/library/dir:latest"),
        ("oci", "docker.io/library/oci:latest"),
        ("registry:5000/oci:1", "registry:5000/oci:1"),
    ],
)
def test_references_to_registries(text, name):
    """Nothing is connected to before something is asked for."""
    assert name_of(text) == name


@pytest.mark.parametrize("text", ["/srv/image", "./image.tar", "../image.tar"])
def test_a_bare_path_is_told_what_to_put_before_it(text):
    with pytest.raises(InvalidReferenceError, match="is a path") as caught:
        name_of(text)
    assert "oci-archive:FILE" in caught.value.hint


def test_a_layout_is_named_after_its_directory_and_tag(layout):
    assert name_of(f"oci:{layout.path}:1.2") == "localhost/my-image:1.2"
    assert name_of(f"oci:{layout.path}") == "localhost/my-image:1.2"


def test_the_source_of_a_layout_reads(layout):
    with open_source(layout.source, SourceOptions()) as (source, _):
        descriptor = source.resolve()
        assert descriptor.digest == layout.manifest["digest"]
        assert len(source.read(descriptor)) == descriptor.size


@pytest.mark.parametrize("text", ["", "UPPER", "docker://", "docker://docker://a", "a b", "x:y:z"])
def test_what_is_no_place(text):
    with pytest.raises(InvalidReferenceError):
        name_of(text)


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive", "dir"])
def test_local_places_that_are_not_there(tmp_path, transport):
    with pytest.raises((NotFoundError, FileNotFoundError)):
        name_of(f"{transport}:{tmp_path}/missing")


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive", "dir"])
def test_local_places_without_a_path(transport):
    with pytest.raises(OrlopError):
        name_of(f"{transport}:")
