"""The model card that travels in every bundle."""

import collections
from collections.abc import Mapping, Sequence

from covseg_tf.data import Sample
from covseg_tf.deploy.bundle.card_sections import render_sections
from covseg_tf.deploy.flows import FLOWS
from covseg_tf.deploy.markdown import markdown_table
from covseg_tf.evaluation import Outline

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
- It paints opacities of any cause: tuberculosis and bacterial pneumonia too. An
  empty map does not mean a healthy patient.
- The masks it learnt from are coarse, and wider than what radiologists count;
  compare percent with percent and extent with extent.
- Frontal films. Lateral views, CT pictures and other body parts are for the guard,
  which does not catch all of them.
- Pictures of films were drawn for its training, not taken.
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


def hospitals_card(
    name: str,
    parameters: int,
    films: Mapping[str, Sequence[Sample]],
    metrics: dict,
    outline: Outline,
    report: Mapping | None = None,
) -> str:
    """Returns the card of a network that `recipes/xray.py` trained.

    Args:
        name: Name of the model.
        parameters: How many it has.
        films: `"train"`, `"validation"` and `"test"`.
        metrics: As for `render_model_card`.
        outline: How threshold and temperature were chosen.
        report: As for `render_model_card`.
    """
    sources = collections.Counter(
        film.source or "covid_qu_ex" for film in films["train"]
    )
    counted = ", ".join(f"{source} {n}" for source, n in sorted(sources.items()))
    return render_model_card(
        name=name,
        description=(
            "He, Wong and Yoo's parallel lung and infection flows on an "
            f"EfficientNet-Lite0 encoder, {parameters:,} parameters, full-integer "
            "TFLite, one grey channel in, lung and infection probability out. "
            "Trained by `recipes/xray.py` from ImageNet weights.\n\n"
            "Two numbers, two conventions. **Percent involved** is the outlined share "
            "of the lungs, drawn as widely as COVID-QU-Ex's masks. **Extent** (0 to "
            "8) is what RALO's radiologists would score: a scale and an offset of the "
            "same logits, and a line through knots (`readers` in bundle.json). Lungs "
            "stop at the heart's border and the diaphragm, as COVID-QU-Ex's do."
        ),
        data=(
            f"Training films: {counted}; {len(films['validation'])} more, held out at "
            f"random, set the threshold ({outline.threshold:.3f} before it was moved "
            f"to 0.5), the temperature ({outline.temperature:.2f}) and the readers' "
            "scale. No film of a test split. The data is for research use; treat the "
            "weights as CC BY-NC-SA. No image is contained in the model."
        ),
        protocol=(
            f"Split Val of COVID-QU-Ex, {len(films['test'])} images never trained on, "
            "per image on the network's grid, threshold 0.5, no post-processing, mean "
            "± standard deviation over images. `lesions`: images with infection; "
            "`all_images`: an empty mask left empty scores 1, painted 0. Measured on "
            "an x86-64 CPU. **These films are of the compilation it learnt from**: "
            "what it does on films of other hospitals: docs/results/hospitals.md."
        ),
        metrics=metrics,
        limits=XRAY_LIMITS,
        report=report,
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
