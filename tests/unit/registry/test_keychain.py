import json
import stat
from base64 import b64encode
from pathlib import Path

import pytest

from orlop.errors import AuthError, InvalidDocumentError
from orlop.registry import Credential, Keychain
from orlop.registry.authfile import MAX_AUTH_FILE_SIZE, AuthFile
from orlop.registry.helper import MAX_HELPER_OUTPUT, ask_helper
from orlop.registry.keychain import auth_paths


def login(text):
    return {"auth": b64encode(text.encode()).decode()}


def found(document, domain="quay.io", repository="team/app"):
    return AuthFile(Path("/config.json"), document).credential(domain, repository)


def user(name, password="pw"):
    return Credential(username=name, password=password)


@pytest.mark.parametrize(
    ("entry", "credential"),
    [
        (login("a:b"), user("a", "b")),
        (login("a:b:c"), user("a", "b:c")),
        (login("ä:ö"), user("ä", "ö")),
        (login("a:b\0\0"), user("a", "b")),
        ({"username": "a", "password": "b"}, user("a", "b")),
        (login("a:b") | {"username": "x", "password": "y"}, user("a", "b")),
        ({"identitytoken": "t"}, Credential(identity_token="t")),
        (login("a:") | {"identitytoken": "t"}, Credential(username="a", identity_token="t")),
        ({"registrytoken": "t"}, Credential(registry_token="t")),
        ({}, None),
        ({"auth": ""}, None),
        ({"email": "a@b"}, None),
    ],
)
def test_entries(entry, credential):
    assert found({"auths": {"quay.io": entry}}) == credential


@pytest.mark.parametrize(
    "key",
    [
        "quay.io",
        "quay.io/",
        "https://quay.io",
        "https://quay.io/v1/",
        "http://quay.io/v2/",
        "quay.io/team",
        "quay.io/team/app",
    ],
)
def test_keys_that_fit(key):
    assert found({"auths": {key: login("a:pw")}}) == user("a")


@pytest.mark.parametrize(
    "key",
    ["", "io", "quay.io:443", "quay.io.evil.org", "quay.io/te", "quay.io/team/app/x", "QUAY.io"],
)
def test_keys_that_do_not_fit(key):
    assert found({"auths": {key: login("a:pw")}}) is None


def test_the_longest_key_counts():
    auths = {
        "quay.io": login("host:pw"),
        "quay.io/team": login("team:pw"),
        "quay.io/team/app": login("app:pw"),
    }
    assert found({"auths": auths}) == user("app")
    assert found({"auths": auths}, repository="team/other") == user("team")
    assert found({"auths": auths}, repository="teams/app") == user("host")


@pytest.mark.parametrize(
    "key",
    [
        "https://index.docker.io/v1/",
        "index.docker.io/v1/",
        "index.docker.io",
        "docker.io",
        "registry-1.docker.io",
        "docker.io/library",
    ],
)
def test_docker_hub(key):
    auths = {"auths": {key: login("a:pw")}}
    assert found(auths, "docker.io", "library/debian") == user("a")


@pytest.mark.parametrize(
    "document",
    [
        {"auths": []},
        {"auths": {"quay.io": "secret"}},
        {"auths": {"quay.io": {"auth": 7}}},
        {"auths": {"quay.io": {"auth": "secret!"}}},
        {"auths": {"quay.io": {"auth": b64encode(b"secret").decode()}}},
        {"auths": {"quay.io": {"auth": b64encode(b"\xff:secret").decode()}}},
        {"auths": {"quay.io": {"identitytoken": ["secret"]}}},
    ],
)
def test_entries_that_cannot_be_understood(document):
    with pytest.raises(InvalidDocumentError, match=r"/config\.json") as caught:
        found(document)
    assert "secret" not in str(caught.value)


def test_other_entries_do_not_matter():
    assert found({"auths": {"quay.io": login("a:pw"), "ghcr.io": 7}, "HttpHeaders": {}})


@pytest.mark.parametrize(
    ("document", "helper"),
    [
        ({}, None),
        ({"credsStore": ""}, None),
        ({"credsStore": "all"}, ("all", "quay.io")),
        ({"credsStore": "all", "credHelpers": {"quay.io": "one"}}, ("one", "quay.io")),
        ({"credHelpers": {"quay.io/team": "team"}}, ("team", "quay.io/team")),
        ({"credsStore": "all", "credHelpers": {"quay.io": ""}}, ("all", "quay.io")),
        ({"credsStore": "all", "credHelpers": {"ghcr.io": "one"}}, ("all", "quay.io")),
    ],
)
def test_which_helper(document, helper):
    assert AuthFile(Path("/f"), document).helper("quay.io", "team/app") == helper


def test_helpers_know_docker_hub_by_its_old_name():
    file = AuthFile(Path("/f"), {"credsStore": "all"})
    assert file.helper("docker.io", "library/debian") == ("all", "https://index.docker.io/v1/")


@pytest.mark.parametrize("document", [{"credsStore": 7}, {"credHelpers": {"quay.io": {}}}])
def test_helpers_that_cannot_be_understood(document):
    with pytest.raises(InvalidDocumentError):
        AuthFile(Path("/f"), document).helper("quay.io", "team/app")


