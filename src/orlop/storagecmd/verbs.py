"""The table of verbs: names, options, how many arguments, and where each is done."""

from __future__ import annotations

from typing import Final, NamedTuple

from orlop.storagecmd.options import Kind, Option

ANY: Final = -1
"""As many arguments as one likes."""


class Verb(NamedTuple):
    """One verb.

    Attributes:
        names: What it is called; the first is the one that is shown.
        action: The module of this package and the function in it, as `module:function`.
        help: What it does; one line.
        arguments: What follows the options, for people.
        options: Those that it has besides `COMMON`.
        at_least: How many arguments it needs.
        at_most: How many it takes; `ANY` for any number.
        store: Whether it works on a store.
    """

    names: tuple[str, ...]
    action: str
    help: str
    arguments: str = ""
    options: tuple[Option, ...] = ()
    at_least: int = 0
    at_most: int = 0
    store: bool = True


def _flag(long: str, short: str, help: str) -> Option:  # noqa: A002
    return Option(names=_names(long, short), help=help, kind=Kind.FLAG)


def _text(long: str, short: str, help: str) -> Option:  # noqa: A002
    return Option(names=_names(long, short), help=help)


def _list(long: str, short: str, help: str) -> Option:  # noqa: A002
    return Option(names=_names(long, short), help=help, kind=Kind.LIST)


def _names(long: str, short: str) -> tuple[str, ...]:
    return (f"--{long}", f"-{short}") if short else (f"--{long}",)


COMMON: Final = (
    _text("graph", "g", "where the store is"),
    _text("run", "R", "where its mounts and other things of this boot are"),
    _text("image-store", "", "a second store for images and the layers that are only read"),
    _flag("transient-store", "", "make containers that need not outlive this boot"),
    _text("storage-driver", "s", "erofs, overlay or vfs (or $STORAGE_DRIVER)"),
    _list("storage-opt", "", "an option of the driver, KEY=VALUE (or $STORAGE_OPTS)"),
    _flag("debug", "D", "say more about what is done"),
    _flag("unshare", "U", "do it in a user namespace"),
)
"""The options that stand before a verb or behind it."""

_JSON: Final = _flag("json", "j", "write JSON")
_QUIET_IDS: Final = _flag("quiet", "q", "IDs alone")
_ID: Final = _text("id", "i", "the ID; a random one where it is not given")
_NAME: Final = _list("name", "n", "a name; may be given several times")
_TO_FILE: Final = _text("file", "f", "write to this file")
_FROM_FILE: Final = _text("file", "f", "read from this file")
_METADATA: Final = (
    _text("metadata", "m", "metadata"),
    _text("metadata-file", "f", "a file with metadata"),
)
_MAPPINGS: Final = (
    _flag("hostuidmap", "", "the users of the host"),
    _flag("hostgidmap", "", "the groups of the host"),
    _text("uidmap", "", "users, CONTAINER:HOST:COUNT"),
    _text("gidmap", "", "groups, CONTAINER:HOST:COUNT"),
    _text("subuidmap", "", "the users that /etc/subuid gives to this one"),
    _text("subgidmap", "", "the groups that /etc/subgid gives to this one"),
)
_LAYER_OPTIONS: Final = (
    _text("label", "l", "the SELinux label of its mounts"),
    _ID,
    _flag("readonly", "r", "nobody will write to it"),
    _JSON,
    *_MAPPINGS,
)

_CREATING: Final = (
    Verb(
        names=("create-layer", "createlayer"),
        action="creating:create_layer",
        help="make a layer, empty or on top of another",
        arguments="[PARENT]",
        options=(_NAME, *_LAYER_OPTIONS),
        at_most=1,
    ),
    Verb(
        names=("import-layer", "importlayer"),
        action="creating:import_layer",
        help="make a layer out of a tar",
        arguments="[PARENT]",
        options=(_NAME, *_LAYER_OPTIONS, _FROM_FILE),
        at_most=1,
    ),
    Verb(
        names=("create-storage-layer",),
        action="creating:create_storage_layer",
        help="make the directory of a layer that no record names",
        arguments="[PARENT]",
        options=_LAYER_OPTIONS,
        at_most=1,
    ),
    Verb(
        names=("create-image", "createimage"),
        action="creating:create_image",
        help="make an image whose top a layer is",
        arguments="[LAYER]",
        options=(_NAME, _ID, _text("digest", "d", "its digest"), *_METADATA, _JSON),
        at_most=1,
    ),
    Verb(
        names=("create-container", "createcontainer"),
        action="creating:create_container",
        help="make a container of an image, or of nothing where it is empty",
        arguments="IMAGE",
        options=(
            _NAME,
            _flag("volatile", "", "it may be lost when the machine stops"),
            _ID,
            *_METADATA,
            _JSON,
            *_MAPPINGS,
        ),
        at_least=1,
        at_most=1,
    ),
)

_DELETING: Final = (
    Verb(
        names=("delete",),
        action="deleting:delete",
        help="delete layers, images and containers, whoever needs them",
        arguments="ID…",
        options=(_JSON,),
        at_least=1,
        at_most=ANY,
    ),
    Verb(
        names=("delete-layer", "deletelayer"),
        action="deleting:delete_layer",
        help="delete layers that nothing needs",
        arguments="LAYER…",
        options=(_JSON,),
        at_least=1,
        at_most=ANY,
    ),
    Verb(
        names=("delete-image", "deleteimage"),
        action="deleting:delete_image",
        help="delete images, and the layers that nothing else needs",
        arguments="IMAGE…",
        options=(_flag("test", "t", "only say which layers would go"), _JSON),
        at_least=1,
        at_most=ANY,
    ),
    Verb(
        names=("delete-container", "deletecontainer"),
        action="deleting:delete_container",
        help="delete containers with their layers",
        arguments="CONTAINER…",
        options=(_JSON,),
        at_least=1,
        at_most=ANY,
    ),
)

_EXAMINING: Final = (
    Verb(
        names=("exists",),
        action="examining:exists",
        help="say whether there are such layers, images or containers",
        arguments="ID…",
        options=(
            _flag("quiet", "q", "say nothing"),
            _flag("layer", "l", "as layers"),
            _flag("image", "i", "as images"),
            _flag("container", "c", "as containers"),
            _JSON,
        ),
        at_least=1,
        at_most=ANY,
    ),
    Verb(
        names=("layers",),
        action="examining:layers",
        help="list the layers",
        options=(
            _flag("tree", "t", "as a tree"),
            _flag("quick", "q", "IDs alone"),
            _JSON,
        ),
    ),
    Verb(
        names=("storage-layers",),
        action="examining:storage_layers",
        help="list what the driver has, recorded or not",
        options=(_JSON,),
    ),
    Verb(
        names=("layer",),
        action="examining:layer",
        help="show layers",
        arguments="LAYER…",
        options=(_JSON,),
        at_least=1,
        at_most=ANY,
    ),
    Verb(
        names=("images",),
        action="examining:images",
        help="list the images",
        options=(_JSON, _QUIET_IDS),
    ),
    Verb(
        names=("images-by-digest",),
        action="examining:images_by_digest",
        help="list the images that have a digest",
        arguments="DIGEST",
        options=(_JSON, _QUIET_IDS),
        at_least=1,
        at_most=1,
    ),
    Verb(
        names=("image",),
        action="examining:image",
        help="show images",
        arguments="IMAGE…",
        options=(_JSON,),
        at_least=1,
        at_most=ANY,
    ),
    Verb(
        names=("containers",),
        action="examining:containers",
        help="list the containers",
        options=(_JSON,),
    ),
    Verb(
        names=("container",),
        action="examining:container",
        help="show containers",
        arguments="CONTAINER…",
        options=(_JSON,),
        at_least=1,
        at_most=ANY,
    ),
)


