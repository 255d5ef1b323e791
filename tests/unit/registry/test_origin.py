import pytest

from orlop.errors import InvalidError
from orlop.reference import Reference
from orlop.registry.endpoint import Endpoint
from orlop.registry.origin import MAX_URL_LENGTH, Origin, is_loopback
from orlop.registry.text import MAX_SHOWN, shown


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://example.org", "https://example.org"),
        ("https://EXAMPLE.org:443/v2/?a=b#c", "https://example.org"),
        ("https://example.org./", "https://example.org"),
        ("http://example.org:80", "http://example.org"),
        ("http://example.org:443", "http://example.org:443"),
        ("http://[::1]:5000/x", "http://[::1]:5000"),
    ],
)
def test_origins(url, origin):
    assert str(Origin.of(url)) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "/v2/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://",
        "https://user@example.org/",
        "https://user:secret@example.org/",
        "https://example.org:99999/",
        "https://example.org:port/",
        "https://[::1/",
        "https://example.org/a b",
        "https://example.org/\r\nX: y",
        "https://example.org\\@evil.org/",
        "https://exämple.org/",
        "https://example.org/" + "a" * MAX_URL_LENGTH,
    ],
)
def test_what_is_no_url(url):
    with pytest.raises(InvalidError) as caught:
        Origin.of(url)
    assert "secret" not in str(caught.value) or "user:secret" not in url


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]
)
def test_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.org", "128.0.0.1", "::2", "example.org", "0x7f.1"])
def test_other_machines(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("reference", "plain_http", "url"),
    [
        ("debian", None, "https://registry-1.docker.io/v2/library/debian/manifests/t"),
        ("quay.io/a/b", None, "https://quay.io/v2/a/b/manifests/t"),
        ("quay.io/a/b", True, "http://quay.io/v2/a/b/manifests/t"),
        ("localhost:5000/a", None, "http://localhost:5000/v2/a/manifests/t"),
        ("127.0.0.1/a", None, "http://127.0.0.1/v2/a/manifests/t"),
        ("[::1]:5000/a", None, "http://[::1]:5000/v2/a/manifests/t"),
        ("localhost:5000/a", False, "https://localhost:5000/v2/a/manifests/t"),
    ],
)
def test_endpoints(reference, plain_http, url):
    endpoint = Endpoint.of(Reference.parse(reference), plain_http)
    assert endpoint.manifest_url("t") == url
    assert str(endpoint.origin) == url.partition("/v2")[0]


def test_remote_text_is_made_harmless():
    assert shown("a\x1b[31m\r\n\u202eb") == '"a\\x1b[31m\\r\\n\\u202eb"'
    assert shown("x" * 1000) == f'"{"x" * MAX_SHOWN}…"'
