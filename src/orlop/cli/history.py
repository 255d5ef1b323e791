"""`orlop history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.cli.render import Format, human_size, print_json, print_table
from orlop.cli.settings import open_for_reading

if TYPE_CHECKING:
    from orlop.spec.history import History
    from orlop.store import Image

_WIDTH = 60


def history(image: str, /, *, format: Format = "table") -> None:  # noqa: A002
    """Show the steps that an image was built by, the last one first.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        format: How to print: table or json; json has the commands whole.
    """
    with open_for_reading() as store:
        steps = _steps(store.image(image))
    if format == "json":
        print_json([_document(step, layer) for step, layer in steps])
        return
    rows = [
        [
            (step.created or "")[:19].replace("T", " "),
            "" if layer is None else human_size(layer[1]),
            _shortened(" ".join((step.created_by or "").split())),
            step.comment or "",
        ]
        for step, layer in steps
    ]
    print_table(rows, ["created", "size", "created by", "comment"])


def _steps(image: Image) -> list[tuple[History, tuple[str, int] | None]]:
    """Each step with the digest and size of the layer it made, the last step first.

    A config may tell of fewer steps than there are layers: those are steps of which nothing is
    known.

    Spec: image-spec v1.1, config.md, "history".
    """
    from orlop.spec.history import History

    layers = [(str(layer.digest), layer.size) for layer in image.manifest.layers]
    told = list(image.config.history)
    untold = max(0, len(layers) - sum(not step.empty_layer for step in told))
    left = iter(layers)
    steps = [*told, *[History()] * untold]
    return [(step, None if step.empty_layer else next(left, None)) for step in steps][::-1]


def _document(step: History, layer: tuple[str, int] | None) -> dict[str, object]:
    if layer is None:
        return step.encode()
    return {**step.encode(), "layer": layer[0], "size": layer[1]}


def _shortened(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
