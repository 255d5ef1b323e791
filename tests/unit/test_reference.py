import pytest

from orlop import reference
from orlop.digest import Digest
from orlop.errors import InvalidReferenceError
from orlop.reference import Reference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("debian", "docker.io/library/debian", "debian"),
        ("debian:12", "docker.io/library/debian:12", "debian:12"),
        ("library/debian", "docker.io/library/debian", "debian"),
        ("docker.io/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/debian:12", "docker.io/library/debian:12", "debian:12"),
        ("index.docker.io/org/app", "docker.io/org/app", "org/app"),
        ("org/app", "docker.io/org/app", "org/app"),
        ("library/a/b", "docker.io/library/a/b", "library/a/b"),
        (f"debian@{DIGEST}", f"docker.io/library/debian@{DIGEST}", f"debian@{DIGEST}"),
        (f"a:b@{DIGEST}", f"docker.io/library/a:b@{DIGEST}", f"a:b@{DIGEST}"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a", "127.0.0.1:5000/a"),
        ("[::1]/a", "[::1]/a", "[::1]/a"),
        ("[2001:db8::1]:5000/a:b", "[2001:db8::1]:5000/a:b", "[2001:db8::1]:5000/a:b"),
        ("quay.io/org/app", "quay.io/org/app", "quay.io/org/app"),
        ("Registry/app", "Registry/app", "Registry/app"),
        ("docker.io/a.b/c", "docker.io/a.b/c", "docker.io/a.b/c"),
        ("docker.io/localhost/c", "docker.io/localhost/c", "docker.io/localhost/c"),
        (f"{HEX}:1", f"docker.io/library/{HEX}:1", f"{HEX}:1"),
        (f"library/{HEX}", f"docker.io/library/{HEX}", f"library/{HEX}"),
        ("a__b/c--d/e.f_g", "docker.io/a__b/c--d/e.f_g", "a__b/c--d/e.f_g"),
        ("x:Tag_1.2-3", "docker.io/library/x:Tag_1.2-3", "x:Tag_1.2-3"),
    ],
)
def test_parse_normalises_as_docker_does(text, full, familiar):
    parsed = Reference.parse(text)
    assert str(parsed) == full
    assert parsed.familiar == familiar
    assert Reference.parse(full) == parsed
    assert Reference.parse(familiar) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "/",
        "a/",
        "/a",
        "a//b",
        ":tag",
        "a:",
        "a@",
        "a:b:c",
        "a:b/c",
        "Debian",
        "org/App",
        "a\n",
        "a:b\n",
        "a b",
        "a..b/c",
        "a___b",
        "-a",
        "a-",
        "a:.tag",
        "a:-tag",
        "a:täg",
        "ä",
        "a.b-/c",
        "-a.b/c",
        "a.b:/c",
        "a.b:x/c",
        "a.b:65536/c",
        "[::1/c",
        "::1/c",
        "[fe80::1%eth0]/c",
        "[]/c",
        "docker://debian",
        "https://quay.io/a",
        "a@sha256:abc",
        f"a@sha256:{HEX.upper()}",
        f"a@{HEX}",
        f"a@{DIGEST}:tag",
        f"a@{DIGEST}\n",
        "a@sha256:",
        "a\u0660",
        "a:\u0660",
        "a.b:\u0660/c",
    ],
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(InvalidReferenceError):
        Reference.parse(text)


def test_image_id_is_no_reference():
    with pytest.raises(InvalidReferenceError, match="image ID"):
        Reference.parse(HEX)


def test_capitals_are_refused_with_the_right_spelling():
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse("quay.io/Org/App")
    assert caught.value.hint == "write org/app"


def test_scheme_is_refused_with_a_hint():
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse("https://quay.io/app")
    assert caught.value.hint == "leave out the scheme"


def test_limits_are_inclusive():
    path = "a" * reference.MAX_PATH_LENGTH
    tag = "t" * reference.MAX_TAG_LENGTH
    host = ".".join(["a" * 63] * 4)[: reference.MAX_DOMAIN_LENGTH - 6] + ":65535"
    parsed = Reference.parse(f"{host}/{path}:{tag}@{DIGEST}")
    assert (parsed.domain, parsed.path, parsed.tag, parsed.digest) == (host, path, tag, DIGEST)


@pytest.mark.parametrize(
    "text",
    [
        "quay.io/" + "a" * (reference.MAX_PATH_LENGTH + 1),
        "a:" + "t" * (reference.MAX_TAG_LENGTH + 1),
        "a." * (reference.MAX_DOMAIN_LENGTH // 2) + "aa/b",
        "a" * (reference.MAX_REFERENCE_LENGTH + 1),
        "a" * 10_000_000,
    ],
)
def test_what_is_longer_than_its_limit_is_refused(text):
    with pytest.raises(InvalidReferenceError, match="longer than"):
        Reference.parse(text)


def test_longest_reference_fits_the_limit_for_the_whole():
    longest = f"{'d' * 259}/{'p' * 255}:{'t' * 128}@{'x' * 512}"
    assert len(longest) <= reference.MAX_REFERENCE_LENGTH


def test_parts_can_be_replaced():
    base = Reference.parse("debian")
    assert str(base.with_tag("12")) == "docker.io/library/debian:12"
    assert str(base.with_tag("12").with_tag(None)) == str(base)
    pinned = base.with_tag("12").with_digest(Digest(DIGEST))
    assert str(pinned) == f"docker.io/library/debian:12@{DIGEST}"
    assert pinned.with_digest(None).with_tag(None) == base
    with pytest.raises(InvalidReferenceError):
        base.with_tag("no tag")


def test_default_tag_is_for_references_without_tag_and_digest():
    assert Reference.parse("debian").with_default_tag().tag == "latest"
    assert Reference.parse("debian:12").with_default_tag().tag == "12"
    assert Reference.parse(f"debian@{DIGEST}").with_default_tag().tag is None


@pytest.mark.parametrize(
    ("domain", "path"),
    [
        ("docker.io", "debian"),
        ("index.docker.io", "library/debian"),
        ("registry", "debian"),
        ("", "debian"),
        ("quay.io", ""),
        ("quay.io", "a:b"),
        ("quay.io/a", "b"),
    ],
)
def test_only_normalised_references_can_be_made(domain, path):
    with pytest.raises(InvalidReferenceError):
        Reference(domain=domain, path=path)


def test_references_are_values():
    assert len({Reference.parse("debian"), Reference.parse("docker.io/library/debian")}) == 1
