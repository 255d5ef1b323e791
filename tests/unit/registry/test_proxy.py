import pytest

from orlop.errors import InvalidError
from orlop.registry.origin import Origin
from orlop.registry.proxy import Proxy, choose_proxy

REGISTRY = "https://registry.example.org:5000/"


def chosen(environ, url=REGISTRY):
    proxy = choose_proxy(environ, Origin.of(url))
    return None if proxy is None else proxy.url


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, REGISTRY, None),
        ({"HTTPS_PROXY": "http://p:3128"}, REGISTRY, "http://p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, REGISTRY, "http://p:3128"),
        ({"https_proxy": "https://[::2]:1"}, REGISTRY, "https://[::2]:1"),
        ({"https_proxy": "http://low", "HTTPS_PROXY": "http://up"}, REGISTRY, "http://low"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://up"}, REGISTRY, None),
        ({"HTTP_PROXY": "http://p"}, REGISTRY, None),
        ({"HTTP_PROXY": "http://p"}, "http://example.org/", "http://p"),
        ({"HTTP_PROXY": "http://p"}, "http://127.0.0.1:5000/", None),
        ({"HTTP_PROXY": "http://p"}, "http://localhost:5000/", None),
        ({"HTTP_PROXY": "http://p"}, "http://[::1]:5000/", None),
    ],
)
def test_choice(environ, url, proxy):
    assert chosen(environ, url) == proxy


@pytest.mark.parametrize(
    "excluded",
    [
        "*",
        "example.org",
        ".example.org",
        "*.example.org",
        "REGISTRY.example.org",
        "a.org, registry.example.org",
        "registry.example.org:5000",
    ],
)
def test_no_proxy(excluded):
    assert chosen({"HTTPS_PROXY": "http://p", "NO_PROXY": excluded}) is None


@pytest.mark.parametrize(
    "excluded", ["", ",", "ample.org", "registry.example.org:443", "example.com", "10.0.0.0/8"]
)
def test_no_proxy_for_others(excluded):
    assert chosen({"HTTPS_PROXY": "http://p", "NO_PROXY": excluded}) == "http://p"


@pytest.mark.parametrize("excluded", ["10.0.0.0/8", "10.1.2.3", "10.1.2.3:443"])
def test_no_proxy_for_addresses(excluded):
    assert chosen({"HTTPS_PROXY": "http://p", "NO_PROXY": excluded}, "https://10.1.2.3/") is None


def test_the_password_is_kept_out_of_sight():
    proxy = Proxy.parse("http://user:s%40crat@p:1")
    assert proxy.authority == "user:s@crat"
    assert "crat" not in repr(proxy)
    assert "crat" not in proxy.url


@pytest.mark.parametrize("text", ["socks5://secret@p", "http://secret@p:port", "http://"])
def test_what_is_no_proxy(text):
    with pytest.raises(InvalidError) as caught:
        Proxy.parse(text)
    assert "secret" not in str(caught.value)
