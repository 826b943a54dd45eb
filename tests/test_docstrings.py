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
        "PresenceLoss",
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
        "EfficientNetLiteEncoder",
        "imagenet_file",
        "pyramid_encoder",
        "read_torch_state",
        "region_gates",
    ],
    "covseg_tf.data": [
        "DataReport",
        "Sample",
        "check_data",
        "chest_augmentation",
        "draw_contact_sheet",
        "keras_cv_augmentation",
        "list_splits",
        "load_sample",
        "make_dataset",
        "read_covid_qu_ex",
        "read_ct_volumes",
        "read_dicom_xray",
        "read_manifest",
        "read_parts",
        "read_samples",
        "split_samples",
        "strong_chest_augmentation",
        "window_hounsfield",
        "write_phantom_data",
    ],
    "covseg_tf.training": [
        "Distiller",
        "LevelCounts",
        "OperatingGrid",
        "OperatingPoint",
        "PairedDifference",
        "ReliabilityCurve",
        "RunOptions",
        "ScoredSet",
        "TrainingOptions",
        "area_under_roc",
        "average_checkpoints",
        "brier_score",
        "calibration_summary",
        "choose_operating_point",
        "compile_segmenter",
        "describe_errors",
        "draw_panel",
        "evaluate",
        "evaluate_with_curve",
        "expected_calibration_error",
        "fit_segmenter",
        "float32_copy",
        "freeze_encoder",
        "join_workers",
        "lung_regions",
        "mark_errors",
        "maximum_calibration_error",
        "operating_grid",
        "operating_points",
        "paired_bootstrap",
        "parse_options",
        "pick_cases",
        "presence_operating_points",
        "reliability_curve",
        "recalibrate_batch_norm",
        "report_sets",
        "resume_epoch",
        "run_recipe",
        "same_on_all_workers",
        "score_images",
        "score_segmenter",
        "score_set",
        "set_infection_threshold",
        "set_up",
        "shard_batches",
        "shift_presence",
        "soft_target_loss",
        "summarize_failures",
        "summarize_rows",
        "summarize_set",
        "synchronize_batch_norm",
        "train_segmenter",
        "transfer_weights",
        "warmup_cosine",
        "write_rows",
    ],
    "covseg_tf.deploy": [
        "CompressionResult",
        "FlowParity",
        "KernelStatistics",
        "LayerSensitivity",
        "MixedPrecision",
        "ParityReport",
        "PrecisionStep",
        "Predictor",
        "QuantizationAwareResult",
        "Twin",
        "check_parity",
        "cluster",
        "compressed_size",
        "copy_weights_back",
        "describe_artifact",
        "export_mediapipe",
        "export_onnx",
        "export_saved_model",
        "export_tflite",
        "integer_kernels",
        "keras_predictor",
        "layer_sensitivity",
        "layer_tensors",
        "load_network",
        "load_predictor",
        "measure_artifact",
        "onnx_predictor",
        "parity_table",
        "prune",
        "quantize_mixed_precision",
        "quantize_with_ai_edge",
        "read_calibration",
        "saved_model_predictor",
        "tf_keras_twin",
        "tflite_predictor",
        "train_quantization_aware",
        "twin_difference",
        "write_bundle",
        "write_models_config",
    ],
    "covseg_tf.serving": [
        "BundleServable",
        "Client",
        "DeadlineExceeded",
        "EmbeddedServer",
        "InvalidRequest",
        "ModelRepository",
        "NotFound",
        "SavedModelServable",
        "Servable",
        "ServedPrediction",
        "ServerError",
        "ServerOptions",
        "ServingError",
        "Signature",
        "TensorSpec",
        "TooLarge",
        "Unauthorized",
        "Unavailable",
        "create_app",
        "load_repository",
    ],
    "covseg_tf.edge": [
        "Bundle",
        "Involvement",
        "Prediction",
        "PreprocessingSpec",
        "Segmenter",
        "Zones",
        "bundled_models",
        "draw_phantom",
        "load_bundle",
        "read_image",
    ],
    "covseg_tf.batch": [
        "BatchReport",
        "FindImages",
        "ImageSource",
        "SegmenterModelHandler",
        "TriageImages",
        "run_batch",
    ],
    "covseg_tf.web": [
        "PageServer",
        "build_site",
        "write_site",
    ],
    "covseg_tf.triage": [
        "Film",
        "Source",
        "TriageRow",
        "Volume",
        "draw_overlay",
        "find_sources",
        "triage",
    ],
}
OBJECTS = [(module, name) for module, names in PUBLIC.items() for name in names]


def skip_without_beam(module):
    if module == "covseg_tf.batch":
        pytest.importorskip("apache_beam", reason='needs pip install ".[beam]"')


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names(module):
    skip_without_beam(module)
    assert importlib.import_module(module).__all__ == PUBLIC[module]


@pytest.mark.parametrize(("module", "name"), OBJECTS)
def test_documented_and_examples_run(module, name):
    skip_without_beam(module)
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
