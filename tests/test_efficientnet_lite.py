"""EfficientNet-Lite as an encoder, and its published weights without PyTorch."""

import collections
import io
import pickle

import keras
import numpy as np
import pytest
from backend import weight_gradients
from keras import ops

from covseg_tf.models import (
    DualFlowSegmenter,
    EfficientNetLiteEncoder,
    imagenet_file,
    read_torch_state,
)


def state_of(encoder, seed=0):
    """A state dict as the PyTorch port names it, of random small values."""
    rng = np.random.default_rng(seed)
    state = {}

    def norm(name, size):
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{part}"] = rng.uniform(0.5, 1.5, size).astype("float32")

    def conv(name, *shape):
        state[f"{name}.weight"] = rng.normal(0, 0.1, shape).astype("float32")

    conv("_conv_stem", 32, 3, 3, 3)
    norm("_bn0", 32)
    for index in range(encoder.blocks):
        name = f"_blocks.{index}"
        layers = {layer.name: layer for layer in encoder.layers}
        if (expand := layers.get(f"block{index}_expand_conv")) is not None:
            *_, inputs, outputs = expand.kernel.shape
            conv(f"{name}._expand_conv", outputs, inputs, 1, 1)
            norm(f"{name}._bn0", outputs)
        depthwise = layers[f"block{index}_depthwise"]
        size, _, width, _ = depthwise.kernel.shape
        conv(f"{name}._depthwise_conv", width, 1, size, size)
        norm(f"{name}._bn1", width)
        outputs = layers[f"block{index}_project_conv"].filters
        conv(f"{name}._project_conv", outputs, width, 1, 1)
        norm(f"{name}._bn2", outputs)
    return state


def test_the_published_sizes():
    """4,652,008 trainable weights of the published classifier.

    It has ImageNet's head, a 1x1 convolution 320 -> 1280 with its norm and 1000
    classes, and two more colours in the stem.
    """
    encoder = EfficientNetLiteEncoder()
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    colours = 2 * 3 * 3 * 32
    ours = sum(int(np.prod(w.shape)) for w in encoder.trainable_weights)
    assert ours + head + colours == 4_652_008
    shapes = [tuple(level.shape[1:]) for level in encoder.outputs]
    assert shapes == [(64, 64, 24), (32, 32, 40), (16, 16, 112), (8, 8, 320)]
    assert list(encoder.pyramid_outputs) == ["P2", "P3", "P4", "P5"]


@pytest.mark.parametrize(
    ("blocks", "stride", "channels"), [(5, 8, 40), (6, 16, 80), (10, 16, 112)]
)
def test_cut_after_any_block(blocks, stride, channels):
    encoder = EfficientNetLiteEncoder((64, 64, 1), blocks)
    assert tuple(encoder.outputs[-1].shape[1:]) == (
        64 // stride,
        64 // stride,
        channels,
    )