def _data_verbs(kind: str) -> tuple[Verb, ...]:
    """The verbs for the big data of one kind; of layers no sizes and digests are asked for."""
    key = kind.upper()
    found = [
        _data_verb("list", kind, "", "name the data", key, (_JSON,)),
        _data_verb("get", kind, "", "write data out", f"{key} NAME", (_TO_FILE,)),
        _data_verb("set", kind, "", "keep data", f"{key} NAME", (_FROM_FILE,)),
    ]
    if kind != "layer":
        found += [
            _data_verb("get", kind, "-size", "tell the size of data", f"{key} NAME"),
            _data_verb("get", kind, "-digest", "tell the digest of data", f"{key} NAME"),
            _directory_verb(kind, "dir", "find the directory"),
            _directory_verb(kind, "run-dir", "find the directory for this boot"),
        ]
    return tuple(found)


def _data_verb(
    verb: str, kind: str, suffix: str, what: str, arguments: str, options: tuple[Option, ...] = ()
) -> Verb:
    name = f"{verb}-{kind}-data{suffix}"
    count = len(arguments.split())
    return Verb(
        names=(name, name.replace("-", "")),
        action=f"items:{name.replace('-', '_')}",
        help=f"{what} of {'an' if kind == 'image' else 'a'} {kind}",
        arguments=arguments,
        options=options,
        at_least=count,
        at_most=count,
    )


def _directory_verb(kind: str, which: str, what: str) -> Verb:
    name = f"get-{kind}-{which}"
    return Verb(
        names=(name, name.replace("-", "")),
        action=f"items:{name.replace('-', '_')}",
        help=f"{what} of {'an' if kind == 'image' else 'a'} {kind}",
        arguments=kind.upper(),
        at_least=1,
        at_most=1,
    )


def _names_verb(verb: str, help: str) -> Verb:  # noqa: A002
    return Verb(
        names=(f"{verb}-names", f"{verb}names"),
        action=f"naming:{verb}_names",
        help=help,
        arguments="ID",
        options=(_JSON,) if verb == "get" else (_NAME, _JSON),
        at_least=1,
        at_most=1 if verb == "get" else ANY,
    )


_NAMING: Final = (
    _names_verb("get", "list the names of a layer, image or container"),
    _names_verb("add", "give names"),
    _names_verb("remove", "take names away"),
    _names_verb("set", "give these names and no others"),
    Verb(
        names=("metadata",),
        action="naming:metadata",
        help="show metadata",
        arguments="ID…",
        options=(_flag("quiet", "q", "without IDs"), _JSON),
        at_least=1,
        at_most=ANY,
    ),
    Verb(
        names=("set-metadata", "setmetadata"),
        action="naming:set_metadata",
        help="keep other metadata",
        arguments="ID",
        options=_METADATA,
        at_least=1,
        at_most=1,
    ),
)


def _owners_verb(kind: str) -> Verb:
    return Verb(
        names=(f"{kind}-parent-owners",),
        action=f"mounting:{kind}_parent_owners",
        help="show who owns the directories above a mount, and is not mapped",
        arguments=f"{kind.upper()}…",
        options=(_JSON,),
        at_least=1,
        at_most=ANY,
    )


_MOUNTING: Final = (
    Verb(
        names=("mount",),
        action="mounting:mount",
        help="mount layers, containers or, with -r, images",
        arguments="ID…",
        options=(
            _text("opt", "o", "options; those of --storage-opt hold"),
            _text("label", "l", "the SELinux label"),
            Option(
                names=("--read-only", "--ro", "-r"),
                help="mount images, to be read",
                kind=Kind.FLAG,
            ),
            _JSON,
        ),
        at_least=1,
        at_most=ANY,
    ),
    Verb(
        names=("unmount", "umount"),
        action="mounting:unmount",
        help="give mounts up; the last one takes them away",
        arguments="ID…",
        options=(_JSON, _flag("force", "f", "whoever else mounted it")),
        at_least=1,
        at_most=ANY,
    ),
    Verb(
        names=("mounted",),
        action="mounting:mounted",
        help="say what is mounted",
        arguments="ID…",
        options=(_JSON,),
        at_least=1,
        at_most=ANY,
    ),
    _owners_verb("layer"),
    _owners_verb("container"),
)

