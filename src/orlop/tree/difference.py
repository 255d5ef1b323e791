from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    kind: str
    path: bytes


def difference(*a, **k):
    raise RuntimeError


def iter_changes(*a, **k):
    raise RuntimeError
