import json
import shutil
import subprocess
from pathlib import Path

import pytest

from orlop import mediatype
from orlop.digest import Digest
from orlop.errors import AuthError, NotFoundError
from orlop.reference import Reference
from orlop.registry import Credential, MemoryCredentials, RegistryClient, RegistrySource
from orlop.spec.descriptor import Descriptor
from support.peers import docker_registry

TOOLS = ("docker-registry", "skopeo")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not all(map(shutil.which, TOOLS)), reason=f"needs the tools {' and '.join(TOOLS)}"
    ),
]

USERNAME = "tester"
PASSWORD = "correct horse"
# The password above, hashed with bcrypt.
HTPASSWD = "tester:$2b$04$a1En6.eSDpQWSTab7LBSCO5OZ8cpgHEx402Qk9e7Iuicl2anhMKA6\n"
LAYER = bytes(range(256)) * 5000


@pytest.fixture(scope="module", params=[None, "htpasswd"])
def served(request, tmp_path_factory):
    """A registry that holds one image: its address, and the credential that it wants."""
    folder = tmp_path_factory.mktemp("registry")
    auth = {}
    credential = None
    if request.param:
        (folder / "htpasswd").write_text(HTPASSWD)
        auth["htpasswd"] = {"realm": "tests", "path": str(folder / "htpasswd")}
        credential = Credential(username=USERNAME, password=PASSWORD)
    with docker_registry(folder, **({"auth": auth} if auth else {})) as address:
        fill(folder / "layout", f"{address}/team/app:1", credential)
        yield address, credential


def fill(layout: Path, name, credential):
    """Push an image from a layout to the registry with skopeo."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(media_type, data):
        descriptor = Descriptor.of(media_type, data)
        (blobs / descriptor.digest.encoded).write_bytes(data)
        return descriptor.encode()

    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [Digest.of(LAYER)]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": put(mediatype.OCI_CONFIG, json.dumps(config).encode()),
        "layers": [put(mediatype.OCI_LAYER, LAYER)],
    }
    top = put(mediatype.OCI_MANIFEST, json.dumps(manifest).encode())
    top["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    login = [f"--dest-creds={USERNAME}:{PASSWORD}"] if credential else []
    options = ["--quiet", "--preserve-digests", "--dest-tls-verify=false", *login]
    subprocess.run(
        ["skopeo", "copy", *options, f"oci:{layout}:1", f"docker://{name}"],
        check=True,
        capture_output=True,
    )


def connect(served):
    address, credential = served
    return RegistryClient(None, MemoryCredentials({address: credential} if credential else {}))


def test_pull_of_an_image_that_skopeo_pushed(served):
    reference = Reference.parse(f"{served[0]}/team/app:1")
    with connect(served) as client, RegistrySource(client, reference) as source:
        top = source.resolve()
        manifest = json.loads(source.read(top))
        config = json.loads(source.read(Descriptor.decode(manifest["config"])))
        assert config["rootfs"]["diff_ids"] == [Digest.of(LAYER)]
        layer = Descriptor.decode(manifest["layers"][0])
        for offset in (0, 1, layer.size // 2, layer.size - 1, layer.size):
            with source.open(layer, offset) as stream:
                assert stream.offset == offset
                data = b"".join(iter(lambda: stream.read(100_000), b""))
            assert data == LAYER[offset:]
        by_digest = reference.with_digest(top.digest)
        assert client.resolve(by_digest) == top


def test_what_is_not_there(served):
    with connect(served) as client:
        with pytest.raises(NotFoundError, match="MANIFEST_UNKNOWN"):
            client.resolve(Reference.parse(f"{served[0]}/team/app:2"))
        missing = Descriptor.of(mediatype.OCI_LAYER, b"missing")
        with pytest.raises(NotFoundError, match="BLOB_UNKNOWN"):
            client.open_blob(Reference.parse(f"{served[0]}/team/app:1"), missing)


@pytest.mark.parametrize("served", ["htpasswd"], indirect=True)
def test_credentials_that_are_wrong_or_missing(served):
    address, _ = served
    reference = Reference.parse(f"{address}/team/app:1")
    wrong = MemoryCredentials({address: Credential(username=USERNAME, password="wrong")})
    for credentials in (None, MemoryCredentials(), wrong):
        with RegistryClient(None, credentials) as client, pytest.raises(AuthError):
            client.resolve(reference)