_COMPARING: Final = (
    Verb(
        names=("changes",),
        action="comparing:changes",
        help="list what differs between a layer and its parent, or another layer",
        arguments="LAYER [FROM]",
        options=(_JSON,),
        at_least=1,
        at_most=2,
    ),
    Verb(
        names=("diffsize", "diff-size"),
        action="comparing:diff_size",
        help="tell the size of what differs",
        arguments="LAYER [FROM]",
        at_least=1,
        at_most=2,
    ),
    Verb(
        names=("diff",),
        action="comparing:diff",
        help="write what differs as a tar",
        arguments="LAYER [FROM]",
        options=(
            _TO_FILE,
            _flag("uncompressed", "u", "as it is"),
            _flag("gzip", "c", "with gzip"),
            Option(names=("--bzip2", "--bz2", "-b"), help="with bzip2", kind=Kind.FLAG),
            _flag("xz", "x", "with xz"),
        ),
        at_least=1,
        at_most=2,
    ),
    Verb(
        names=("applydiff", "apply-diff"),
        action="comparing:apply_diff",
        help="change a layer as a tar says",
        arguments="LAYER",
        options=(_FROM_FILE,),
        at_least=1,
        at_most=1,
    ),
    Verb(
        names=("applydiff-using-staging-dir",),
        action="comparing:apply_directory",
        help="change a layer so that it has what a directory has",
        arguments="LAYER DIRECTORY",
        at_least=2,
        at_most=2,
    ),
    Verb(
        names=("copy",),
        action="copying:copy",
        help="copy files into a layer, or out of it",
        arguments="[LAYER:]PATH… [LAYER:]PATH",
        options=(_text("chown", "o", "who owns the copies, USER[:GROUP] in numbers"), _JSON),
        at_least=2,
        at_most=ANY,
    ),
)

_UPKEEP: Final = (
    Verb(
        names=("check",),
        action="checking:check",
        help="look for damage, and remove what is damaged",
        options=(
            _JSON,
            _text("max", "m", "how old a layer may be that nothing needs; 24h"),
            _flag("repair", "r", "repair, or remove damaged images and layers"),
            _flag("force", "f", "remove damaged containers, too"),
            _flag("quick", "q", "do not read all content"),
        ),
    ),
    Verb(
        names=("gc",),
        action="upkeep:gc",
        help="remove what nothing needs",
        options=(_JSON,),
    ),
    Verb(
        names=("dedup",),
        action="upkeep:dedup",
        help="let files of equal content share their blocks",
        options=(_JSON, _text("hash-method", "", "size, crc or sha256")),
    ),
    Verb(
        names=("config",),
        action="upkeep:config",
        help="show the settings",
        arguments="[FILE]",
        at_most=1,
        store=False,
    ),
    Verb(
        names=("status",),
        action="upkeep:status",
        help="say which store and which driver it is",
        options=(_JSON,),
    ),
    Verb(
        names=("shutdown",),
        action="ending:shutdown",
        help="take everything away that a boot would",
        options=(_JSON, _flag("force", "f", "unmount what is mounted")),
    ),
    Verb(
        names=("wipe",),
        action="ending:wipe",
        help="delete all containers, images and layers",
        options=(_JSON,),
    ),
    Verb(
        names=("version",),
        action="upkeep:version",
        help="say which version this is",
        options=(_JSON,),
    ),
    Verb(
        names=("unshare",),
        action="upkeep:unshare",
        help="run a command in a user namespace",
        arguments="[COMMAND…]",
        at_most=ANY,
        store=False,
    ),
)

VERBS: Final = (
    *_CREATING,
    *_DELETING,
    *_EXAMINING,
    *_data_verbs("layer"),
    *_data_verbs("image"),
    *_data_verbs("container"),
    *_NAMING,
    *_MOUNTING,
    *_COMPARING,
    *_UPKEEP,
)
"""All verbs, in the order in which they are shown."""


def find(name: str) -> Verb | None:
    """The verb of a name, or None."""
    return next((verb for verb in VERBS if name in verb.names), None)