@pytest.mark.parametrize("raw", [b"", b" \n"])
def test_an_empty_file_holds_nothing(tmp_path, raw):
    (tmp_path / "config.json").write_bytes(raw)
    assert AuthFile.read(tmp_path / "config.json").credential("quay.io", "a") is None


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b" " * MAX_AUTH_FILE_SIZE + b"{}"])
def test_files_that_cannot_be_read_are_named(tmp_path, raw):
    path = tmp_path / "config.json"
    path.write_bytes(raw)
    with pytest.raises(InvalidDocumentError) as caught:
        Keychain([path], environ={}).find("quay.io", "a")
    assert str(path) in str(caught.value)


def test_where_credentials_are_looked_for():
    home = Path("/home/me")
    assert auth_paths({}, home) == (
        home / ".config/containers/auth.json",
        home / ".docker/config.json",
    )
    environ = {"XDG_RUNTIME_DIR": "/run/me", "XDG_CONFIG_HOME": "/conf", "DOCKER_CONFIG": "/docker"}
    assert auth_paths(environ, home) == (
        Path("/run/me/containers/auth.json"),
        Path("/conf/containers/auth.json"),
        Path("/docker/config.json"),
    )
    assert auth_paths(environ | {"REGISTRY_AUTH_FILE": "/auth"}, home) == (Path("/auth"),)
    assert Keychain.of(environ, home).places == tuple(map(str, auth_paths(environ, home)))


def test_the_first_file_that_knows_the_registry_decides(tmp_path):
    paths = [tmp_path / name for name in ("missing", "other", "first", "second")]
    for path, key, name in zip(paths[1:], ("ghcr.io", "quay.io", "quay.io"), "abc", strict=True):
        path.write_text(json.dumps({"auths": {key: login(f"{name}:pw")}}))
    keychain = Keychain(paths, environ={})
    assert keychain.find("quay.io", "team/app") == user("b")
    assert keychain.find("ghcr.io", "team/app") == user("a")
    assert keychain.find("docker.io", "team/app") is None


@pytest.fixture
def helper(tmp_path):
    """Make credential helpers; return the environment in which they are found."""

    def make(script, name="test"):
        path = tmp_path / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": "/nowhere"}

    return make


ANSWER = """printf '{"ServerURL":"x","Username":"%s","Secret":"%s"}' """


@pytest.mark.parametrize(
    ("script", "credential"),
    [
        (f'{ANSWER} me "$1 $(cat) $HOME"', user("me", "get quay.io /nowhere")),
        (f"{ANSWER} '<token>' t", Credential(identity_token="t")),
        (f"{ANSWER} '' ''", None),
        ("echo credentials not found in native keychain; exit 1", None),
        (f"{ANSWER} me deaf", user("me", "deaf")),
    ],
)
def test_what_helpers_say(helper, script, credential):
    assert ask_helper("test", "quay.io", helper(script)) == credential


@pytest.mark.parametrize(
    "script",
    [
        "exit 3",
        "echo broken; exit 1",
        "echo nonsense",
        "echo '[]'",
        'echo \'{"Username":7,"Secret":"canary"}\'',
        'echo \'{"Username":"canary"}\'',
        'printf %s \'{"Username":"me","Secret":"\\ud800"}\'',
        f"head -c {MAX_HELPER_OUTPUT + 1} /dev/zero",
        "yes",
        "kill -9 $$",
    ],
)
def test_helpers_that_fail(helper, script):
    with pytest.raises(AuthError, match="docker-credential-test") as caught:
        ask_helper("test", "quay.io", helper(script))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("script", ["sleep 1000", "sleep 1000 & wait", "exec >&-; sleep 1000"])
def test_helpers_that_hang(helper, script):
    with pytest.raises(AuthError, match="longer than"):
        ask_helper("test", "quay.io", helper(script), timeout=0.1)


@pytest.mark.parametrize("name", ["missing", "", "../test", "a/b", "-x", "a b"])
def test_helpers_that_do_not_exist(helper, name):
    with pytest.raises(AuthError):
        ask_helper(name, "quay.io", helper("exit 0"))


def test_helpers_are_not_looked_for_in_relative_directories(helper, tmp_path, monkeypatch):
    helper(f"{ANSWER} me pw")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AuthError, match="not on the PATH"):
        ask_helper("test", "quay.io", {"PATH": ".::relative"})


def test_the_helper_counts_before_the_file(helper, tmp_path):
    environ = helper(f"{ANSWER} helped pw", name="knows") | helper("exit 1", name="fails")
    helper("echo credentials not found; exit 1", name="ignorant")
    path = tmp_path / "config.json"
    document = {
        "auths": {"quay.io": login("file:pw"), "ghcr.io": login("file:pw")},
        "credHelpers": {"quay.io": "knows"},
        "credsStore": "ignorant",
    }
    path.write_text(json.dumps(document))
    keychain = Keychain([path], environ=environ)
    assert keychain.find("quay.io", "team/app") == user("helped")
    assert keychain.find("ghcr.io", "team/app") == user("file")
    assert keychain.find("docker.io", "team/app") is None
