#!/usr/bin/env python
"""Fine-tune the shipped X-ray network on 50 to 500 films of your own.

    python recipes/fine_tune.py --data MY_FILMS --out RUN

MY_FILMS holds images/, manifest.csv (a column `name`; `patient`, `finding` and `split`
if you have them) and what your readers gave: lung_masks/ and infection_masks/, PNG of
each image's size; or extents of each lung, 0 to 4, in the columns `geo_right_1` and
`geo_left_1` (a second reader's: `_2`); or both. Films whose finding is "normal" have an
empty mask. RUN receives log.csv, `xray.keras` and RUN/xray, the bundle that
`covseg triage --model RUN/xray` runs; its card has the scores of a fifth of the
patients, held out, beside those of the shipped network on the same films.

Defaults for few films: the encoder's first two levels keep their weights, the rate is a
tenth of a full training's, and one more tenth of the patients chooses the epoch, the
threshold and the readers' scale. `--quick` is a run of about a minute.
"""

import dataclasses
import sys

import keras

from covseg_tf.data import (
    film_augmentation,
    make_dataset,
    read_parts,
    strong_chest_augmentation,
)
from covseg_tf.deploy import finish_bundle, tflite_predictor
from covseg_tf.edge import load_bundle
from covseg_tf.evaluation import evaluate, summarize_rows
from covseg_tf.models import DualFlowSegmenter
from covseg_tf.options import command, option
from covseg_tf.training import (
    RunOptions,
    compile_segmenter,
    draw_pseudo_lungs,
    fit_segmenter,
    freeze_encoder,
    resume_epoch,
    set_up,
    warmup_cosine,
    with_readers_map,
)

LICENSE = (
    "CC-BY-NC-SA-4.0",
    "Fine-tuned from covseg_tf's xray, whose weights are shared under Creative Commons "
    "Attribution-NonCommercial-ShareAlike 4.0 International, for research use only, "
    "on films that whoever made this bundle has to name.\n",
)
CARD = """# Model card: xray, fine-tuned

**Research use only. Not a medical device; not for diagnosis.**

covseg_tf's `xray`, fine-tuned by `recipes/fine_tune.py` on {train} films of {data};
{validation} more chose the epoch, the threshold and the readers' scale.

## Measured

{test} films of patients held out at random, which had no part in either.

{scores}

## Limits

- It is for films like those; on films of another hospital it may be worse than what it
  came from. Measure it there: `covseg evaluate`.
- An empty map does not mean a healthy patient. Read every image.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    epochs: int = option("epochs to train", 20)
    learning_rate: float = option("at its peak", 1e-4)
    batch_size: int = option("images per step", 8)


def prepare(sample):
    """A healthy film has an empty mask, without anyone drawing it."""
    healthy = sample.finding.lower() in ("normal", "healthy", "no finding")
    return dataclasses.replace(
        sample, infection_free=healthy and sample.infection_mask is None
    )


def has_outline(sample):
    return sample.infection_mask is not None or sample.infection_free


def train(options, bundle, parts):
    spec, readers = bundle.preprocessing, bundle.readers
    shape = (spec.height, spec.width, 1)
    network = DualFlowSegmenter.from_preset("xray", shape, load_weights=True)
    freeze_encoder(network, levels=2)
    model = with_readers_map(network, readers.scale, readers.offset)
    data = {
        part: make_dataset(
            parts[part],
            spec,
            options.batch_size,
            training=part == "train",
            seed=options.seed,
            first_epoch=resume_epoch(options.out),
            augmentation=strong_chest_augmentation(),
            film_augmentation=film_augmentation(),
            readers=True,
        )
        for part in ("train", "validation")
    }
    steps = options.epochs * (len(parts["train"]) // options.batch_size)
    rate = warmup_cosine(options.learning_rate, steps)
    compile_segmenter(model, rate, weight_decay=0.02)
    best = fit_segmenter(
        model, *data.values(), options.out, options.epochs, "val_loss", "min"
    )
    model.load_weights(best)
    style = model.get_layer("infection_readers")
    return network, (float(style.scale), float(style.offset))


def score_line(title, summary):
    scores = [
        f"{flow} Dice {summary[flow][protocol]['dice']:.3f} "
        f"({summary[flow][protocol]['images']} films)"
        for flow, protocol in (("lung", "all_images"), ("infection", "lesions"))
        if protocol in summary.get(flow, {})
    ]
    return f"- {title}: {', '.join(scores)}"


def run(options):
    folder = options.out / "xray"
    if folder.exists():
        raise ValueError(f"{folder}: already there; give another --out.")
    bundle = load_bundle("xray")
    parts = {
        part: [prepare(sample) for sample in samples]
        for part, samples in read_parts(options.data, options.seed).items()
    }
    if options.quick:
        options = dataclasses.replace(options, epochs=1)
    set_up(options)
    shipped = tflite_predictor(bundle.model, bundle.preprocessing)
    for part in ("train", "validation"):
        parts[part] = draw_pseudo_lungs(
            shipped, parts[part], bundle.preprocessing, options.out / "lungs"
        )
    print({part: len(films) for part, films in parts.items()}, flush=True)
    network, style = train(options, bundle, parts)
    if keras.backend.backend() != "tensorflow":
        print("To quantize, the same command with KERAS_BACKEND=tensorflow.")
        return

    def card(metrics, outline, report):
        test = [s for s in parts["test"] if s.lung_mask and has_outline(s)]
        lines = ["No film of them has masks: the scores are not known."]
        if metrics:
            before = evaluate(shipped, test, bundle.preprocessing)
            lines = [
                score_line("as shipped", summarize_rows(before)),
                score_line("fine-tuned", metrics["int8"]),
            ]
        print("\n".join(lines))
        counts = {part: len(films) for part, films in parts.items()}
        data = options.data.resolve().name
        return CARD.format(data=data, scores="\n".join(lines), **counts)

    finish_bundle(
        folder,
        network.inference_model(),
        style,
        bundle.preprocessing,
        parts,
        card,
        LICENSE,
        "recipes/fine_tune.py",
    )
    print(f"Bundle: {folder}")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
