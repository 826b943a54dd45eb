"""Metrics of the flows: a list for each, and which way each gets better."""

from collections.abc import Sequence
from types import SimpleNamespace

import keras
from keras.src.trainers.compile_utils import MetricsList

from covseg_tf.models.side_outputs import is_side_output


def by_flow(output_names: Sequence[str], metrics):
    """Returns a flat list of metrics as a dict of lists, a copy for each flow.

    Args:
        output_names: Of the network.
        metrics: As of `keras.Model.compile`; a dict or nested lists are returned as
            they came.
    """
    flat = isinstance(metrics, (list, tuple)) and not any(
        isinstance(metric, (list, tuple, dict)) for metric in metrics
    )
    if not metrics or not flat:
        return metrics
    flows = [name for name in output_names if not is_side_output(name)]
    return {flow: [_copy(metric) for metric in metrics] for flow in flows}


def directions(compiled) -> list:
    """Returns what tells `EarlyStopping(mode="auto")` which way `infection_dice` goes.

    Keras looks for a metric of the monitored name, and finds "dice" where its own logs
    say "infection_dice".

    Args:
        compiled: The model's compiled metrics, or `None`.
    """
    lists = getattr(compiled, "_flat_metrics", None) or []
    named = [
        SimpleNamespace(
            name=f"{one.output_name}_{metric.name}", _direction=metric._direction
        )
        for one in lists
        if one is not None and one.output_name
        for metric in one.metrics
        if getattr(metric, "_direction", None)
    ]
    return [_Directions(named)] if named else []


def _copy(metric):
    if isinstance(metric, keras.metrics.Metric):
        return type(metric).from_config(metric.get_config())
    return metric


class _Directions(MetricsList):
    """Names and directions alone: no state, and nothing in the logs."""

    def __init__(self, named):
        super().__init__(named, name="directions")

    @property
    def variables(self):
        return []

    def reset_state(self):
        pass

    def result(self):
        return {}
