"""Everything a reader of an artifact asks: is it equal, how large, how fast."""

import dataclasses
import math
from collections.abc import Sequence

from covseg_tf.deploy.flows import FLOWS
from covseg_tf.deploy.markdown import markdown_table
from covseg_tf.deploy.proof.parity import FlowParity
from covseg_tf.edge.measure import Measurement


@dataclasses.dataclass(frozen=True)
class ParityReport:
    """One artifact against its Keras model.

    Attributes:
        artifact: Its name; of a SavedModel, with that of its base folder.
        form: `"tflite"`, `"bundle"`, `"saved_model"`, `"onnx"` or `"keras"`.
        size_bytes: Of the file, or of all of the folder's files.
        flows: Dict from flow to `FlowParity`.
        operators: Dict from operator to how often it occurs.
        measurements: One `Measurement` per number of threads.
    """

    artifact: str
    form: str
    size_bytes: int
    flows: dict[str, FlowParity]
    operators: dict[str, int]
    measurements: tuple[Measurement, ...]

    def faults(
        self, max_dice_change: float, max_difference: float | None = None
    ) -> list[str]:
        """Returns what is past the tolerance, a line each; empty if nothing is.

        Args:
            max_dice_change: Largest change of the mean Dice, either way.
            max_difference: Largest difference of a pixel's probability; `None` for
                quantized artifacts, where a pixel at a border may flip.
        """
        lines = []
        for flow, parity in self.flows.items():
            # Written so that NaN is a fault too.
            if not abs(parity.dice_change) <= max_dice_change:
                lines.append(
                    f"{self.artifact}: {flow} Dice changes by "
                    f"{parity.dice_change:+.4f}, allowed {max_dice_change}"
                )
            if max_difference is not None and not (
                parity.max_difference <= max_difference
            ):
                lines.append(
                    f"{self.artifact}: a {flow} probability differs by "
                    f"{parity.max_difference:.2g}, allowed {max_difference}"
                )
        return lines

    @classmethod
    def from_dict(cls, document: dict) -> "ParityReport":
        """Returns the report that `to_dict` wrote.

        Args:
            document: The dict.
        """
        fields = {field.name for field in dataclasses.fields(FlowParity)}
        flows = {
            flow: FlowParity(**{k: v for k, v in values.items() if k in fields})
            for flow, values in document["flows"].items()
        }
        measured = tuple(Measurement(**m) for m in document["measurements"])
        return cls(**{**document, "flows": flows, "measurements": measured})

    def to_dict(self) -> dict:
        """Returns the report, JSON-ready."""
        document = dataclasses.asdict(self)
        for flow, parity in self.flows.items():
            document["flows"][flow]["dice_change"] = parity.dice_change
        document["measurements"] = list(document["measurements"])
        return document


def parity_table(reports: Sequence[ParityReport]) -> str:
    """Returns the reports as a Markdown table, a line each.

    Args:
        reports: The reports, all of one model on the same images.
    """
    threads = [m.threads for m in reports[0].measurements]
    columns = ["artifact", "MB", "lung Dice", "change", "infection Dice", "change"]
    columns += ["max / mean difference", "XNNPACK"]
    columns += [f"ms, {n} thread{'s' * (n > 1)}" for n in threads] + ["peak MB"]
    return markdown_table(columns, [_cells(report) for report in reports])


def _cells(report):
    cells = [report.artifact, f"{report.size_bytes / 1e6:.2f}"]
    for flow in FLOWS:
        parity = report.flows.get(flow)
        cells += (
            ["", ""]
            if parity is None
            else [f"{parity.artifact_dice:.4f}", f"{parity.dice_change:+.4f}"]
        )
    largest = max(p.max_difference for p in report.flows.values())
    mean = max(p.mean_difference for p in report.flows.values())
    cells.append(f"{largest:.1e} / {mean:.1e}")
    first = report.measurements[0] if report.measurements else None
    cells.append(_delegate(first))
    cells += [f"{m.latency_ms:.1f}" for m in report.measurements]
    cells.append("" if first is None else f"{first.peak_memory_mb:.0f}")
    return cells


def _delegate(measurement):
    if measurement is None or not measurement.operators:
        return ""
    nodes = f"{measurement.delegated} of {measurement.operators}"
    parts = measurement.partitions
    return f"{nodes} in {parts}" if not math.isclose(parts, 1) else nodes
