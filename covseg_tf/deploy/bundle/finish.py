"""From a trained network to its bundle, in one call."""

import pathlib
from collections.abc import Callable, Mapping, Sequence

import keras

from covseg_tf.data import Sample, load_sample
from covseg_tf.deploy.bundle.write import write_bundle
from covseg_tf.deploy.proof import bundle_metrics, keras_predictor, tflite_predictor
from covseg_tf.deploy.tflite import export_tflite
from covseg_tf.edge import PreprocessingSpec, Segmenter
from covseg_tf.evaluation import (
    Outline,
    fit_outline,
    fit_readers_scale,
    readers_shares,
    report_sets,
    score_set,
)
from covseg_tf.models import set_infection_threshold

_CALIBRATION_IMAGES = 400
_KNOTS = 12


def finish_bundle(
    folder: str | pathlib.Path,
    network: keras.Model,
    style: tuple[float, float],
    spec: PreprocessingSpec,
    parts: Mapping[str, Sequence[Sample]],
    card: Callable[[dict, Outline, dict], str],
    license: tuple[str, str],
    recipe: str,
) -> dict:
    """Sets threshold, temperature and readers' scale, quantizes, scores and writes.

    Args:
        folder: The bundle's; must not exist. Beside it lie then `NAME.keras`, the
            network in float, evaluation_*.csv and metrics.json.
        network: An `inference_model()` in float32; its last layer is changed.
        style: Scale and offset of the logits by which readers' extents were learnt
            (`AnnotatorStyle`).
        spec: The preprocessing.
        parts: `"train"` for the calibration of integers, `"validation"` to choose
            by (without an outline or a healthy film in it, the threshold stays), and
            `"test"` to report on; of that, films with masks are scored.
        card: From the metrics, the outline and the report to the model card.
        license: As for `write_bundle`.
        recipe: The command that trained it.

    Returns:
        The metrics; empty if no film of the test has masks.

    Raises:
        ValueError: If the folder exists.
    """
    folder = pathlib.Path(folder)
    if folder.exists():
        raise ValueError(f"{folder}: exists and is not overwritten; remove it first.")
    held_out = parts["validation"]
    test = [s for s in parts["test"] if s.lung_mask and _has_outline(s)]
    of_keras = keras_predictor(network, spec)
    outline = fit_outline(of_keras, held_out, spec)
    set_infection_threshold(network, outline.threshold, outline.temperature)
    network.save(folder.parent / f"{folder.name}.keras")
    step = max(1, len(parts["train"]) // _CALIBRATION_IMAGES)
    calibration = [load_sample(film, spec)[0] for film in parts["train"][::step]]
    tflite = export_tflite(network, spec, calibration)
    # The readers' style, of the logits as they are now.
    scale, offset = style[0] * outline.temperature, style[1] + style[0] * outline.logit
    run_integer = Segmenter.from_bytes(tflite, spec).run
    shares, extents = readers_shares(run_integer, held_out, spec, scale, offset)
    readers, knots = None, min(_KNOTS, len(shares) // 2)
    if knots > 1:
        readers = fit_readers_scale(shares, extents, scale, offset, knots)
    predict = tflite_predictor(tflite, spec)
    metrics, report = {}, {}
    if test:
        metrics = bundle_metrics(of_keras, predict, test, spec, folder.parent)
        report = report_sets(score_set(predict, test, spec, title="the test split"))
    export = {"quantize": "full_integer", "calibration_images": len(calibration)}
    write_bundle(
        folder,
        tflite,
        spec,
        metrics,
        card(metrics, outline, report),
        license=license,
        export=export | {"recipe": recipe},
        readers=readers,
    )
    return metrics


def _has_outline(sample):
    return sample.infection_mask is not None or sample.infection_free
