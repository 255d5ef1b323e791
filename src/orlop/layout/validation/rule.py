"""Rules, what breaks them, and how a table of rules is held against something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

Severity: TypeAlias = Literal["must", "note"]
Finding: TypeAlias = tuple[str, str]
"""Where below the subject, as the rest of a JSON path, and what is wrong there."""

MAX_SHOWN: Final = 100
"""Characters of a text, chosen by whoever wrote the layout, that a message repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One place where a layout is not what the specification says.

    Attributes:
        section: Document and heading, such as `descriptor.md, "Digests"`.
        where: The file, and the JSON path in it where it has one.
        message: What is wrong there.
        rule: What the section says, in a few words.
        severity: `must` where the layout breaks the specification; `note` where it may be so, and
            somebody may want to know.
    """

    section: str
    where: str
    message: str
    rule: str
    severity: Severity = "must"

    def __str__(self) -> str:
        return f"{self.where}: {self.message} ({self.section})"


class Rule(NamedTuple, Generic[T]):
    """One sentence of the specification that can be seen to hold or not.

    Attributes:
        section: Document and heading.
        says: The sentence, in a few words.
        check: All that breaks the rule in a subject.
        severity: What a breach is.
    """

    section: str
    says: str
    check: Callable[[T], Iterable[Finding]]
    severity: Severity = "must"

    def broken(self, where: str, message: str) -> Violation:
        """The violation of this rule at a place."""
        return Violation(
            section=self.section,
            where=where,
            message=message,
            rule=self.says,
            severity=self.severity,
        )


def found(section: str, says: str, severity: Severity = "must") -> Rule[object]:
    """A rule that whoever reads the layout finds broken, in what is not there or cannot be read."""
    return Rule(section, says, lambda _: (), severity)


def broken(rules: Iterable[Rule[T]], subject: T, where: str) -> Iterator[Violation]:
    """All that breaks the rules in a subject.

    Args:
        rules: In the order of the findings.
        subject: What they are held against.
        where: The subject's file, and its JSON path where it has one.
    """
    for rule in rules:
        for path, message in rule.check(subject):
            yield rule.broken(where + path, message)


def shown(text: str) -> str:
    """A text for a message: quoted, escaped, cut where it is long."""
    return repr(text[:MAX_SHOWN]) + ("…" if len(text) > MAX_SHOWN else "")
