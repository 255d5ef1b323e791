from pathlib import Path

import pytest

from orlop.errors import InvalidReferenceError
from orlop.layout import Place, parse_place


@pytest.mark.parametrize(
    ("text", "transport", "path", "selector"),
    [
        ("oci:dir", "oci", "dir", None),
        ("oci:/a/dir:v1.0", "oci", "/a/dir", "v1.0"),
        ("oci:dir:docker.io/library/debian:12", "oci", "dir", "docker.io/library/debian:12"),
        ("oci:dir:@1", "oci", "dir", "@1"),
        ("oci:dir:", "oci", "dir", None),
        ("oci-archive:a.tar:__tag", "oci-archive", "a.tar", "__tag"),
        ("docker-archive:a.tar", "docker-archive", "a.tar", None),
        ("docker-archive:a.tar:debian:12", "docker-archive", "a.tar", "debian:12"),
        ("docker-archive:a.tar:@0", "docker-archive", "a.tar", "@0"),
        ("dir:/a:b:c", "dir", "/a:b:c", None),
    ],
)
def test_a_path_ends_at_its_first_colon(text, transport, path, selector):
    assert parse_place(text) == Place(transport=transport, path=Path(path), selector=selector)


@pytest.mark.parametrize(
    "text",
    [
        "", "oci", "oci:", "oci::tag", "docker://debian", "OCI:dir", "oci:a\0b",
        "oci:dir:../../etc/passwd", "oci:dir:/etc", "oci:dir:a//b", "oci:dir:a\nb", "oci:dir:@",
        "oci:dir:@-1", "oci:dir:@01", "oci:dir:" + "a" * 513, "oci:dir:\x1b[2J", "oci:dir:ä",
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused(text):
    with pytest.raises(InvalidReferenceError):
        parse_place(text)


def test_a_place_has_a_transport_that_is_known():
    with pytest.raises(ValueError, match="docker"):
        Place(transport="docker", path=Path("x"))


@pytest.mark.parametrize("text", ["oci:dir:a/b:c", "dir:/a", "docker-archive:f.tar:@3"])
def test_a_place_prints_as_it_is_written(text):
    assert str(parse_place(text)) == text
