import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from orlop import mediatype
from orlop.errors import AuthError, LimitExceededError, RegistryError
from orlop.reference import Reference
from orlop.registry import Credential, MemoryCredentials
from orlop.registry.auth import MAX_SCOPES
from orlop.registry.origin import Origin
from orlop.registry.token import (
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    MAX_TOKEN_SIZE,
    Token,
    TokenCache,
    TokenRequest,
)
from orlop.spec.descriptor import Descriptor
from orlop.testing import faults
from orlop.testing.access import Access

USER = Credential(username="user", password="canary-password")
BASIC = Access(scheme="basic")
BEARER = Access(scheme="bearer")
PUBLIC = Access(scheme="bearer", anonymous=True)


def insufficient(registry, scope):
    challenge = f'Bearer realm="{registry.token_url}",scope="{scope}",error="insufficient_scope"'
    return faults.header("WWW-Authenticate", challenge)(faults.status(401)(faults.Reply()))


def keys(registry, credential=USER):
    return MemoryCredentials({registry.address: credential})


def requests(registry):
    return [(seen.method, seen.target.partition("?")[0]) for seen in registry.seen]


def tokens_given(registry):
    return [seen for seen in registry.seen if seen.target.startswith("/token")]


@pytest.mark.parametrize("access", [BASIC, BEARER])
def test_credentials_are_sent_when_they_are_asked_for(start, connect, access):
    registry = start(access)
    top = registry.add_image("app", "1", [])
    assert connect(keys(registry)).resolve(registry.reference("app", "1")) == top
    assert "authorization" not in registry.seen[0].headers


def test_a_registry_that_asks_nothing_gets_nothing(registry, connect):
    registry.add_image("app", "1", [])
    connect(keys(registry)).resolve(registry.reference("app", "1"))
    assert registry.secrets_seen == []


def test_anybody_may_have_a_token_for_what_is_public(start, connect):
    registry = start(PUBLIC)
    top = registry.add_image("team/app", "1", [])
    assert connect().resolve(registry.reference("team/app", "1")) == top
    (asked,) = tokens_given(registry)
    assert "service=test%2C+registry" in asked.target
    assert "scope=repository%3Ateam%2Fapp%3Apull" in asked.target
    assert "account=" not in asked.target


def test_a_token_serves_all_requests_for_a_repository(start, connect):
    registry = start(PUBLIC)
    top = registry.add_image("app", "1", [])
    client = connect()
    reference = registry.reference("app", "1")
    client.resolve(reference)
    client.fetch_document(reference, top)
    manifest = "/v2/app/manifests/"
    assert requests(registry) == [
        ("HEAD", f"{manifest}1"),
        ("GET", "/token"),
        ("HEAD", f"{manifest}1"),
        ("GET", f"{manifest}{top.digest}"),
    ]


def test_each_repository_has_its_own_token(start, connect):
    registry = start(PUBLIC)
    client = connect()
    for name in ("a", "b"):
        registry.add_image(name, "1", [])
        client.resolve(registry.reference(name, "1"))
    assert len(tokens_given(registry)) == 2


@pytest.mark.parametrize("access", [BASIC, BEARER])
def test_wrong_credentials(start, connect, access):
    registry = start(access)
    registry.add_image("app", "1", [])
    wrong = Credential(username="user", password="canary-wrong")
    with pytest.raises(AuthError) as caught:
        connect(keys(registry, wrong)).resolve(registry.reference("app", "1"))
    assert caught.value.status == 401
    assert "canary" not in f"{caught.value}{caught.value.hint}"
    assert len(registry.seen) <= 3


@pytest.mark.parametrize("access", [BASIC, BEARER])
def test_no_credentials(start, connect, access):
    registry = start(access)
    registry.add_image("app", "1", [])
    with pytest.raises(AuthError) as caught:
        connect(MemoryCredentials()).resolve(registry.reference("app", "1"))
    assert "given by the application" in (caught.value.hint or "")
    assert registry.address in (caught.value.hint or "")


def test_a_token_that_expired_early_is_renewed_once(start, connect):
    registry = start(Access(scheme="bearer", anonymous=True, token_uses=1))
    top = registry.add_image("app", "1", [])
    client = connect()
    for _ in range(3):
        assert client.resolve(registry.reference("app", "1")) == top
    assert len(tokens_given(registry)) == 3


def test_a_download_outlives_its_token(start, connect):
    registry = start(Access(scheme="bearer", anonymous=True, token_uses=1))
    layer = registry.put_blob("app", bytes(300_000))
    registry.fail("blob", faults.close_after(100_000), times=1)
    with connect().open_blob(registry.reference("app"), layer) as stream:
        data = b"".join(iter(lambda: stream.read(65536), b""))
    assert data == bytes(300_000)


def test_a_scope_that_does_not_suffice_is_widened(start, connect):
    wide = "repository:base:pull"
    registry = start(Access(scheme="bearer", anonymous=True, needed_scope=wide))
    top = registry.add_image("app", "1", [])
    assert connect().resolve(registry.reference("app", "1")) == top
    assert len(tokens_given(registry)) == 2
    assert "scope=repository%3Abase%3Apull" in tokens_given(registry)[1].target
    assert "scope=repository%3Aapp%3Apull" in tokens_given(registry)[1].target


def test_a_scope_that_never_suffices_ends(start, connect):
    registry = start(PUBLIC)
    registry.add_image("app", "1", [])
    numbers = iter(range(100))
    registry.fail("head", lambda _: insufficient(registry, f"more:{next(numbers)}"))
    with pytest.raises(AuthError):
        connect().resolve(registry.reference("app", "1"))
    assert len(registry.seen) == 5


def test_a_scope_that_is_refused_is_not_asked_for_twice(start, connect):
    registry = start(PUBLIC)
    registry.add_image("app", "1", [])
    registry.fail("head", lambda _: insufficient(registry, "repository:app:pull"))
    with pytest.raises(AuthError):
        connect().resolve(registry.reference("app", "1"))
    assert len(tokens_given(registry)) == 1


def test_too_many_scopes(start, connect):
    registry = start(PUBLIC)
    registry.add_image("app", "1", [])
    scopes = " ".join(f"repository:{number}:pull" for number in range(MAX_SCOPES + 1))
    registry.fail("head", lambda _: insufficient(registry, scopes))
    with pytest.raises(AuthError, match=f"more than {MAX_SCOPES} scopes"):
        connect().resolve(registry.reference("app", "1"))
    assert tokens_given(registry) == []


@pytest.mark.parametrize("methods", [{"POST"}, {"GET", "POST"}])
def test_an_identity_token_is_posted(start, connect, methods):
    registry = start(Access(scheme="bearer", methods=frozenset(methods)))
    top = registry.add_image("app", "1", [])
    identity = Credential(identity_token="canary-identity")
    assert connect(keys(registry, identity)).resolve(registry.reference("app", "1")) == top
    (asked,) = tokens_given(registry)
    assert asked.method == "POST"
    assert b"grant_type=refresh_token" in asked.body


def test_an_identity_token_without_a_server_that_takes_it(start, connect):
    registry = start(Access(scheme="bearer", methods=frozenset({"GET"})))
    top = registry.add_image("app", "1", [])
    both = Credential(identity_token="canary-identity", username="user", password="canary-password")
    assert connect(keys(registry, both)).resolve(registry.reference("app", "1")) == top
    assert [seen.method for seen in tokens_given(registry)] == ["POST", "GET"]


def test_a_password_for_a_server_that_only_takes_posts(start, connect):
    registry = start(Access(scheme="bearer", methods=frozenset({"POST"})))
    top = registry.add_image("app", "1", [])
    assert connect(keys(registry)).resolve(registry.reference("app", "1")) == top
    assert [seen.method for seen in tokens_given(registry)] == ["GET", "POST"]
    assert b"grant_type=password" in tokens_given(registry)[1].body


def test_a_registry_token_is_sent_as_it_is(start, connect):
    issuer = start(PUBLIC)
    issuer.add_image("app", "1", [])
    connect().resolve(issuer.reference("app", "1"))
    fixed = Credential(registry_token="canary-token-1")
    asked = len(tokens_given(issuer))
    connect(keys(issuer, fixed)).resolve(issuer.reference("app", "1"))
    assert len(tokens_given(issuer)) == asked


