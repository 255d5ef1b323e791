"""The process of a container: what it runs, as whom, and with what around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import InvalidError
from orlop.spec.runtime import WantedUser

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orlop.bundle.options.option import SpecOption
    from orlop.spec.runtime import RuntimeSpec


def args(*words: str) -> SpecOption:
    """Run these words, whatever the image says."""

    def apply(spec: RuntimeSpec) -> None:
        spec.section("process")["args"] = list(words)

    return apply


def command(*words: str) -> SpecOption:
    """Run these words behind the image's entrypoint, instead of its own command.

    Spec: image-spec v1.1, config.md, "Cmd".
    """

    def apply(spec: RuntimeSpec) -> None:
        spec.section("process")["args"] = [*spec.entrypoint, *words]

    return apply


def entrypoint(*words: str) -> SpecOption:
    """Begin the command with these words instead of the image's; its own command goes, too."""

    def apply(spec: RuntimeSpec) -> None:
        spec.entrypoint = words
        spec.section("process")["args"] = list(words)

    return apply


def working_dir(path: str) -> SpecOption:
    """Start in a directory, which the runtime makes where it is missing.

    Raises:
        InvalidError: The path is not absolute.
    """
    if not path.startswith("/"):
        raise InvalidError(f"{path[:100]!r} is no absolute path in the container")

    def apply(spec: RuntimeSpec) -> None:
        spec.section("process")["cwd"] = path

    return apply


def env(entries: Mapping[str, str] | Iterable[str]) -> SpecOption:
    """Set variables of the environment; a value takes the place of an earlier one.

    Args:
        entries: Values by name, or `NAME=value` texts; what is neither is dropped, since runtimes
            refuse it.
    """
    if hasattr(entries, "items"):
        wanted = [f"{name}={value}" for name, value in entries.items()]
    else:
        wanted = list(entries)

    def apply(spec: RuntimeSpec) -> None:
        process = spec.section("process")
        process["env"] = merge_env(spec.texts("process", "env"), wanted, later_wins=True)

    return apply


def unset_env(*names: str) -> SpecOption:
    """Take variables out of the environment."""

    def apply(spec: RuntimeSpec) -> None:
        entries = spec.texts("process", "env")
        entries[:] = [each for each in entries if each.partition("=")[0] not in names]

    return apply


def merge_env(
    first: Iterable[str], others: Iterable[str], *, later_wins: bool = False
) -> list[str]:
    """Two environments as one, each name once, where it came first.

    What is no `NAME=value` is dropped. Of several values in one environment the last one counts.

    Args:
        first: Whose order counts.
        others: What is added to it.
        later_wins: Whether values of `others` count where both have a name.
    """
    found = _by_name(first)
    for name, entry in _by_name(others).items():
        if later_wins or name not in found:
            found[name] = entry
    return list(found.values())


def _by_name(entries: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, _ = entry.partition("=")
        if name and equals and "\0" not in entry:
            found[name] = entry
    return found


def user(text: str, *, groups_of_uid: bool = False) -> SpecOption:
    """Run as a user, who is looked up in the container's own files when the bundle is made.

    Args:
        text: `user`, `uid`, and either followed by `:group` or `:gid`.
        groups_of_uid: Give a user that is a number the further groups of its name, too, as
            config.md has it; conversion.md has it that it gets none.

    Spec: image-spec v1.1, conversion.md, "Config.User".
    """
    wanted = WantedUser(text, groups_of_uid)

    def apply(spec: RuntimeSpec) -> None:
        spec.user = wanted

    return apply


def terminal(*, size: tuple[int, int] | None = None) -> SpecOption:
    """Give the process a terminal, and a TERM.

    Args:
        size: Its height and width, in characters.
    """

    def apply(spec: RuntimeSpec) -> None:
        process = spec.section("process")
        process["terminal"] = True
        if size is not None:
            process["consoleSize"] = {"height": size[0], "width": size[1]}
        process["env"] = merge_env(spec.texts("process", "env"), ["TERM=xterm"])

    return apply


def rlimit(kind: str, soft: int, hard: int | None = None) -> SpecOption:
    """Limit a resource of the process; what the bundle's maker may not give is cut to that.

    Args:
        kind: Such as `RLIMIT_NOFILE`, or `nofile`.
        soft: The limit that counts.
        hard: What the process may raise it to; the same where None.

    Raises:
        InvalidError: The soft limit is above the hard one.
    """
    name = kind.upper() if kind.upper().startswith("RLIMIT_") else f"RLIMIT_{kind.upper()}"
    most = soft if hard is None else hard
    if not 0 <= soft <= most:
        raise InvalidError(f"the limits {soft} and {most} are none", where=name)

    def apply(spec: RuntimeSpec) -> None:
        limits = spec.entries("process", "rlimits")
        limits[:] = [each for each in limits if each.get("type") != name]
        limits.append({"type": name, "hard": most, "soft": soft})

    return apply


def oom_score(adjustment: int) -> SpecOption:
    """Let the kernel end the process sooner or later than others when memory runs out."""

    def apply(spec: RuntimeSpec) -> None:
        spec.section("process")["oomScoreAdj"] = adjustment

    return apply


def hostname(name: str) -> SpecOption:
    """Call the container so; it has a UTS namespace of its own."""

    def apply(spec: RuntimeSpec) -> None:
        spec.document["hostname"] = name
        if spec.namespace("uts") is None:
            spec.add_namespace("uts")

    return apply


def annotate(values: Mapping[str, str]) -> SpecOption:
    """Note something about the container, for runtimes and whoever lists them."""
    wanted = dict(values)

    def apply(spec: RuntimeSpec) -> None:
        spec.section("annotations").update(wanted)

    return apply


def hook(
    moment: str,
    path: str,
    arguments: Sequence[str] = (),
    *,
    environ: Sequence[str] = (),
    timeout: int | None = None,
) -> SpecOption:
    """Run a program of the machine at a moment of the container's life, after earlier ones.

    Args:
        moment: Such as `createRuntime` or `poststop`.
        path: The program; an absolute path.
        arguments: Its words, its own name first.
        environ: Its environment.
        timeout: Seconds that it may take.
    """
    entry: dict[str, object] = {"path": path}
    if arguments:
        entry["args"] = list(arguments)
    if environ:
        entry["env"] = list(environ)
    if timeout is not None:
        entry["timeout"] = timeout

    def apply(spec: RuntimeSpec) -> None:
        spec.entries("hooks", moment).append(dict(entry))

    return apply
