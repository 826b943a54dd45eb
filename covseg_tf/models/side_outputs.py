"""Outputs that only training sees: their names, losses, weights and masks."""

from collections.abc import Sequence

from covseg_tf.losses import PresenceLoss

KINDS = ("scales", "presence")
PRESENCE_OUTPUT = "infection_side_presence"
# The authors' weight of a side output's loss.
_SCALE_WEIGHT = 0.1
# Weight of the presence loss beside the infection flow's.
_PRESENCE_WEIGHT = 0.5


def is_side_output(name: str) -> bool:
    """Returns whether an output is one that only training sees."""
    return "_side_" in name


def flow_of(name: str) -> str:
    """Returns the flow, `"lung"` or `"infection"`, that an output belongs to."""
    return name.partition("_side_")[0]


def check_side_outputs(side_outputs: Sequence[str]) -> tuple[str, ...]:
    """Returns the kinds as a tuple.

    Raises:
        ValueError: If one is unknown, or a string came in place of a sequence.
    """
    kinds = (side_outputs,) if isinstance(side_outputs, str) else tuple(side_outputs)
    if isinstance(side_outputs, str) or not set(kinds) <= set(KINDS):
        raise ValueError(
            f"`side_outputs` must be a sequence of {KINDS}, for example "
            f"('scales',). Received: side_outputs={side_outputs!r}"
        )
    return kinds


def expand_losses(
    output_names: Sequence[str], loss, loss_weights=None
) -> tuple[dict, dict]:
    """Returns losses and weights of every output, side outputs included.

    Args:
        output_names: Of the network.
        loss: One loss for every flow, or a dict from output to loss.
        loss_weights: Dict from output to weight, or `None`.

    Raises:
        ValueError: If `loss` is a list or `loss_weights` no dict.
    """
    if isinstance(loss, (list, tuple)) or not isinstance(loss_weights or {}, dict):
        raise ValueError(
            "With side outputs, `loss` must be one loss or a dict by output "
            "name, and `loss_weights` a dict or None. Received: "
            f"loss={loss}, loss_weights={loss_weights}"
        )
    losses = (
        dict(loss)
        if isinstance(loss, dict)
        else dict.fromkeys(set(output_names) - {PRESENCE_OUTPUT}, loss)
    )
    losses.setdefault(PRESENCE_OUTPUT, PresenceLoss())
    weights = loss_weights or {}
    return (
        {name: losses.get(name, losses.get(flow_of(name))) for name in output_names},
        {
            name: weights.get(name, weights.get(flow_of(name), 1.0) * _share(name))
            for name in output_names
        },
    )


def spread(output_names: Sequence[str], values: dict) -> dict:
    """Returns a value for every output: its own, or its flow's."""
    return {name: values.get(name, values.get(flow_of(name))) for name in output_names}


def _share(name):
    if name == PRESENCE_OUTPUT:
        return _PRESENCE_WEIGHT
    return _SCALE_WEIGHT if is_side_output(name) else 1.0
