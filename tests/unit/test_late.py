"""What packages hand on is what it says, whichever of their modules have been loaded."""

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import orlop

PACKAGES = sorted(
    each.name for each in pkgutil.walk_packages(orlop.__path__, "orlop.") if each.ispkg
)

ALL_LOADED = """
import importlib, pkgutil, sys, orlop
for each in pkgutil.walk_packages(orlop.__path__, "orlop."):
    if not each.name.startswith(("orlop.testing", "orlop.storagecmd.__")):
        importlib.import_module(each.name)
for name, package in sorted(sys.modules.items()):
    if name.startswith("orlop"):
        for each in getattr(package, "__all__", ()):
            if isinstance(getattr(package, each), type(sys)):
                print(name, each)
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_each_name_is_there(package):
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", ()):
        assert not isinstance(getattr(module, name), ModuleType), name


def test_no_module_hides_a_name_that_is_loaded_late():
    """A package has each of its modules as an attribute once that is loaded."""
    done = subprocess.run(
        [sys.executable, "-c", ALL_LOADED], check=True, capture_output=True, text=True
    )
    assert done.stdout == ""
