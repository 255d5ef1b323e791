"""Which images a platform runs, and which of several suits it best; the preferences of containerd.

Spec: image-spec v1.1, image-index.md, "Platform Variants".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.platform.value import Platform

_MINORS: Final = ("", "1", "2", "3", "4", "5", "6", "7", "8", "9")
_WINDOWS_STABLE: Final = (20348, 26100)
"""Builds of Windows Server that later hosts can run: 2022 and 2025."""


def ordered(platform: Platform) -> Sequence[Platform]:
    """The platforms whose images this one runs, normalised, best first.

    The first is the platform itself. amd64 runs lower levels and 386, arm runs older arm, arm64
    runs older arm64 and then 32-bit arm.
    """
    platform = platform.normalized()
    return [replace(platform, architecture=a, variant=v) for a, v in _runnable(platform)]


def _runnable(platform: Platform) -> Iterator[tuple[str, str]]:
    architecture, variant = platform.architecture, platform.variant
    yield architecture, variant
    if architecture == "amd64":
        yield from (("amd64", _level(n)) for n in range(_number(variant) - 1, 0, -1))
        yield "386", ""
    elif architecture == "arm":
        yield from (("arm", f"v{n}") for n in range(_number(variant) - 1, 4, -1))
    elif architecture == "arm64":
        yield from (("arm64", older) for older in _older_arm64(variant))
        if variant[:2] in {"", "v8", "v9"}:
            yield from (("arm", f"v{n}") for n in range(8, 4, -1))


def _level(number: int) -> str:
    return "" if number == 1 else f"v{number}"


def _number(variant: str) -> int:
    """The level of `v3`, and 0 for what is no level; more than nine levels there are not."""
    digits = variant.removeprefix("v")
    return int(digits) if len(digits) == 1 and digits in "123456789" else 0


def _older_arm64(variant: str) -> Iterator[str]:
    """The revisions of arm64 that come before; v9.n holds all of v8.(n+5)."""
    major, _, minor = variant.removeprefix("v").partition(".")
    if major not in {"8", "9"} or minor not in _MINORS:
        return
    revision = _MINORS.index(minor)
    if major == "9":
        yield from (f"v9.{n}" if n else "v9" for n in range(revision - 1, -1, -1))
        revision = min(revision + 5, 9) + 1
    yield from (f"v8.{n}" if n else "" for n in range(revision - 1, -1, -1))


def choose(wanted: Platform, candidates: Sequence[Platform | None]) -> int | None:
    """The position of the candidate that suits best, or None where none does.

    Of equals the one with most features wins, then the first. A candidate of no platform comes
    after all that match: whoever takes it must look at the platform in its config.

    Args:
        wanted: What the images are to run on.
        candidates: The platforms that an index gives, in its order; None where it gives none.

    Spec: image-spec v1.1, image-index.md: "If multiple manifests match a client or runtime's
    requirements, the first matching entry SHOULD be used."
    """
    return next(iter(ranked(wanted, candidates)), None)


def ranked(wanted: Platform, candidates: Sequence[Platform | None]) -> list[int]:
    """The positions of the candidates that suit, best first; the first is what `choose` chooses."""
    runnable = ordered(wanted)
    places = []
    for at, candidate in enumerate(candidates):
        if candidate is None:
            places.append((len(runnable), 0, at))
            continue
        normal = candidate.normalized()
        rank = next((n for n, each in enumerate(runnable) if _matches(each, normal)), None)
        if rank is not None:
            places.append((rank, -len(normal.os_features), at))
    return [at for _, _, at in sorted(places)]


def matches(wanted: Platform, candidate: Platform) -> bool:
    """Whether images of `candidate` run on `wanted`, be it as the second choice."""
    return choose(wanted, (candidate,)) is not None


def _matches(wanted: Platform, candidate: Platform) -> bool:
    if (wanted.os, wanted.architecture, wanted.variant) != (
        candidate.os,
        candidate.architecture,
        candidate.variant,
    ):
        return False
    missing = set(candidate.os_features).difference(wanted.os_features)
    if wanted.os == "windows":
        # Every Windows that runs containers has it, and few say so.
        missing.discard("win32k")
        return not missing and _windows_matches(wanted.os_version, candidate.os_version)
    return not missing


def _windows_matches(host: str, container: str) -> bool:
    """Whether a Windows host runs a container: the same build, or a stable one not too old."""
    ours, theirs = _windows_version(host), _windows_version(container)
    if ours is None or theirs is None:
        return True
    if ours[:2] != theirs[:2] or ours[2] < _WINDOWS_STABLE[0]:
        return ours == theirs
    oldest = max((b for b in _WINDOWS_STABLE if b < ours[2]), default=_WINDOWS_STABLE[0])
    return oldest <= theirs[2] <= ours[2]


def _windows_version(text: str) -> tuple[int, int, int] | None:
    parts = text.split(".")[:3]
    if len(parts) < 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    major, minor, build = (int(part[:9]) for part in parts)
    return major, minor, build