@pytest.mark.parametrize("token", ["canary\n", "canary\r\nX: y", "canary\N{BULLET}"])
def test_a_registry_token_that_no_header_can_hold(start, connect, token):
    registry = start(BEARER)
    registry.add_image("app", "1", [])
    with pytest.raises(AuthError) as caught:
        connect(keys(registry, Credential(registry_token=token))).resolve(
            registry.reference("app", "1")
        )
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("credential", [None, USER])
def test_a_token_server_that_does_not_exist(start, connect, credential):
    registry = start(Access(scheme="bearer", methods=frozenset()))
    registry.add_image("app", "1", [])
    with pytest.raises(AuthError, match="no token server"):
        connect(keys(registry, credential)).resolve(registry.reference("app", "1"))


@pytest.mark.parametrize("expires_in", [300, 1e-9])
def test_newer_credentials_are_looked_for_when_old_ones_are_refused(start, connect, expires_in):
    registry = start(Access(scheme="bearer", expires_in=expires_in))
    top = registry.add_image("app", "1", [])
    found = iter([USER, Credential(username="user", password="canary-new")])

    class Changing:
        places = ()

        def find(self, domain, repository):
            assert (domain, repository) == (registry.address, "app")
            return next(found)

    client = connect(Changing())
    assert client.resolve(registry.reference("app", "1")) == top
    registry.tokens.revoke()
    registry.tokens.access = Access(scheme="bearer", password="canary-new")
    assert client.resolve(registry.reference("app", "1")) == top


def test_a_token_server_elsewhere(start, connect):
    issuer = start(BEARER)
    registry = start(Access(scheme="bearer"), issuer=issuer)
    top = registry.add_image("app", "1", [])
    assert connect(keys(registry)).resolve(registry.reference("app", "1")) == top
    assert registry.secrets_seen == ["Bearer canary-token-1"]
    assert len(issuer.secrets_seen) == 1
    assert issuer.secrets_seen[0].startswith("Basic ")


def test_registries_do_not_share_tokens(start, connect):
    issuer = start(PUBLIC)
    first = start(Access(scheme="bearer"), issuer=issuer)
    second = start(Access(scheme="bearer"), issuer=issuer)
    client = connect()
    for registry in (first, second):
        registry.add_image("app", "1", [])
        client.resolve(registry.reference("app", "1"))
    assert first.secrets_seen == ["Bearer canary-token-1"]
    assert second.secrets_seen == ["Bearer canary-token-2"]


def test_a_token_server_on_this_machine_for_a_registry_elsewhere(start, connect):
    proxy = start(BEARER)
    proxy.add_image("app", "1", [])
    client = connect(
        MemoryCredentials({"registry.example.org": USER}),
        plain_http=True,
        environ={"http_proxy": proxy.url},
    )
    with pytest.raises(AuthError, match="names this machine"):
        client.resolve(Reference.parse("registry.example.org/app:1"))
    assert proxy.secrets_seen == []


def test_a_redirect_to_this_machine_from_a_registry_elsewhere(start, connect):
    proxy = start()
    victim = start()
    layer = proxy.put_blob("app", b"a layer")
    proxy.fail("blob", faults.redirect(f"{victim.url}/v2/app/blobs/{layer.digest}"))
    client = connect(plain_http=True, environ={"http_proxy": proxy.url})
    with pytest.raises(RegistryError, match="to this machine"):
        client.open_blob(Reference.parse("registry.example.org/app:1"), layer)
    assert victim.seen == []


def test_a_busy_token_server_is_asked_again(start, connect, waits):
    registry = start(PUBLIC)
    top = registry.add_image("app", "1", [])
    registry.fail("token", faults.status(429, Retry_After="3"), times=1)
    registry.fail("token", faults.close_after(2), times=1)
    assert connect().resolve(registry.reference("app", "1")) == top
    assert waits[0] == 3
    assert len(waits) == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"token":7}', b'{"token":"a\\r\\nX: y"}', b"\xff", b"[" * 100_000],
)
def test_answers_of_a_token_server_that_are_no_tokens(start, connect, body):
    registry = start(PUBLIC)
    registry.add_image("app", "1", [])
    registry.fail("token", lambda _: faults.Reply.of(200, {}, body))
    with pytest.raises(AuthError, match="token server"):
        connect().resolve(registry.reference("app", "1"))