def test_imagenet_weights_see_grey_as_three_equal_colours():
    """The stem, by hand: 3x3 over three normalised copies of the grey level."""
    encoder = EfficientNetLiteEncoder((32, 32, 1), 5)
    state = state_of(encoder)
    encoder.load_imagenet(state)
    grey = np.random.default_rng(1).random((1, 32, 32, 1), dtype="float32")
    stem = keras.Model(encoder.input, encoder.get_layer("stem_norm").output)
    ours = ops.convert_to_numpy(stem(grey))

    colours = (255 * np.repeat(grey[0], 3, axis=-1) - 127) / 128
    row, column = 7, 4
    # Stride 2 with "same" padding of an even size pads below and to the right.
    patch = colours[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
    convolved = np.einsum("yxc,ocyx->o", patch, state["_conv_stem.weight"])
    expected = (convolved - state["_bn0.running_mean"]) / np.sqrt(
        state["_bn0.running_var"] + 1e-3
    ) * state["_bn0.weight"] + state["_bn0.bias"]
    np.testing.assert_allclose(ours[0, row, column], expected, rtol=1e-4, atol=1e-5)


def test_every_weight_is_loaded():
    encoder = EfficientNetLiteEncoder((32, 32, 1), 6)
    before = [w.copy() for w in encoder.get_weights()]
    encoder.load_imagenet(state_of(encoder))
    same = [
        weight.path
        for weight, old in zip(encoder.weights, before, strict=True)
        if np.array_equal(ops.convert_to_numpy(weight), old)
    ]
    assert same == []


@pytest.mark.backend
def test_a_gradient_reaches_every_weight_under_the_decoder():
    encoder = EfficientNetLiteEncoder((32, 32, 1), 6)
    model = DualFlowSegmenter(
        encoder, (6, 4), "none", separable=True, global_context=True
    )
    image = np.random.default_rng(0).random((2, 32, 32, 1), dtype="float32")
    gradients = weight_gradients(
        model, lambda maps: ops.sum(maps["lung"]) + ops.sum(maps["infection"]), image
    )
    dead = [p for p, g in gradients.items() if g is None or not np.any(np.asarray(g))]
    assert dead == []


def test_global_context_adds_the_mean_at_every_place():
    encoder = EfficientNetLiteEncoder((32, 32, 1), 5)
    model = DualFlowSegmenter(encoder, (4,), "none", global_context=True)
    add, conv = model.get_layer("context_add"), model.get_layer("context_conv")
    parts = keras.Model(model.input, [*add.input, add.output])
    image = np.random.default_rng(0).random((1, 32, 32, 1), dtype="float32")
    x, _, y = (ops.convert_to_numpy(part) for part in parts(image))
    kernel, bias = conv.get_weights()
    np.testing.assert_allclose(
        y - x,
        np.broadcast_to(x.mean((1, 2), keepdims=True) @ kernel[0, 0] + bias, x.shape),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: EfficientNetLiteEncoder(blocks=4), "integer from 5 to 16"),
        (lambda: EfficientNetLiteEncoder((40, 64, 1)), "40 are 32 and 64"),
        (lambda: EfficientNetLiteEncoder((64, 64, 3)), "one grey channel"),
        (lambda: EfficientNetLiteEncoder((32, 32, 1), 5).load_imagenet({}), "holds?"),
        (lambda: imagenet_file("/no/such.pth"), "no such file"),
    ],
)
def test_bad_input_is_named(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_a_state_of_another_network_is_refused():
    encoder = EfficientNetLiteEncoder((32, 32, 1), 5)
    state = state_of(encoder) | {"_conv_stem.weight": np.zeros((16, 3, 3, 3), "f4")}
    with pytest.raises(ValueError, match="same variant"):
        encoder.load_imagenet(state)


class _Rebuild:
    """Pickles as a call of PyTorch's function, which need not be importable."""

    def __init__(self, key, offset, shape, strides):
        self.key, self.arguments = key, (offset, shape, strides)


class _Pickler(pickle._Pickler):
    """Writes what torch.save wrote before 1.6, without PyTorch."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_rebuild(self, tensor):
        self.write(b"ctorch._utils\n_rebuild_tensor_v2\n")
        offset, shape, strides = tensor.arguments
        self.write(pickle.MARK)
        self.write(pickle.MARK)
        self.save("storage")
        self.write(b"ctorch\nFloatStorage\n")
        self.save(tensor.key)
        self.save("cpu")
        self.save(6)
        self.save(None)
        self.write(pickle.TUPLE + pickle.BINPERSID)
        self.save(offset)
        self.save(shape)
        self.save(strides)
        self.save(False)
        self.save(collections.OrderedDict())
        self.write(pickle.TUPLE + pickle.REDUCE)

    dispatch[_Rebuild] = save_rebuild


def serial_file(state, values, count=None):
    stream = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(part, stream, protocol=2)
    _Pickler(stream, protocol=2).dump(state)
    pickle.dump(["0"], stream, protocol=2)
    stream.write((len(values) if count is None else count).to_bytes(8, "little"))
    stream.write(np.asarray(values, "<f4").tobytes())
    return stream.getvalue()


def test_a_state_dict_is_read(tmp_path):
    path = tmp_path / "state.pth"
    state = collections.OrderedDict(
        whole=_Rebuild("0", 0, (2, 3), (3, 1)),
        part=_Rebuild("0", 2, (2, 1, 2), (2, 9, 1)),
        turned=_Rebuild("0", 0, (2, 3), (1, 2)),
        scalar=_Rebuild("0", 5, (), ()),
    )
    path.write_bytes(serial_file(state, [0, 1, 2, 3, 4, 5]))
    arrays = read_torch_state(path)
    assert list(arrays) == ["whole", "part", "turned", "scalar"]
    assert arrays["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays["part"].tolist() == [[[2, 3]], [[4, 5]]]
    assert arrays["turned"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert arrays["scalar"] == 5


def reaching(offset, shape, strides):
    return serial_file({"w": _Rebuild("0", offset, shape, strides)}, range(6))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 a zip",
        pickle.dumps({"weights": 1}),
        # A call of a function, as a hostile file would have it.
        pickle.dumps(0x1950A86A20F9469CFC6C, 2)
        + pickle.dumps(1001, 2)
        + pickle.dumps({}, 2)
        + b"cos\nsystem\n(S'true'\ntR.",
        serial_file({"w": _Rebuild("0", 0, (6,), (1,))}, range(6))[:-4],
        serial_file({"w": _Rebuild("0", 0, (6,), (1,))}, range(6), count=7),
        reaching(5, (2,), (1,)),
        reaching(0, (2, 2), (3, 1)),
        reaching(0, (2, 2), (1, 1)),
        reaching(-1, (2,), (1,)),
        reaching(3, (2,), (-1,)),
        reaching(7, (), ()),
    ],
)
def test_a_broken_or_hostile_file_is_refused(tmp_path, data):
    path = tmp_path / "state.pth"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="not a state dict"):
        read_torch_state(path)
