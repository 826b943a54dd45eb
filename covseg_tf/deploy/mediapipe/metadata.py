"""TFLite metadata: names and labels inside the file, for MediaPipe and LiteRT.

Written with the flatbuffers package alone: the schema's generated code comes only
with MediaPipe, whose requirements do not go with tensorflow-model-optimization's.
Slots are those of `metadata_schema.fbs`, version 1.5.0, of TensorFlow Lite Support.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence

import flatbuffers

from covseg_tf.deploy.tflite.contents import read_schema

_NAME = b"TFLITE_METADATA"
_IDENTIFIER = b"M001"
_IMAGE, _RGB, _GREY = 2, 1, 2  # ContentProperties, ColorSpaceType
_NORMALIZATION = 1  # ProcessUnitOptions
_AXIS_LABELS = 2  # AssociatedFileType


def add_metadata(
    model: bytes,
    name: str,
    description: str,
    labels: Mapping[str, Sequence[str]],
    license: str = "",
) -> bytes:
    """Returns the TFLite file with metadata, and its labels in an appended archive.

    Args:
        model: Bytes of a TFLite file of one image, grey or RGB.
        name: Name of the model.
        description: A line about it.
        labels: Dict from output name to the labels of its channels, in the order of
            the file's outputs.
        license: SPDX identifier of the weights' licence.

    Returns:
        Bytes of the file. Readers that do not know metadata ignore it.

    Raises:
        ValueError: If the numbers of outputs, or of channels and labels, differ.
    """
    from ai_edge_litert import schema_py_generated as schema

    tree = read_schema(model)
    graph = tree.subgraphs[0]
    channels = [int(graph.tensors[index].shape[-1]) for index in graph.outputs]
    if channels != [len(words) for words in labels.values()]:
        raise ValueError(
            "`labels` needs one entry per output, with a label per channel. The "
            f"file's outputs have {channels} channels. Received: {dict(labels)}"
        )
    depth = int(graph.tensors[graph.inputs[0]].shape[-1])
    buffer = schema.BufferT()
    buffer.data = list(_model_metadata(name, description, labels, license, depth))
    tree.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = _NAME, len(tree.buffers) - 1
    tree.metadata = [m for m in tree.metadata or [] if m.name != _NAME] + [entry]
    builder = flatbuffers.Builder(len(model) + 4096)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output()) + _archive(labels)


def read_labels(model: bytes) -> dict[str, list[str]]:
    """Returns the labels that `add_metadata` appended, by output name.

    Args:
        model: Bytes of the file.

    Raises:
        ValueError: If the file has none.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            return {
                name.removesuffix("_labels.txt"): archive.read(name)
                .decode()
                .splitlines()
                for name in archive.namelist()
            }
    except zipfile.BadZipFile:
        raise ValueError("The TFLite file holds no labels.") from None


def _archive(labels):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, words in labels.items():
            # A fixed date: equal models give equal bytes.
            entry = zipfile.ZipInfo(f"{name}_labels.txt", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, "\n".join(words) + "\n")
    return stream.getvalue()


def _model_metadata(name, description, labels, license, depth):
    builder = flatbuffers.Builder(1024)
    image = _input(builder, depth)
    outputs = [_output(builder, output) for output in labels]
    graph = _table(
        builder, 10, {2: _offsets(builder, [image]), 3: _offsets(builder, outputs)}
    )
    fields = {
        0: builder.CreateString(name),
        1: builder.CreateString(description),
        3: _offsets(builder, [graph]),
        7: builder.CreateString("1.0.0"),  # the parser it needs
    }
    if license:
        fields[5] = builder.CreateString(license)
    builder.Finish(_table(builder, 8, fields), _IDENTIFIER)
    return bytes(builder.Output())


def _input(builder, depth):
    colour = _table(builder, 2, {}, {0: _RGB if depth == 3 else _GREY})
    content = _table(builder, 3, {1: colour}, {0: _IMAGE})
    # A uint8 file takes the levels as they are.
    zero, one = _floats(builder, [0.0]), _floats(builder, [1.0])
    normalization = _table(builder, 2, {0: zero, 1: one})
    unit = _table(builder, 2, {1: normalization}, {0: _NORMALIZATION})
    fields = {0: builder.CreateString("image"), 3: content}
    fields[4] = _offsets(builder, [unit])
    fields[5] = _table(
        builder, 2, {0: _floats(builder, [255.0]), 1: _floats(builder, [0.0])}
    )
    return _table(builder, 7, fields)


def _output(builder, name):
    file = {0: builder.CreateString(f"{name}_labels.txt")}
    labels = _table(builder, 5, file, {2: _AXIS_LABELS})
    fields = {0: builder.CreateString(name), 6: _offsets(builder, [labels])}
    return _table(builder, 7, fields)


def _table(builder, slots, offsets, bytes_=None):
    builder.StartObject(slots)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (bytes_ or {}).items():
        builder.PrependInt8Slot(slot, value, 0)
    return builder.EndObject()


def _offsets(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder, values):
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()