def test_a_token_server_that_never_ends(start, connect):
    registry = start(PUBLIC)
    registry.add_image("app", "1", [])
    registry.fail("token", faults.endless)
    with pytest.raises(AuthError, match=f"MAX_TOKEN_SIZE = {MAX_TOKEN_SIZE}"):
        connect().resolve(registry.reference("app", "1"))


@pytest.mark.parametrize(
    "realm",
    [
        "/token",
        "ftp://127.0.0.1/token",
        "file:///etc/passwd",
        "http://user:x@127.0.0.1/token",
        "http://127.0.0.1/\x7f",
    ],
)
def test_realms_that_are_no_url(start, connect, realm):
    registry = start(Access(scheme="bearer", realm=realm))
    registry.add_image("app", "1", [])
    with pytest.raises(AuthError):
        connect(keys(registry)).resolve(registry.reference("app", "1"))
    assert registry.secrets_seen == []


def test_a_redirected_token_server_does_not_pass_on_the_password(start, connect):
    other = start(BEARER)
    registry = start(BEARER)
    registry.add_image("app", "1", [])
    registry.fail("token", faults.redirect(other.token_url))
    with pytest.raises(RegistryError):
        connect(keys(registry)).resolve(registry.reference("app", "1"))
    assert other.seen
    assert other.secrets_seen == []


def test_a_posted_secret_is_not_redirected(start, connect):
    other = start(BEARER)
    registry = start(BEARER)
    registry.add_image("app", "1", [])
    registry.fail("token", faults.redirect(other.token_url, 307))
    identity = Credential(identity_token="canary-identity")
    with pytest.raises(RegistryError):
        connect(keys(registry, identity)).resolve(registry.reference("app", "1"))
    assert other.seen == []


@pytest.mark.parametrize("access", [BASIC, BEARER])
@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_secrets_stay_at_home_when_blobs_are_elsewhere(start, connect, access, number):
    registry = start(access)
    elsewhere = start()
    layer = registry.put_blob("app", b"a layer")
    elsewhere.put_blob("app", b"a layer")
    url = f"{elsewhere.url}/v2/app/blobs/{layer.digest}"
    registry.fail("blob", faults.redirect(url, number))
    # The first request of all is refused before it is redirected.
    client = connect(keys(registry))
    registry.add_image("app", "1", [])
    client.resolve(registry.reference("app", "1"))
    with client.open_blob(registry.reference("app"), layer, 2) as stream:
        assert stream.offset == 2
        assert stream.read(100) == b"layer"
    assert elsewhere.seen[-1].headers["range"] == "bytes=2-"
    assert elsewhere.secrets_seen == []


def test_secrets_do_not_come_home_by_a_detour(start, connect):
    registry = start(BASIC)
    elsewhere = start()
    registry.add_image("app", "1", [])
    layer = registry.put_blob("app", b"a layer")
    url = f"/v2/app/blobs/{layer.digest}"
    registry.fail("blob", faults.redirect(f"{elsewhere.url}{url}"))
    elsewhere.fail("blob", faults.redirect(f"{registry.url}{url}"))
    client = connect(keys(registry))
    client.resolve(registry.reference("app", "1"))
    with pytest.raises(RegistryError, match="redirects"):
        client.open_blob(registry.reference("app"), layer)
    blobs = [seen for seen in registry.seen if "/blobs/" in seen.target]
    assert len(blobs) == 5
    assert ["authorization" in seen.headers for seen in blobs] == [True] + [False] * 4
    assert elsewhere.secrets_seen == []


