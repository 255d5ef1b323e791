"""What the runtime-spec and the runtimes demand of a configuration for Linux, and where it fails.

Beside the rules of the specification stand those that every runtime has, since a container that
does not start says less than a path: an empty or relative `cwd`, a hostname without a UTS
namespace, an environment entry without `=`, and a missing mount namespace, without which mounts of
the container are those of the machine.

Spec: runtime-spec v1.0.2, config.md and config-linux.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidDocumentError
from orlop.idmap import MAX_ID
from orlop.spec.json import join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_HOSTNAME: Final = 64
"""Bytes of a host name in Linux."""

_NAMESPACES: Final = frozenset(["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"])
_RLIMITS: Final = frozenset((
    "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC",
    "RLIMIT_RSS", "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
))  # fmt: skip
_CAPABILITY_SETS: Final = frozenset(
    ["bounding", "effective", "inheritable", "permitted", "ambient"]
)
_HOOKS: Final = frozenset(
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
)
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]+)?", re.ASCII)
_CAPABILITY: Final = re.compile(r"CAP_[A-Z_]+", re.ASCII)
_ACTION: Final = re.compile(r"SCMP_ACT_[A-Z_]+", re.ASCII)
_ARCHITECTURE: Final = re.compile(r"SCMP_ARCH_[A-Z0-9_]+", re.ASCII)
_OPERATOR: Final = re.compile(r"SCMP_CMP_[A-Z_]+", re.ASCII)
_MAX_ARGUMENT: Final = 5
_MAX_ERRNO: Final = 4095
_DEVICE_TYPES: Final = frozenset("abcup")
_PROPAGATIONS: Final = frozenset(
    ["private", "shared", "slave", "unbindable", "rprivate", "rshared", "rslave", "runbindable"]
)
_MAX_NUMBER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that breaks a rule.

    Attributes:
        where: The JSON path.
        message: What is wrong there.
    """

    where: str
    message: str


def check_runtime(document: object) -> None:
    """Succeed if every runtime for Linux should take this configuration.

    Raises:
        InvalidDocumentError: The first rule that it breaks, and where.
    """
    problem = next(iter_problems(document), None)
    if problem is not None:
        raise InvalidDocumentError(problem.message, where=problem.where)


def iter_problems(document: object) -> Iterator[Problem]:
    """Everything that is wrong with a configuration, in the order of the document's parts."""
    if not isinstance(document, dict):
        yield Problem("$", "is no object")
        return
    root = _Value(document, "$")
    version = document.get("ociVersion")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        yield Problem("$.ociVersion", "is no version, such as 1.0.2")
    yield from _root(root)
    yield from _process(root)
    yield from _hostname(root)
    yield from _mounts(root)
    yield from _annotations(root)
    yield from _hooks(root)
    yield from _linux(root)
    yield from _encodable(root)


def _encodable(root: _Value) -> Iterator[Problem]:
    """The texts that no JSON can hold: what comes from a command line need not be UTF-8."""
    if _is_encodable(root.value):
        return
    waiting = [root]
    while waiting:
        found = waiting.pop()
        if isinstance(found.value, str) and not _is_utf8(found.value):
            yield found.problem("is not UTF-8, as configurations are")
        elif isinstance(found.value, dict):
            if not all(isinstance(key, str) and _is_utf8(key) for key in found.value):
                yield found.problem("has a key that is not UTF-8, as configurations are")
            else:
                waiting += reversed([found.get(key) for key in found.value])
        else:
            waiting += reversed(list(found.items()))


