"""Which store, which driver and what else: from options, environment and configuration.

What an option says holds; else the environment (`STORAGE_DRIVER`, `STORAGE_OPTS`, and orlop's own
`ORLOP_ROOT` and `ORLOP_RUN`); else the file that `CONTAINERS_STORAGE_CONF` names, which is asked
only where no option says anything of these. The file of the machine is never read: what it names
is the store of another program.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from orlop.errors import InvalidError, LimitExceededError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orlop.storagecmd.options import Call

DRIVERS: Final = ("erofs", "overlay", "vfs")
MAX_CONFIG_SIZE: Final = 1 << 20
"""Bytes of a configuration file."""

_STORES: Final = frozenset({"imagestore", "additionalimagestore"})
_NO_MATTER: Final = frozenset(
    {"override_kernel_check", "skip_mount_home", "mount_program", "use_composefs", "sync"}
)
"""Options that tune the peer's drivers; ours need no tuning."""
_MOUNT_FLAGS: Final = frozenset({"nodev", "nosuid"})
_MOUNT_TUNING: Final = ("metacopy=", "index=", "redirect_dir=", "volatile", "userxattr", "nodev")


class Settings(NamedTuple):
    """What the options that all verbs have say.

    Attributes:
        root: Where the store is; orlop's usual place where empty.
        run: Its directory for this boot; likewise.
        image_store: A second store, for images; none where empty.
        driver: The driver; the best one where empty.
        options: The driver's options as they were given.
        transient: Whether containers need not outlive this boot.
        debug: Whether to say more.
    """

    root: str = ""
    run: str = ""
    image_store: str = ""
    driver: str = ""
    options: tuple[str, ...] = ()
    transient: bool = False
    debug: bool = False

    @property
    def additional(self) -> tuple[str, ...]:
        """The stores that are looked through after the own one, and only read."""
        found: list[str] = []
        for option in self.options:
            key, value = split_option(option)
            if key in _STORES:
                found += [path for path in value.split(",") if path]
        return tuple(dict.fromkeys(found))

    @property
    def mount_flags(self) -> frozenset[str]:
        """`nodev` and `nosuid`, as far as the options of mounts have them."""
        given = (split_option(option) for option in self.options)
        words = (word for key, value in given if key == "mountopt" for word in value.split(","))
        return _MOUNT_FLAGS.intersection(words)


def settings_of(call: Call, environ: Mapping[str, str]) -> Settings:
    """The settings of a command line.

    Raises:
        InvalidError: An option or the configuration cannot be understood.
        UnsupportedError: There is no such driver, or it has no such option.
        OSError: The configuration cannot be read.
    """
    given = any(call.text(key) for key in ("graph", "run", "storage-driver"))
    base = Settings()
    if not given and not call.texts("storage-opt"):
        base = configured(environ)
    options = call.texts("storage-opt") or base.options or from_environment(environ)
    found = Settings(
        root=call.text("graph") or base.root or environ.get("ORLOP_ROOT", ""),
        run=call.text("run") or base.run or environ.get("ORLOP_RUN", ""),
        image_store=call.text("image-store") or base.image_store,
        driver=call.text("storage-driver") or base.driver or environ.get("STORAGE_DRIVER", ""),
        options=options,
        transient=call.flag("transient-store") or base.transient,
        debug=call.flag("debug"),
    )
    check(found)
    return found


def from_environment(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The driver's options in `STORAGE_OPTS`, which commas part."""
    return tuple(option for option in environ.get("STORAGE_OPTS", "").split(",") if option)


def check(settings: Settings) -> None:
    """Succeed if there is such a driver, and it has these options.

    Raises:
        InvalidError: An option has no value.
        UnsupportedError: Otherwise.
    """
    if settings.driver and settings.driver not in DRIVERS:
        raise UnsupportedError(
            f'driver "{settings.driver}": driver not supported',
            hint=f"choose one of {', '.join(DRIVERS)}",
        )
    for option in settings.options:
        _check_option(option)


def _check_option(option: str) -> None:
    key, value = split_option(option)
    if key in _STORES:
        _check_stores(value.split(","))
    elif key == "mountopt":
        _check_mount_options(value.split(","))
    elif key not in _NO_MATTER and (key, value) != ("ignore_chown_errors", "false"):
        raise UnsupportedError(f"no driver of orlop has the option {key}")


def _check_stores(paths: Iterable[str]) -> None:
    for path in paths:
        if path and not os.path.isabs(path):
            raise InvalidError(f'the image store "{path}" is not absolute')


def _check_mount_options(words: Iterable[str]) -> None:
    for word in words:
        if word and word not in _MOUNT_FLAGS and not word.startswith(_MOUNT_TUNING):
            raise UnsupportedError(f"no driver of orlop has the mount option {word}")


def split_option(option: str) -> tuple[str, str]:
    """Key and value of a driver's option, the key without the name of the driver.

    Raises:
        InvalidError: It has no value.
    """
    key, has_value, value = option.partition("=")
    if not has_value:
        raise InvalidError(f"unable to parse key/value option: {option}")
    key = key.strip().lower()
    for prefix in ("erofs.", "overlay.", "overlay2.", "vfs.", "."):
        key = key.removeprefix(prefix)
    return key, value.strip()


def configured(environ: Mapping[str, str]) -> Settings:
    """What the file that `CONTAINERS_STORAGE_CONF` names says; nothing where it names none.

    Raises:
        InvalidError: It is no configuration.
        LimitExceededError: `MAX_CONFIG_SIZE`.
        OSError: It cannot be read.
    """
    path = environ.get("CONTAINERS_STORAGE_CONF", "")
    return read_config(path) if path else Settings()


def read_config(path: str) -> Settings:
    """What a configuration file says.

    Raises:
        InvalidError: It is no configuration.
        LimitExceededError: `MAX_CONFIG_SIZE`.
        OSError: It cannot be read.
    """
    import tomllib

    with open(path, "rb") as file:
        data = file.read(MAX_CONFIG_SIZE + 1)
    if len(data) > MAX_CONFIG_SIZE:
        raise LimitExceededError(
            f"{path} is too large", limit="MAX_CONFIG_SIZE", value=MAX_CONFIG_SIZE
        )
    try:
        document = tomllib.loads(data.decode())
    except ValueError as error:
        raise InvalidError(f"no configuration: {error}", where=path) from None
    storage = _table(document, "storage")
    options = _table(storage, "options")
    driver = _text(storage, "driver")
    return Settings(
        root=_text(storage, "graphroot"),
        run=_text(storage, "runroot"),
        image_store=_text(storage, "imagestore"),
        driver=driver,
        options=tuple(_options(options, driver)),
        transient=storage.get("transient_store") is True,
    )


def _options(options: Mapping[str, object], driver: str) -> Iterable[str]:
    stores = options.get("additionalimagestores", [])
    if isinstance(stores, list):
        yield from (f"{driver}.imagestore={path}" for path in stores)
    own = _table(options, driver)
    for key in ("mountopt", "mount_program", "ignore_chown_errors", "size", "inodes", "force_mask"):
        value = own.get(key, options.get(key, ""))
        if value:
            yield f"{driver}.{key}={value}"


def _table(values: Mapping[str, object], key: str) -> dict[str, object]:
    found = values.get(key, {})
    return found if isinstance(found, dict) else {}


def _text(values: Mapping[str, object], key: str) -> str:
    found = values.get(key, "")
    return found if isinstance(found, str) else ""
