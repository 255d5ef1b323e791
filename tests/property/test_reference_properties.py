import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.errors import InvalidReferenceError
from orlop.layout.names import full_name, is_plainly_full
from orlop.reference import Reference

components = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
paths = st.lists(components, min_size=1, max_size=4).map("/".join)
hosts = st.one_of(
    st.sampled_from(["docker.io", "localhost", "[::1]", "[2001:db8::1]", "127.0.0.1", "Registry"]),
    st.from_regex(r"[a-zA-Z0-9]{1,5}(\.[a-z0-9]([a-z0-9-]{0,3}[a-z0-9])?){1,3}", fullmatch=True),
)
domains = st.one_of(hosts, st.builds("{}:{}".format, hosts, st.integers(0, 65535)))
tags = st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True)
digests = st.none() | st.binary(max_size=4).map(Digest.of)


@st.composite
def references(draw):
    domain, path = draw(domains), draw(paths)
    assume(domain != "index.docker.io")
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return Reference(domain=domain, path=path, tag=draw(tags), digest=draw(digests))


@given(references())
def test_full_form_is_read_as_the_same_reference(reference):
    """reference ::= name [":" tag] ["@" digest]."""
    assert Reference.parse(str(reference)) == reference


@given(references())
def test_familiar_form_is_shorter_and_read_as_the_same_reference(reference):
    """The familiar form leaves out the default domain and the namespace of official images."""
    assert Reference.parse(reference.familiar) == reference
    assert str(reference).endswith(reference.familiar)


@given(st.one_of(paths, st.builds("{}/{}".format, domains, paths)), tags, digests)
def test_parsing_is_idempotent(name, tag, digest):
    """Normalising a normalised name changes nothing."""
    text = name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    try:
        once = Reference.parse(text)
    except InvalidReferenceError:
        assume(False)
    assert Reference.parse(str(once)) == once
    assert (once.tag, once.digest) == (tag, digest)


@given(st.one_of(st.text(), st.text(alphabet="aA0._-:/@[]%\n \u0660", max_size=30)))
def test_any_text_is_a_reference_or_refused(text):
    """A text is a reference that can be written and read again, or it is refused."""
    try:
        found = Reference.parse(text)
    except InvalidReferenceError:
        return
    assert Reference.parse(str(found)) == found
    assert text.isascii()


@given(st.from_regex(r"[a-f0-9]{64}", fullmatch=True))
def test_image_ids_are_no_references(text):
    """A name of sixty-four hexadecimal digits could as well be an image ID."""
    with pytest.raises(InvalidReferenceError):
        Reference.parse(text)


@given(st.builds("{}/{}".format, domains, paths), tags)
def test_what_is_a_full_name_at_first_sight_is_one(name, tag):
    """A name that is plainly full is what parsing it gives; others are parsed."""
    text = name if tag is None else f"{name}:{tag}"
    try:
        parsed = str(Reference.parse(text).with_default_tag())
    except InvalidReferenceError:
        parsed = None
    assert full_name(text) == parsed
    if is_plainly_full(text):
        assert parsed == text
