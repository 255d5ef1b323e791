"""What this machine can do for a store, whether there is one already or not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.drivers.probing import Capabilities, probe
from orlop.errors import NotFoundError, OrlopError
from orlop.storage.mountable import driver_for
from orlop.storage.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.storage.mountable import Driver
    from orlop.storage.places import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is known before any image is there.

    Attributes:
        store: Whether there is a store, and whether it can be used.
        driver: What mounts images there if nobody says otherwise.
        capabilities: What works here, and why not.
    """

    store: str
    driver: Driver
    capabilities: Capabilities


def look_at_machine(places: Places) -> Machine:
    """Find out what works for a store at these places, by trying; no store is made."""
    capabilities = probe(_nearest_directory(places.staging))
    return Machine(
        store=_state_of(places), driver=driver_for(capabilities), capabilities=capabilities
    )


def _state_of(places: Places) -> str:
    try:
        Storage.open(places, read_only=True).close()
    except NotFoundError:
        return "none yet"
    except OrlopError as error:
        return f"unusable: {error}"
    except OSError as error:
        return f"unusable: {error.filename}: {error.strerror}"
    return "there"


def _nearest_directory(path: Path) -> Path:
    """The directory itself, or the nearest one above it that exists, and may be seen."""
    return next(each for each in (path, *path.parents) if os.path.isdir(each))
