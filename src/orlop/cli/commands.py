"""Which commands there are: where each is found, and the line of the list that tells of it.

A command is imported when it is called: what it does not use costs it nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Command(NamedTuple):
    """A command.

    Attributes:
        name: What it is called by.
        place: Module below `orlop.cli`, and function.
        help: One line.
    """

    name: str
    place: str
    help: str


class Noun(NamedTuple):
    """A word with commands of its own.

    Attributes:
        name: What it is called by.
        help: One line.
        verbs: Its commands.
    """

    name: str
    help: str
    verbs: tuple[Command | Noun, ...]


def _belongings(kind: str, what: str) -> tuple[Noun, ...]:
    """The nouns below a kind of thing that has names, metadata and data."""
    place = f"belongings:{kind}"
    return (
        Noun(
            "name",
            f"Give {what} names, and take them away.",
            (
                Command("add", f"{place}_add_names", "Give it more names."),
                Command("rm", f"{place}_remove_names", "Take names away from it."),
                Command("set", f"{place}_set_names", "Give it these names and no others."),
            ),
        ),
        Noun(
            "meta",
            f"Note something about {what}.",
            (
                Command("get", f"{place}_metadata", "Print what is noted about it."),
                Command("set", f"{place}_set_metadata", "Note something else about it."),
            ),
        ),
        Noun(
            "data",
            f"Keep files with {what}.",
            (
                Command("ls", f"{place}_list_data", "List the files that are kept with it."),
                Command("get", f"{place}_get_data", "Print one of them."),
                Command("put", f"{place}_put_data", "Keep a file with it."),
                Command("rm", f"{place}_remove_data", "Remove some of them."),
            ),
        ),
    )


COMMANDS: Final[dict[str, tuple[Command | Noun, ...]]] = {
    "Images": (
        Command("pull", "pull:pull", "Bring an image into the store."),
        Command("copy", "copy:copy", "Copy images from any place to any other."),
        Command("save", "copy:save", "Write images of the store into an archive."),
        Command("load", "copy:load", "Bring the images of an archive into the store."),
        Command("images", "images:images", "List the images."),
        Command("inspect", "images:inspect", "Show what is known about an image."),
        Command("history", "history:history", "Show the steps that an image was built by."),
        Command("tag", "names:tag", "Give an image more names."),
        Command("untag", "names:untag", "Take names away from images."),
        Command("label", "names:label", "Set labels of an image, or list them."),
        Command("rm", "images:remove", "Remove the names of images."),
        Noun(
            "image",
            "Look after images, and make some of layers.",
            (
                Command("create", "stored_images:create", "Make an image of a layer."),
                Command("ls", "stored_images:list_images", "List images, also bare ones."),
                Command("inspect", "stored_images:inspect", "Show what belongs to an image."),
                Command("rm", "stored_images:remove", "Remove images with their layers."),
                Command("mount", "stored_images:mount", "Show images as directories."),
                Command("umount", "stored_images:unmount", "Take them away again."),
                Command("publish", "stored_images:publish", "Make an image one to be pushed."),
                Command("dir", "belongings:image_directory", "Print a directory of one's own."),
                Command("check", "check:check", "Find out whether images are whole and undamaged."),
                *_belongings("image", "an image"),
            ),
        ),
    ),
    "Editing": (
        Command("config", "editing:config", "Change how an image is run."),
        Command("append", "editing:append", "Put more layers on an image."),
        Command("squash", "editing:squash", "Merge the uppermost layers of an image."),
        Command("flatten", "editing:flatten", "Merge all layers of an image."),
        Command("rebase", "editing:rebase", "Give an image another base."),
        Command("commit", "containers:commit", "Make an image of a container."),
        Command("diff", "diff:diff", "List what one image has otherwise than another."),
        Noun(
            "index",
            "Put images for several platforms under one name.",
            (
                Command("create", "indexes:create", "Make an index of images."),
                Command("add", "indexes:add", "List more images in an index."),
                Command("rm", "indexes:remove", "Take images out of an index."),
                Command("annotate", "indexes:annotate", "Set annotations of an index."),
            ),
        ),
    ),
    "Disks": (Command("disk", "disk:make", "Write an image as disks for virtual machines."),),
    "Containers": (
        Command("run", "run:run", "Run a command in a container."),
        Noun(
            "container",
            "Make containers of images, and images of containers.",
            (
                Command("create", "containers:create", "Make a container."),
                Command("ls", "containers:list_containers", "List the containers."),
                Command("inspect", "containers:inspect", "Show what is known about one."),
                Command("rm", "containers:remove", "Remove containers with all they hold."),
                Command("mount", "containers:mount", "Show containers as directories."),
                Command("umount", "containers:unmount", "Take them away again."),
                Command("changes", "containers:changes", "List what one changed of its image."),
                Command("diff", "containers:diff", "Print what one changed, as a tar."),
                Command("commit", "containers:commit", "Make an image of one."),
                Command("dir", "belongings:container_directory", "Print a directory of one's own."),
                *_belongings("container", "a container"),
            ),
        ),
        Noun(
            "layer",
            "Make layers, write to them, compare them.",
            (
                Command("create", "layers:create", "Make a layer."),
                Command("ls", "layers:list_layers", "List the layers."),
                Command("inspect", "layers:inspect", "Show what is known about a layer."),
                Command("rm", "layers:remove", "Remove layers that nobody needs."),
                Command("mount", "layers:mount", "Show layers as directories."),
                Command("umount", "layers:unmount", "Take them away again."),
                Command("changes", "layers:changes", "List what a layer changes of another."),
                Command("diff", "layers:diff", "Print what a layer adds to another, as a tar."),
                Command("apply", "layers:apply", "Change a layer by a tar."),
                *_belongings("layer", "a layer"),
            ),
        ),
        Noun(
            "bundle",
            "Make bundles of images, which OCI runtimes run.",
            (
                Command("create", "bundles:create", "Make a bundle of an image."),
                Command("ls", "bundles:list_bundles", "List the bundles."),
                Command("mount", "bundles:mount", "Mount bundles again after a restart."),
                Command("rm", "bundles:remove", "Remove bundles with all that was written."),
            ),
        ),
        Command("unshare", "unshare:unshare", "Run a command in a user namespace, as its root."),
    ),
    "Their files": (
        Command("unpack", "unpack:unpack", "Write an image into a directory."),
        Command("repack", "unpack:repack", "Make an image of a directory that was changed."),
        Command("ls", "files:list_files", "List files of an image."),
        Command("cat", "files:concatenate", "Print files of an image."),
        Command("mount", "mounts:mount", "Mount an image, or list all mounts."),
        Command("umount", "mounts:unmount", "Unmount what was mounted."),
    ),
    "Layouts": (
        Noun(
            "layout",
            "Work on OCI image layouts, without a store.",
            (
                Command("init", "layout:create", "Make a layout without images."),
                Command("ls", "layout:list_images", "List what a layout names."),
                Command("put", "layout:put", "Store a file as a blob, an image under a name."),
                Command("tag", "layout:tag", "Give an image one more name."),
                Command("rm", "layout:remove", "Take a name out of a layout."),
                Command("cat", "layout:concatenate", "Print a blob, verified."),
                Command("gc", "layout:free", "Remove the blobs that nothing needs."),
                Command("validate", "layout:check", "Find out what breaks the image-spec."),
            ),
        ),
    ),
    "The store": (
        Command("gc", "store:collect", "Free what no image needs."),
        Command("check", "upkeep:check", "Find out what is damaged, and mend it."),
        Command("dedup", "upkeep:dedup", "Let files of equal content share their blocks."),
        Command("shutdown", "upkeep:shutdown", "Take away all mounts of the store."),
        Command("wipe", "upkeep:wipe", "Remove everything that is in the store."),
        Noun(
            "lease",
            "Keep content for a while that no image names.",
            (
                Command("create", "leases:create", "Begin a lease, and print its name."),
                Command("ls", "leases:list_leases", "List the leases."),
                Command("inspect", "leases:inspect", "Show what a lease keeps, and until when."),
                Command("add", "leases:add", "Let a lease keep more."),
                Command("extend", "leases:extend", "Let a lease end at another time."),
                Command("rm", "leases:remove", "End leases."),
            ),
        ),
        Noun(
            "content",
            "Look at blobs and downloads.",
            (
                Command("ls", "content:list_blobs", "List the blobs."),
                Command("get", "content:get", "Print a blob, verified."),
                Command("label", "content:label", "Set labels of a blob, or list them."),
                Command("ingests", "content:list_ingests", "List downloads that are not done."),
                Command("abort", "content:abort", "Drop interrupted downloads."),
            ),
        ),
        Command("df", "store:usage", "Show what the store occupies."),
        Command("info", "store:info", "Show where the store is, and what this machine can do."),
    ),
}
"""All commands, in the groups and the order of the list."""
