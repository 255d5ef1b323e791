"""Configs merged of three: what came from the old base comes from the new one."""

import pytest

from orlop.editing.rebased import rebase_config
from orlop.errors import InvalidError
from orlop.platform import Platform
from orlop.spec import ContainerConfig, ImageConfig

AMD64 = Platform(os="linux", architecture="amd64")


def config(platform=AMD64, author=None, extra=None, **fields):
    return ImageConfig(
        platform=platform, author=author, config=ContainerConfig(**fields), extra=extra or {}
    )


OLD = config(
    author="base",
    user="old",
    cmd=("bash",),
    entrypoint=("/old",),
    env=("PATH=/bin", "V=1", "GONE=1", "MINE=base"),
    labels={"a": "1", "b": "1", "c": "1"},
    volumes=("/v",),
    healthcheck={"Test": ["old"]},
    extra={"Shell": ["sh"], "OnBuild": None},
)
NEW = config(
    author="new base",
    user="new",
    cmd=("zsh",),
    env=("LANG=C", "PATH=/usr/bin", "V=2", "MINE=new"),
    labels={"a": "2", "c": "2", "d": "2"},
    volumes=("/w",),
    stop_signal="SIGINT",
)


def test_an_image_that_changed_nothing_gets_all_of_the_new_base():
    assert rebase_config(OLD, OLD, NEW).config == NEW.config


def test_what_is_its_own_stays():
    mine = config(
        author="me",
        user="old",
        cmd=("app",),
        env=("PATH=/bin", "V=1", "MINE=own", "EXTRA=1"),
        labels={"a": "1", "b": "9", "own": "x"},
        volumes=("/v", "/mine"),
        working_dir="/app",
    )
    found = rebase_config(mine, OLD, NEW)
    assert found.author == "me"
    assert found.config == ContainerConfig(
        user="new",
        cmd=("app",),
        entrypoint=(),  # It had taken that of the old base away.
        env=("LANG=C", "PATH=/usr/bin", "V=2", "MINE=own", "EXTRA=1"),
        labels={"a": "2", "d": "2", "b": "9", "own": "x"},  # `c` is one that it had taken away
        volumes=("/w", "/mine"),
        working_dir="/app",
        stop_signal="SIGINT",
    )


def test_unknown_fields_are_judged_too():
    mine = config(extra={"Shell": ["sh"], "own": 1})
    new = config(extra={"Shell": ["bash"]})
    assert rebase_config(mine, OLD, new).extra == {"Shell": ["bash"], "own": 1}


def test_without_any_container_there_is_none():
    bare = ImageConfig(platform=AMD64)
    assert rebase_config(bare, bare, bare).config is None


@pytest.mark.parametrize(
    "other",
    [Platform(os="linux", architecture="arm64"), Platform(os="windows", architecture="amd64")],
)
def test_another_platform_is_refused(other):
    with pytest.raises(InvalidError, match="the new base is for"):
        rebase_config(OLD, OLD, config(platform=other))


def test_the_versions_of_the_system_are_the_bases():
    old, new = (
        config(platform=Platform(os="windows", architecture="amd64", os_version=version))
        for version in ("10.1", "10.2")
    )
    assert rebase_config(old, old, new).platform.os_version == "10.2"