def test_a_host_elsewhere_that_wants_credentials_gets_none(start, connect):
    registry = start(BEARER)
    elsewhere = start(BASIC)
    layer = registry.put_blob("app", b"a layer")
    registry.fail("blob", faults.redirect(f"{elsewhere.url}/v2/app/blobs/{layer.digest}"))
    with pytest.raises(AuthError) as caught:
        connect(keys(registry)).open_blob(registry.reference("app"), layer)
    assert caught.value.hint is None
    assert elsewhere.secrets_seen == []


def test_redirects_are_counted(registry, client):
    layer = registry.put_blob("app", b"a layer")
    registry.fail("blob", faults.redirect(f"/v2/app/blobs/{layer.digest}"))
    with pytest.raises(RegistryError, match="redirects more than 8 times"):
        client.open_blob(registry.reference("app"), layer)
    assert len(registry.seen) == 9


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/", "http://", "//a:b@c/"])
def test_redirects_to_what_is_no_url(registry, client, location):
    layer = registry.put_blob("app", b"a layer")
    registry.fail("blob", faults.redirect(location))
    with pytest.raises(RegistryError, match="redirects"):
        client.open_blob(registry.reference("app"), layer)


def test_a_redirect_without_a_target(registry, client):
    layer = registry.put_blob("app", b"a layer")
    registry.fail("blob", faults.status(302))
    with pytest.raises(RegistryError, match="302"):
        client.open_blob(registry.reference("app"), layer)


def test_many_threads_ask_for_one_token(start, connect):
    registry = start(PUBLIC)
    client = connect()
    registry.add_image("app", "1", [])
    client.resolve(registry.reference("app", "1"))
    registry.tokens.revoke()
    layers = [registry.put_blob("app", bytes([number])) for number in range(8)]
    gate = threading.Barrier(len(layers))

    def pull(layer):
        gate.wait()
        with client.open_blob(registry.reference("app"), layer) as stream:
            return stream.read(10)

    with ThreadPoolExecutor(len(layers)) as pool:
        assert list(pool.map(pull, layers)) == [bytes([number]) for number in range(8)]
    assert len(tokens_given(registry)) == 2


@pytest.mark.parametrize(
    ("said", "lifetime"),
    [
        ("", DEFAULT_LIFETIME),
        (',"expires_in":null', DEFAULT_LIFETIME),
        (',"expires_in":0', DEFAULT_LIFETIME),
        (',"expires_in":"300"', DEFAULT_LIFETIME),
        (',"expires_in":true', DEFAULT_LIFETIME),
        (',"expires_in":NaN', DEFAULT_LIFETIME),
        (',"expires_in":-1', 0),
        (',"expires_in":300', 300),
        (',"expires_in":1e300', MAX_LIFETIME),
    ],
)
def test_how_long_tokens_last(said, lifetime):
    assert Token.decode(f'{{"access_token":"a"{said}}}'.encode()).lifetime == lifetime


def test_tokens_are_renewed_before_they_expire():
    now = [0.0]
    given = []

    def fetch():
        given.append(Token(value=str(len(given)), lifetime=100))
        return given[-1]

    cache = TokenCache(clock=lambda: now[0])
    request = TokenRequest(
        origin=Origin.of("https://a"), realm="", service="", scopes=frozenset(), credential=None
    )
    assert cache.get(request, fetch).value == "0"
    now[0] = 89
    assert cache.get(request, fetch).value == "0"
    assert cache.get(request, fetch, refused="0").value == "1"
    assert cache.get(request, fetch, refused="0").value == "1"
    now[0] = 89 + 91
    assert cache.get(request, fetch).value == "2"


def test_secrets_are_not_shown():
    secret = Credential(
        username="canary", password="canary", identity_token="canary", registry_token="canary"
    )
    assert "canary" not in repr(secret)
    assert "canary" not in repr(Token(value="canary", lifetime=1))
    assert "canary" not in repr(Access())


def test_a_descriptor_too_large_for_a_document_is_no_auth_matter(start, connect):
    registry = start(BASIC)
    raw = Descriptor(
        media_type=mediatype.OCI_CONFIG, digest=Descriptor.of("a/b", b"").digest, size=1 << 30
    )
    with pytest.raises(LimitExceededError):
        connect(keys(registry)).fetch_document(registry.reference("app"), raw)
    assert registry.seen == []
