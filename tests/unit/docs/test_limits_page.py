"""The page on limits says what the code has, and has what the code says."""

import ast
import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

import orlop

SOURCES = Path(orlop.__file__).parent
PAGE = Path(__file__).parents[3] / "docs/limits.md"

ROW = re.compile(r"^\| `(?P<name>\w+)` +\| (?P<value>[^|]+?) +\| [^|]+\|(?: `(?P<module>[\w.]+)`)?")
CLASS = re.compile(r"^`(?P<module>orlop[\w.]+)\.(?P<name>\w+)`\. Set by ")
UNITS = {
    "": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
    "s": 1, "h": 3600,
}  # fmt: skip
NANOSECONDS = {"INGEST_KEEP_TIME", "FOREIGN_LEASE_TIME"}


def number(text, name):
    digits, _, unit = text.replace(",", "").partition(" ")
    return int(digits) * UNITS[unit] * (10**9 if name in NANOSECONDS else 1)


def told():
    """Module or class, name and value of each limit on the page."""
    owner = None
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            owner = None
        if found := CLASS.match(line):
            owner = f"{found['module']}.{found['name']}"
        if found := ROW.match(line):
            yield found["module"] or owner, found["name"], number(found["value"], found["name"])


TOLD = list(told())


def resolve(path):
    """A module, or a class in one."""
    module, _, name = path.rpartition(".")
    if name[0].isupper():
        return getattr(importlib.import_module(module), name)
    return importlib.import_module(path)


@pytest.mark.parametrize(("owner", "name", "value"), TOLD)
def test_a_limit_is_what_the_page_says(owner, name, value):
    holder = resolve(owner)
    found = getattr(holder() if isinstance(holder, type) else holder, name)
    assert found == value


def constants():
    """Every module of the package with the names in capitals that it defines."""
    for path in sorted(SOURCES.rglob("*.py")):
        parts = path.relative_to(SOURCES.parent).with_suffix("").parts
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield ".".join(parts), node.target.id


def test_the_page_has_every_limit():
    limits = {(module, name) for module, name in constants() if name.startswith("MAX_")}
    missing = limits - {(owner, name) for owner, name, _ in TOLD}
    assert missing == set()


@pytest.mark.parametrize(
    "path",
    [
        "orlop.compression.limits.DecompressionLimits",
        "orlop.tar.limits.TarLimits",
        "orlop.registry.options.RegistryOptions",
    ],
)
def test_the_page_has_every_limit_of_a_class(path):
    holder = resolve(path)
    numbers = {field.name for field in fields(holder) if field.type in {"int", "float"}}
    assert {name for owner, name, _ in TOLD if owner == path} == numbers


def test_every_limit_that_an_error_names_is_on_the_page():
    named = set()
    for path in SOURCES.rglob("*.py"):
        named.update(re.findall(r'\blimit="(MAX_\w+|max_\w+|ratio_floor)"', path.read_text()))
    assert len(named) > 30
    assert named - {name for _, name, _ in TOLD} - {"max_inodes"} == set()


def test_the_page_tells_each_limit_once():
    owners = [(owner, name) for owner, name, _ in TOLD]
    assert len(owners) == len(set(owners))
    assert len(owners) > 90
