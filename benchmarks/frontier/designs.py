"""What each choice in the edge networks costs on this CPU, before any training.

    python -m benchmarks.frontier designs --imagenet FILE [--out designs.csv]

One change at a time to `xray_small` with the decoder it had first, 64 and 40 wide
(what ships is `decoder_double`): how much of the encoder, how wide the decoder,
dense or separable, attention, gate and context, what a lung flow costs at all, where
the maps are brought to the image's size, ReLU6 or hard-swish, and the dense residual
encoder of the first generation. Encoder weights are ImageNet's, decoder weights random:
latency and size do not depend on them. Every variant becomes a full-integer TFLite file
and is measured as in `frontier.py measure`. About 2 minutes on 2 CPU cores.
"""

import dataclasses
import functools
import pathlib
import tempfile

import keras
import numpy as np

from benchmarks.frontier import measure
from covseg_tf.deploy.tflite import convert_network
from covseg_tf.edge import PreprocessingSpec, draw_phantom
from covseg_tf.evaluation import write_rows
from covseg_tf.models import (
    DualFlowSegmenter,
    EdgeEncoder,
    EfficientNetLiteEncoder,
    imagenet_file,
    read_torch_state,
)
from covseg_tf.options import command, option
from covseg_tf.training import recalibrate_batch_norm

SIDE = 256
BASE = {"decoder_filters": (64, 40)}
CHANGES = {
    "base": {},
    "blocks_6": {"blocks": 6},
    "blocks_8": {"blocks": 8},
    "blocks_11": {"blocks": 11},
    "blocks_16": {"blocks": 16, "decoder_filters": (64, 64, 40)},
    "decoder_half": {"decoder_filters": (32, 20)},
    "decoder_double": {"decoder_filters": (128, 80)},
    "decoder_dense": {"separable": False},
    "no_gate": {"presence_gate": False},
    "no_context": {"global_context": False},
    "region_fusion": {"attention": "region_fusion"},
    "no_lung_flow": {"lung_supervision": False},
    "edge_encoder": {"encoder": (16, (24, 48, 96))},
    "edge_encoder_stem_8": {"encoder": (8, (24, 48, 96))},
}


def build(changes, imagenet):
    """Returns the base with the changes, for inference."""
    changes = BASE | changes
    shape = (SIDE, SIDE, 1)
    blocks = changes.pop("blocks", 10)
    if "encoder" in changes:
        stem, filters = changes.pop("encoder")
        encoder = EdgeEncoder(shape, stem, filters, (1,) * len(filters))
    else:
        encoder = EfficientNetLiteEncoder(shape, blocks)
        encoder.load_imagenet(read_torch_state(imagenet_file(imagenet)))
    model = DualFlowSegmenter.from_preset("xray_small", encoder=encoder, **changes)
    # Statistics of the features that come, or an untrained decoder has scales that no
    # runtime accepts.
    recalibrate_batch_norm(model, [np.concatenate(phantoms())])
    if model.presence_gate:
        # An untrained gate takes nothing away: a tensor that is always zero, with a
        # scale that no runtime accepts.
        model.get_layer("presence_absence").bias.assign([1.0])
    return model.inference_model()


@functools.cache
def phantoms():
    """Prepared drawn films, float32 `(1, height, width, 1)` each."""
    spec = PreprocessingSpec(SIDE, SIDE)
    films = (spec.apply(draw_phantom(seed, seed / 8).image) for seed in range(8))
    return [x[None, :, :, None].astype("float32") * spec.scale for x in films]


def without_upsampling(model):
    """The logits at 1/4 of the size; the image's size is reached outside."""
    return keras.Model(
        model.inputs[0],
        {
            "lung": model.get_layer("lung_logits").output,
            "infection": model.get_layer("presence_gate").output,
        },
    )


def with_hard_swish(model):
    """Every ReLU6 of the encoder becomes a hard-swish."""

    def change(layer):
        if isinstance(layer, keras.layers.ReLU) and layer.max_value == 6.0:
            return keras.layers.Activation("hard_swish", name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    flat = keras.Model(model.inputs[0], model.outputs)
    return keras.models.clone_model(flat, clone_function=change)


def variants(imagenet):
    """Yields (name, network)."""
    for name, changes in CHANGES.items():
        yield name, build(changes, imagenet)
    small = build({}, imagenet)
    yield "upsampling_outside", without_upsampling(small)
    yield "hard_swish", with_hard_swish(small)


def export(model, path):
    images = phantoms()
    path.write_bytes(
        convert_network(model, images[0].shape, "full_integer", "uint8", images)
    )


def loads(path):
    from ai_edge_litert.interpreter import Interpreter

    try:
        Interpreter(str(path), num_threads=1).allocate_tensors()
    except (RuntimeError, ValueError):
        return False
    return True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    imagenet: str = option("the .pth file", "imagenet")
    out: pathlib.Path = option("CSV file", pathlib.Path("designs.csv"))
    rounds: int = option("through all variants", 5)


def run(options):
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        models, parameters = {}, {}
        for name, model in variants(options.imagenet):
            models[name] = pathlib.Path(folder) / f"{name}.tflite"
            parameters[name] = model.count_params()
            export(model, models[name])
            if not loads(models[name]):
                print(f"{name}: LiteRT refuses a scale of its untrained decoder")
                del models[name]
        rows = measure.measure_models(models, options.rounds)
    write_rows(
        options.out, [row | {"parameters": parameters[row["network"]]} for row in rows]
    )
    for row in rows:
        if row["threads"] == 1:
            print(f"{row['network']:<22} {row['latency_ms']:6.2f} ms {row['bytes']:>9}")


main = command("frontier designs", __doc__, Options, run)
