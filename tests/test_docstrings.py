"""What is public is documented, named in one place, and its examples run."""

import doctest
import importlib
import inspect

import keras
import pytest

# The public names: a change here is a change of the interface.
PUBLIC = {
    "covseg_tf.layers": ["RegionFusionAttention"],
    "covseg_tf.losses": [
        "CombinedSegmentationLoss",
        "SoftIoULoss",
        "StructuralSimilarityLoss",
        "combined_segmentation_loss",
        "soft_iou_loss",
        "structural_similarity",
        "structural_similarity_loss",
    ],
    "covseg_tf.metrics": [
        "DiceScore",
        "FMeasure",
        "IoUScore",
        "MeanAbsoluteError",
        "adaptive_f_measure",
        "f_measure_curve",
        "image_scores",
        "summarize",
        "summarize_f_measure",
    ],
    "covseg_tf.models": [
        "DualFlowSegmenter",
        "EdgeEncoder",
        "pyramid_encoder",
        "region_gates",
    ],
    "covseg_tf.data": [
        "Sample",
        "chest_augmentation",
        "load_sample",
        "make_dataset",
        "read_covid_qu_ex",
        "split_samples",
        "write_phantom_data",
    ],
    "covseg_tf.training": [
        "average_checkpoints",
        "compile_segmenter",
        "evaluate",
        "fit_segmenter",
        "summarize_rows",
        "write_rows",
    ],
    "covseg_tf.deploy": [
        "FlowParity",
        "check_parity",
        "export_tflite",
        "write_bundle",
    ],
    "covseg_tf.edge": [
        "Bundle",
        "Involvement",
        "Prediction",
        "PreprocessingSpec",
        "Segmenter",
        "TriageRow",
        "bundled_models",
        "draw_phantom",
        "load_bundle",
        "read_image",
        "triage",
    ],
}
OBJECTS = [(module, name) for module, names in PUBLIC.items() for name in names]


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names(module):
    assert importlib.import_module(module).__all__ == PUBLIC[module]


@pytest.mark.parametrize(("module", "name"), OBJECTS)
def test_documented_and_examples_run(module, name):
    module = importlib.import_module(module)
    thing = getattr(module, name)
    doc = inspect.getdoc(thing)
    assert doc
    assert doc[0].isupper()
    if inspect.isfunction(thing):
        for argument in inspect.signature(thing).parameters:
            assert argument in doc or "as for" in doc, f"{name}: `{argument}`"
    names = {"keras": keras} | {key: getattr(module, key) for key in module.__all__}
    for example in doctest.DocTestFinder(recurse=False).find(thing, name, globs=names):
        assert doctest.DocTestRunner().run(example).failed == 0
