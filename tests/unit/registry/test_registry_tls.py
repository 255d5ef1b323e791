import shutil
import ssl
import subprocess

import pytest

from orlop.errors import AuthError, InvalidError, RegistryError, SizeMismatchError, TransportError
from orlop.registry import Credential, MemoryCredentials
from orlop.testing import faults
from orlop.testing.access import Access

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="certificates are made with openssl"
)

# Since 3.13, Python wants of certificates what RFC 5280 does.
KEY_IDENTIFIERS = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"

USER = Credential(username="user", password="canary-password")


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def issue(folder, name, extension):
    """A key and a certificate signed by the authority in the folder."""
    (folder / f"{name}.ext").write_text(f"{extension}\n{KEY_IDENTIFIERS}")
    openssl(
        folder,
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"),
    )
    openssl(
        folder,
        *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-out", f"{name}.crt", "-days", "2", "-extfile", f"{name}.ext"),
    )


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """An authority, a server's and a client's certificate."""
    folder = tmp_path_factory.mktemp("pki")
    openssl(
        folder,
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test authority"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    issue(folder, "server", "subjectAltName=IP:127.0.0.1")
    issue(folder, "stranger", "subjectAltName=DNS:elsewhere.example")
    issue(folder, "client", "extendedKeyUsage=clientAuth")
    return folder


def server_context(pki, name="server", *, client_certs=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / f"{name}.crt", pki / f"{name}.key")
    if client_certs is not None:
        context.load_verify_locations(pki / "ca.crt")
        context.verify_mode = client_certs
    return context


def read_all(client, reference, layer):
    with client.open_blob(reference, layer) as stream:
        return b"".join(iter(lambda: stream.read(50_000), b""))


def serve(start, context, access=None):
    registry = start(access, tls=context)
    return registry, registry.add_image("app", "1", [b"a layer"])


def test_a_trusted_authority(start, connect, pki):
    registry, top = serve(start, server_context(pki))
    client = connect(plain_http=False, ca_file=pki / "ca.crt")
    assert client.resolve(registry.reference("app", "1")) == top


def test_an_unknown_authority(start, connect, pki, waits):
    registry, _ = serve(start, server_context(pki))
    with pytest.raises(TransportError) as caught:
        connect(plain_http=False).resolve(registry.reference("app", "1"))
    assert "--insecure" in (caught.value.hint or "")
    assert "--ca-file" in (caught.value.hint or "")
    assert waits == []
    assert registry.seen == []


def test_a_certificate_of_another_host(start, connect, pki):
    registry, _ = serve(start, server_context(pki, "stranger"))
    client = connect(plain_http=False, ca_file=pki / "ca.crt")
    with pytest.raises(TransportError, match=r"127\.0\.0\.1"):
        client.resolve(registry.reference("app", "1"))


def test_any_certificate(start, connect, pki):
    registry, top = serve(start, server_context(pki, "stranger"))
    client = connect(plain_http=False, insecure=True)
    assert client.resolve(registry.reference("app", "1")) == top


def test_https_to_a_registry_without_it(registry, connect):
    with pytest.raises(TransportError) as caught:
        connect(plain_http=False).resolve(registry.reference("app", "1"))
    assert "--plain-http" in (caught.value.hint or "")


def test_http_to_a_registry_with_tls(start, connect, pki):
    registry, _ = serve(start, server_context(pki))
    with pytest.raises(RegistryError):
        connect(plain_http=True, retries=0).resolve(registry.reference("app", "1"))


@pytest.mark.parametrize("access", [None, Access(scheme="bearer", anonymous=True)])
def test_a_client_certificate(start, connect, pki, access):
    context = server_context(pki, client_certs=ssl.CERT_REQUIRED)
    registry, top = serve(start, context, access)
    trust = {"plain_http": False, "ca_file": pki / "ca.crt"}
    client = connect(client_cert=pki / "client.crt", client_key=pki / "client.key", **trust)
    assert client.resolve(registry.reference("app", "1")) == top
    with pytest.raises(TransportError):
        connect(retries=0, **trust).resolve(registry.reference("app", "1"))


def test_a_client_certificate_is_not_shown_elsewhere(start, connect, pki):
    registry, _ = serve(start, server_context(pki))
    elsewhere, _ = serve(start, server_context(pki, client_certs=ssl.CERT_REQUIRED))
    layer = registry.put_blob("app", b"a layer")
    registry.fail("blob", faults.redirect(f"{elsewhere.url}/v2/app/blobs/{layer.digest}"))
    client = connect(
        plain_http=False,
        ca_file=pki / "ca.crt",
        client_cert=pki / "client.crt",
        client_key=pki / "client.key",
        retries=0,
    )
    with pytest.raises(TransportError):
        client.open_blob(registry.reference("app"), layer)
    assert elsewhere.seen == []


@pytest.mark.parametrize("name", ["ca_file", "client_cert"])
def test_files_that_hold_no_certificate(start, connect, pki, tmp_path, name):
    registry, _ = serve(start, server_context(pki))
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InvalidError, match="certificate or key"):
        connect(plain_http=False, **{name: tmp_path / "empty"}).resolve(registry.reference("app"))


def test_files_that_do_not_exist(start, connect, pki, tmp_path):
    registry, _ = serve(start, server_context(pki))
    with pytest.raises(FileNotFoundError, match="none"):
        connect(plain_http=False, ca_file=tmp_path / "none").resolve(registry.reference("app"))


def test_redirects_do_not_leave_https(start, connect, pki):
    registry, _ = serve(start, server_context(pki))
    elsewhere = start()
    layer = registry.put_blob("app", b"a layer")
    registry.fail("blob", faults.redirect(f"{elsewhere.url}/v2/app/blobs/{layer.digest}"))
    client = connect(plain_http=False, ca_file=pki / "ca.crt")
    with pytest.raises(RegistryError, match="away from https"):
        client.open_blob(registry.reference("app"), layer)
    assert elsewhere.seen == []


def test_a_token_server_must_be_reached_by_https(start, connect, pki):
    issuer = start(Access(scheme="bearer"))
    registry = start(Access(scheme="bearer"), issuer=issuer, tls=server_context(pki))
    registry.add_image("app", "1", [])
    client = connect(
        MemoryCredentials({registry.address: USER}), plain_http=False, ca_file=pki / "ca.crt"
    )
    with pytest.raises(AuthError, match="not reached by https"):
        client.resolve(registry.reference("app", "1"))
    assert issuer.seen == []


@pytest.mark.parametrize(
    "body", [b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", b"Content-Length: 5\r\n"]
)
def test_answers_without_end_under_tls(start, connect, pki, body):
    registry, top = serve(start, server_context(pki))
    layer = registry.put_blob("app", bytes(100_000))
    fault = faults.garbage(b"HTTP/1.1 200 OK\r\n" + body, endless=b"X: x\r\n")
    registry.fail("blob", fault)
    registry.fail("manifest", fault)
    client = connect(
        plain_http=False,
        ca_file=pki / "ca.crt",
        retries=0,
        document_timeout=0.1,
        idle_timeout=0.1,
    )
    with pytest.raises((TransportError, SizeMismatchError)):
        client.fetch_document(registry.reference("app", "1"), top)
    with pytest.raises(TransportError):
        read_all(client, registry.reference("app"), layer)


def test_a_download_that_breaks_under_tls(start, connect, pki):
    registry, _ = serve(start, server_context(pki))
    data = bytes(range(256)) * 1000
    layer = registry.put_blob("app", data)
    registry.fail("blob", faults.close_after(100_000), times=2)
    client = connect(plain_http=False, ca_file=pki / "ca.crt")
    assert read_all(client, registry.reference("app"), layer) == data
