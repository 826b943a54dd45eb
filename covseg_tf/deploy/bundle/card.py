"""The model card that travels in every bundle."""

from collections.abc import Mapping

from covseg_tf.deploy.bundle.card_sections import render_sections
from covseg_tf.deploy.flows import FLOWS
from covseg_tf.deploy.markdown import markdown_table

_TEMPLATE = """# Model card: {name}

**Research use only. Not a medical device; not for diagnosis.**

{description}

## Data

{data}

## Measured

{protocol}

{table}

Infection masks left empty, no pixel painted, on images without infection:
{empty}.

Integer model against the Keras model on the same images:
{parity}
{sections}
## Limits

{limits}"""

XRAY_LIMITS = """\
- The infection masks it learnt from are coarse. "Percent involved" is of the
  projected lung area, not of lung volume.
- It was trained on frontal films of adults. It has not been shown lateral
  views, children, other devices than those of the data, or other modalities,
  and gives numbers for them all the same.
- Other pneumonias were shown as "no COVID-19 lesion". It is no detector of
  disease: an empty map does not mean a healthy patient.
- A tube, text or a cropped lung can change the result. Read every image.
"""


def render_model_card(
    name: str,
    description: str,
    data: str,
    protocol: str,
    metrics: dict,
    limits: str = XRAY_LIMITS,
    report: Mapping | None = None,
) -> str:
    """Returns the card as Markdown.

    Args:
        name: Name of the model.
        description: What it is: network, parameters, input.
        data: What it was trained, selected and measured on, with licence.
        protocol: How the numbers were had: split, cases, threshold, hardware.
        metrics: Dict with `float` and `int8` summaries (see
            `covseg_tf.evaluation.summarize_rows`) and `parity`.
        limits: Markdown list of what it must not be used for; defaults to
            those of a chest X-ray network.
        report: From `covseg_tf.evaluation.report_sets`, for the sections by
            finding, external test, calibration, threshold and failures; those whose
            part is not there are left out. `None` (default): none.
    """
    sections = render_sections(report or {})
    return _TEMPLATE.format(
        name=name,
        description=description,
        data=data,
        protocol=protocol,
        limits=limits,
        sections=f"\n{sections}" if sections else "",
        table=_table(metrics),
        empty=", ".join(
            f"{finding} {100 * share:.1f} %"
            for finding, share in metrics["int8"]["left_empty"].items()
        )
        or "there was no such image",
        parity="\n".join(
            f"- {flow}: Dice {p['dice_change']:+.4f}, largest difference of a "
            f"probability {p['max_difference']:.3f}, mean {p['mean_difference']:.5f}"
            for flow, p in metrics["parity"].items()
        ),
    )


def _table(metrics):
    rows = [
        [
            *(flow, protocol, int8["images"]),
            f"{metrics['float'][flow][protocol]['dice']:.4f}",
            f"{int8['dice']:.4f} ± {int8['dice_std']:.4f}",
            *(f"{int8[key]:.4f}" for key in ("iou", "mae")),
        ]
        for flow in FLOWS
        for protocol, int8 in metrics["int8"][flow].items()
    ]
    head = ["flow", "protocol", "images", "Dice float"]
    return markdown_table([*head, "Dice int8", "IoU int8", "MAE int8"], rows)