def _is_encodable(value: object) -> bool:
    """Whether JSON can hold all texts; without their places, which take most of the time."""
    if isinstance(value, str):
        return _is_utf8(value)
    if isinstance(value, dict):
        texts = (isinstance(key, str) and _is_utf8(key) for key in value)
        return all(texts) and all(map(_is_encodable, value.values()))
    return not isinstance(value, list) or all(map(_is_encodable, value))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of the document, and where it is."""

    value: object
    where: str

    def get(self, name: str) -> _Value:
        found = self.value.get(name) if isinstance(self.value, dict) else None
        return _Value(found, join(self.where, name))

    @property
    def missing(self) -> bool:
        return self.value is None

    def items(self) -> Iterator[_Value]:
        if isinstance(self.value, list):
            for at, each in enumerate(self.value):
                yield _Value(each, f"{self.where}[{at}]")

    def problem(self, message: str) -> Problem:
        return Problem(self.where, message)

    def word(self) -> Iterator[Problem]:
        """A text of a list, which may be empty, but is there."""
        if self.missing:
            yield self.problem("is no text")
        yield from self.text()

    def text(self, *, required: bool = False, absolute: bool = False) -> Iterator[Problem]:
        if self.missing:
            if required:
                yield self.problem("is missing")
        elif not isinstance(self.value, str):
            yield self.problem("is no text")
        elif "\0" in self.value:
            yield self.problem("has a NUL in it")
        elif required and not self.value:
            yield self.problem("is empty")
        elif absolute and not self.value.startswith("/"):
            yield self.problem("is no absolute path")

    def like(self, pattern: re.Pattern[str], what: str) -> Iterator[Problem]:
        if not isinstance(self.value, str) or not pattern.fullmatch(self.value):
            yield self.problem(f"is no {what}")

    def one_of(
        self, words: frozenset[str], what: str, *, required: bool = True
    ) -> Iterator[Problem]:
        if self.missing and not required:
            return
        if not isinstance(self.value, str) or self.value not in words:
            yield self.problem(f"is no {what}")

    def number(
        self, low: int = 0, high: int = _MAX_NUMBER, *, required: bool = False
    ) -> Iterator[Problem]:
        if self.missing:
            if required:
                yield self.problem("is missing")
        elif type(self.value) is not int:
            yield self.problem("is no integer")
        elif not low <= self.value <= high:
            yield self.problem(f"is not {low} to {high}")

    def flag(self) -> Iterator[Problem]:
        if not self.missing and not isinstance(self.value, bool):
            yield self.problem("is neither true nor false")

    def object(self, *, required: bool = False) -> Iterator[Problem]:
        if self.missing:
            if required:
                yield self.problem("is missing")
        elif not isinstance(self.value, dict):
            yield self.problem("is no object")

    def list(
        self, each: Callable[[_Value], Iterator[Problem]], *, required: bool = False
    ) -> Iterator[Problem]:
        if self.missing:
            if required:
                yield self.problem("is missing")
        elif not isinstance(self.value, list):
            yield self.problem("is no list")
        else:
            for item in self.items():
                yield from each(item)

    def texts(self) -> Iterator[Problem]:
        yield from self.list(lambda each: each.text(required=True))


def _unique(values: Iterator[_Value], name: str, what: str) -> Iterator[Problem]:
    seen = set()
    for each in values:
        key = each.get(name)
        if isinstance(key.value, str) and key.value in seen:
            yield key.problem(f"is {what} that comes twice: {key.value}")
        elif isinstance(key.value, str):
            seen.add(key.value)


def _root(root: _Value) -> Iterator[Problem]:
    found = root.get("root")
    yield from found.object(required=True)
    yield from found.get("path").text(required=True)
    yield from found.get("readonly").flag()


def _process(root: _Value) -> Iterator[Problem]:
    process = root.get("process")
    yield from process.object()
    if process.missing:
        return
    yield from process.get("terminal").flag()
    yield from process.get("noNewPrivileges").flag()
    yield from process.get("cwd").text(required=True, absolute=True)
    args = process.get("args")
    if not args.value:
        yield args.problem("says no command to run")
    yield from args.list(_Value.word)
    size = process.get("consoleSize")
    yield from size.object()
    if not size.missing:
        for name in ("height", "width"):
            yield from size.get(name).number(required=True)
    yield from process.get("env").list(_environment)
    yield from _user(process.get("user"))
    yield from _capabilities(process.get("capabilities"))
    yield from process.get("rlimits").list(_rlimit)
    yield from _unique(process.get("rlimits").items(), "type", "a limit")
    yield from process.get("oomScoreAdj").number(-1000, 1000)


def _environment(entry: _Value) -> Iterator[Problem]:
    text = entry.value
    if not isinstance(text, str) or "\0" in text or text.find("=") < 1:
        yield entry.problem("is not NAME=value")


def _user(user: _Value) -> Iterator[Problem]:
    yield from user.object(required=True)
    yield from user.get("uid").number(0, MAX_ID, required=True)
    yield from user.get("gid").number(0, MAX_ID, required=True)
    yield from user.get("umask").number(0, 0o777)
    yield from user.get("additionalGids").list(lambda each: each.number(0, MAX_ID))


def _capabilities(sets: _Value) -> Iterator[Problem]:
    yield from sets.object()
    if isinstance(sets.value, dict):
        for name in sets.value:
            found = sets.get(name)
            if name not in _CAPABILITY_SETS:
                yield found.problem("is no set of capabilities")
            else:
                yield from found.list(_capability)


def _capability(name: _Value) -> Iterator[Problem]:
    if not isinstance(name.value, str) or not _CAPABILITY.fullmatch(name.value):
        yield name.problem("is no capability, such as CAP_KILL")


def _rlimit(limit: _Value) -> Iterator[Problem]:
    soft, hard = limit.get("soft"), limit.get("hard")
    yield from limit.get("type").one_of(_RLIMITS, "limit, such as RLIMIT_NOFILE")
    yield from soft.number(0, 2**64 - 1, required=True)
    yield from hard.number(0, 2**64 - 1, required=True)
    if isinstance(soft.value, int) and isinstance(hard.value, int) and soft.value > hard.value:
        yield soft.problem("is above the hard limit")


def _hostname(root: _Value) -> Iterator[Problem]:
    name = root.get("hostname")
    yield from name.text()
    if not isinstance(name.value, str) or not name.value:
        return
    if len(name.value.encode(errors="replace")) > MAX_HOSTNAME:
        yield name.problem(f"is longer than {MAX_HOSTNAME} bytes")
    if not _has_namespace(root, "uts"):
        yield name.problem("needs a UTS namespace")


def _has_namespace(root: _Value, kind: str) -> bool:
    entries = root.get("linux").get("namespaces").items()
    return any(each.get("type").value == kind for each in entries)


def _mounts(root: _Value) -> Iterator[Problem]:
    yield from root.get("mounts").list(_mount)


def _mount(mount: _Value) -> Iterator[Problem]:
    yield from mount.object()
    yield from mount.get("destination").text(required=True, absolute=True)
    for name in ("type", "source"):
        yield from mount.get(name).text()
    yield from mount.get("options").texts()
    for name in ("uidMappings", "gidMappings"):
        yield from _mappings(mount.get(name))


def _mappings(found: _Value) -> Iterator[Problem]:
    yield from found.list(_mapping)


def _mapping(part: _Value) -> Iterator[Problem]:
    for name in ("containerID", "hostID"):
        yield from part.get(name).number(0, MAX_ID, required=True)
    yield from part.get("size").number(1, MAX_ID + 1, required=True)


def _annotations(root: _Value) -> Iterator[Problem]:
    found = root.get("annotations")
    yield from found.object()
    if isinstance(found.value, dict):
        for key in found.value:
            if not key:
                yield found.problem("has an empty key")
            if not isinstance(found.value[key], str):
                yield found.get(key).problem("is no text")


def _hooks(root: _Value) -> Iterator[Problem]:
    hooks = root.get("hooks")
    yield from hooks.object()
    if isinstance(hooks.value, dict):
        for name in hooks.value:
            if name not in _HOOKS:
                yield hooks.get(name).problem("is no moment of a container's life")
            yield from hooks.get(name).list(_hook)


def _hook(hook: _Value) -> Iterator[Problem]:
    yield from hook.get("path").text(required=True, absolute=True)
    yield from hook.get("args").list(_Value.word)
    yield from hook.get("env").list(_environment)
    yield from hook.get("timeout").number(1)


def _linux(root: _Value) -> Iterator[Problem]:
    linux = root.get("linux")
    yield from linux.object()
    yield from linux.get("namespaces").list(_namespace)
    yield from _unique(linux.get("namespaces").items(), "type", "a namespace")
    if not _has_namespace(root, "mount"):
        yield linux.get("namespaces").problem("has no mount namespace: mounts would be the host's")
    for name in ("uidMappings", "gidMappings"):
        yield from _mappings(linux.get(name))
        if linux.get(name).value and not _has_namespace(root, "user"):
            yield linux.get(name).problem("needs a user namespace")
    yield from linux.get("devices").list(_device)
    yield from _unique(linux.get("devices").items(), "path", "a device")
    for name in ("maskedPaths", "readonlyPaths"):
        yield from linux.get(name).list(lambda each: each.text(required=True, absolute=True))
    yield from linux.get("cgroupsPath").text()
    yield from linux.get("sysctl").object()
    yield from linux.get("rootfsPropagation").one_of(
        _PROPAGATIONS, "propagation, such as rprivate", required=False
    )
    yield from _resources(linux.get("resources"))
    yield from _seccomp(linux.get("seccomp"))


def _namespace(entry: _Value) -> Iterator[Problem]:
    yield from entry.get("type").one_of(_NAMESPACES, "namespace")
    yield from entry.get("path").text(absolute=True)


def _device(device: _Value) -> Iterator[Problem]:
    kind = device.get("type").value
    yield from device.get("type").one_of(_DEVICE_TYPES - {"a"}, "kind of device: c, b, u or p")
    yield from device.get("path").text(required=True, absolute=True)
    numbered = kind != "p"
    for name in ("major", "minor"):
        yield from device.get(name).number(0, 2**32 - 1, required=numbered)
    yield from device.get("fileMode").number(0, 0o7777)
    for name in ("uid", "gid"):
        yield from device.get(name).number(0, MAX_ID)


def _seccomp(profile: _Value) -> Iterator[Problem]:
    yield from profile.object()
    if not isinstance(profile.value, dict):
        return
    yield from profile.get("defaultAction").like(_ACTION, "action, such as SCMP_ACT_ERRNO")
    yield from profile.get("defaultErrnoRet").number(0, _MAX_ERRNO)
    yield from profile.get("architectures").list(
        lambda each: each.like(_ARCHITECTURE, "architecture, such as SCMP_ARCH_X86_64")
    )
    yield from profile.get("flags").texts()
    for name in ("listenerPath", "listenerMetadata"):
        yield from profile.get(name).text()
    yield from profile.get("syscalls").list(_system_calls)


def _system_calls(calls: _Value) -> Iterator[Problem]:
    names = calls.get("names")
    if isinstance(names.value, list) and not names.value:
        yield names.problem("is empty")
    yield from names.list(_Value.word, required=True)
    yield from calls.get("action").like(_ACTION, "action, such as SCMP_ACT_ALLOW")
    yield from calls.get("errnoRet").number(0, _MAX_ERRNO)
    yield from calls.get("args").list(_argument)


def _argument(argument: _Value) -> Iterator[Problem]:
    yield from argument.get("index").number(0, _MAX_ARGUMENT, required=True)
    yield from argument.get("value").number(0, 2**64 - 1, required=True)
    yield from argument.get("valueTwo").number(0, 2**64 - 1)
    yield from argument.get("op").like(_OPERATOR, "comparison, such as SCMP_CMP_EQ")


def _resources(resources: _Value) -> Iterator[Problem]:
    yield from resources.object()
    yield from resources.get("devices").list(_device_rule)
    memory, cpu = resources.get("memory"), resources.get("cpu")
    for found in (memory, cpu, resources.get("pids")):
        yield from found.object()
    for name in ("limit", "reservation", "swap", "kernel", "kernelTCP"):
        yield from memory.get(name).number(-1)
    limit, swap = memory.get("limit").value, memory.get("swap").value
    if isinstance(limit, int) and isinstance(swap, int) and -1 < swap < limit:
        yield memory.get("swap").problem("is below the limit of memory, which is part of it")
    for name in ("shares", "period", "realtimePeriod"):
        yield from cpu.get(name).number(0)
    yield from cpu.get("quota").number(-1)
    for name in ("cpus", "mems"):
        yield from cpu.get(name).text()
    if not resources.get("pids").missing:
        yield from resources.get("pids").get("limit").number(-1, required=True)


def _device_rule(rule: _Value) -> Iterator[Problem]:
    if not isinstance(rule.get("allow").value, bool):
        yield rule.get("allow").problem("is neither true nor false")
    kinds = _DEVICE_TYPES - {"u", "p"}
    yield from rule.get("type").one_of(kinds, "kind of device: a, b or c", required=False)
    for name in ("major", "minor"):
        yield from rule.get(name).number(-1)
    access = rule.get("access").value
    if access is not None and (not isinstance(access, str) or set(access) - set("rwm")):
        yield rule.get("access").problem("is not made of r, w and m")
