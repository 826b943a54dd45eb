"""The page of results is what the committed report says, and holds its promises."""

import json
import pathlib

from covseg_tf.deploy import ParityReport, parity_table

RESULTS = pathlib.Path(__file__).resolve().parents[1] / "docs" / "results"


def reports():
    document = json.loads((RESULTS / "exports.json").read_text("utf-8"))
    assert document["images"] == 429
    return [ParityReport.from_dict(entry) for entry in document["artifacts"]]


def test_the_table_is_that_of_the_report():
    assert parity_table(reports()) in (RESULTS / "exports.md").read_text("utf-8")


def test_the_forms_that_ship_are_within_their_bounds():
    """0.005 Dice for full integer, 0.003 for quantization-aware, 1e-6 SavedModel."""
    found = {report.artifact: report for report in reports()}
    for name in ("full_integer", "full_integer_ai_edge", "mixed_precision"):
        assert found[name].faults(0.005) == []
    assert found["quantization_aware"].faults(0.003) == []
    assert found["xray/1"].faults(0.0, 1e-6) == []
    assert found["xray.onnx"].faults(1e-4, 1e-4) == []
    assert found["pruned_50"].faults(0.005) != []
