"""What a bundle says of its network: scores in float, in integers, and the change."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

from covseg_tf.data import Sample, load_sample
from covseg_tf.deploy.proof.parity import check_parity
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.evaluation import evaluate, summarize_rows, write_rows
from covseg_tf.evaluation.predictor import Predictor


def bundle_metrics(
    of_keras: Predictor,
    of_artifact: Predictor,
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    out: str | pathlib.Path,
) -> dict:
    """Scores a network and its integer form on the same images.

    Args:
        of_keras: The network, from `keras_predictor`.
        of_artifact: Its TFLite form, from `tflite_predictor`.
        samples: The set, with masks of both flows.
        spec: How pixels are prepared.
        out: Folder, receives evaluation_float.csv, evaluation_int8.csv and
            metrics.json.

    Returns:
        The `metrics` of `write_bundle` and `render_model_card`: `float` and `int8`
        as `summarize_rows` gives them, and `parity` by flow.
    """
    out, metrics = pathlib.Path(out), {}
    for kind, predict in (("float", of_keras), ("int8", of_artifact)):
        rows = evaluate(predict, samples, spec)
        write_rows(out / f"evaluation_{kind}.csv", rows)
        metrics[kind] = summarize_rows(rows)
    planes = [load_sample(sample, spec) for sample in samples]
    images, lungs, infections = zip(*planes, strict=True)
    masks = {"lung": lungs, "infection": infections}
    metrics["parity"] = {
        flow: dataclasses.asdict(found) | {"dice_change": found.dice_change}
        for flow, found in check_parity(of_keras, of_artifact, images, masks).items()
    }
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics
