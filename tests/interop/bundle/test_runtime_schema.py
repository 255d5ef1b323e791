"""Configurations held against the JSON schema that the runtime-spec comes with."""

import copy
import json
from functools import cache
from pathlib import Path

import hypothesis.strategies as st
import jsonschema
import pytest
from hypothesis import given, settings
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from orlop.bundle.finish import start_spec
from orlop.bundle.options import (
    add_capabilities,
    annotate,
    args,
    bind,
    cgroups_path,
    cpu_limit,
    device,
    drop_capabilities,
    env,
    hook,
    host_network,
    hostname,
    memory_limit,
    namespace,
    oom_score,
    pids_limit,
    privileges,
    read_only,
    rlimit,
    rootless,
    seccomp,
    terminal,
    tmpfs,
    user,
    user_namespace,
    working_dir,
)
from orlop.idmap import IdMapping, IdRange
from orlop.spec.runtime import iter_problems

FOLDER = Path("/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not FOLDER.is_dir(), reason="not installed: golang-github-opencontainers-specs-dev"
    ),
]

RANGES = (IdRange(container=0, host=100_000, size=65_536),)
SECCOMP = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}],
}
OPTIONS = [
    args("sh", "-c", "true"), env({"A": "b", "C": ""}), working_dir("/srv"), user("5:6"),
    terminal(size=(24, 80)), rlimit("nofile", 64, 128), oom_score(-5), hostname("box"),
    annotate({"org.example.key": "value"}), hook("prestart", "/bin/true", ["true", "x"], timeout=3),
    hook("poststop", "/bin/true"), host_network(), namespace("ipc", "/proc/1/ns/ipc"),
    namespace("uts", shared=True), user_namespace(IdMapping(uids=RANGES, gids=RANGES)),
    rootless(1000, 1000), read_only(tmp=True), add_capabilities("net_admin"),
    drop_capabilities("ALL"), privileges(gain=True), seccomp(SECCOMP), cgroups_path("/orlop/box"),
    bind("/etc", "/mnt/etc", read_only=True), tmpfs("/scratch", size=1 << 20),
    device("/dev/fuse"), device("/dev/null", "/dev/nothing", access="r"),
    memory_limit("256M", swap="512M"), cpu_limit("0.5"), pids_limit(64),
]  # fmt: skip
WRONG = [True, -1, 1.5, 1 << 70, "", "x", "/x", [], ["x"], [None], {}, {"x": 1}, [{}]]
"""No null among them, which runtimes take for what is not there, as these rules do."""


@cache
def validator():
    """What holds a document against the schema, whose parts name each other by file."""

    def retrieve(uri):
        text = (FOLDER / uri.rpartition("/")[2]).read_text()
        return Resource.from_contents(json.loads(text), default_specification=DRAFT4)

    schema = json.loads((FOLDER / "config-schema.json").read_text())
    return jsonschema.Draft4Validator(schema, registry=Registry(retrieve=retrieve))


@cache
def full():
    """A configuration with nearly all that options can put into one."""
    return start_spec([each for each in OPTIONS if each is not OPTIONS[15]]).document


def places(value, path=()):
    """The path of everything in a document."""
    yield path
    if isinstance(value, (dict, list)):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(below, (*path, key))


def with_change(document, path, value):
    """A copy of the document that has this value there; None for nothing at all."""
    changed = copy.deepcopy(document)
    here = changed
    for key in path[:-1]:
        here = here[key]
    if value is ...:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return changed


@given(st.lists(st.sampled_from(OPTIONS), max_size=12))
@settings(deadline=None, max_examples=60)
def test_what_options_make_is_valid(options):
    """Whatever options are given, in whatever order."""
    validator().validate(start_spec(options).document)


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_what_the_schema_refuses_is_refused(data):
    """Our rules go further than the schema, and never less far."""
    paths = [each for each in places(full()) if each]
    path = paths[data.draw(st.integers(0, len(paths) - 1))]
    value = data.draw(st.sampled_from([*WRONG, ...]))
    changed = with_change(full(), path, value)
    refused = [error.message for error in validator().iter_errors(changed)]
    if refused:
        assert list(iter_problems(changed)), (path, value, refused)
