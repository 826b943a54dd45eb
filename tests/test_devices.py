"""What the bundled files ask of devices, and what other runtimes make of them."""

import numpy as np
import pytest

from covseg_tf.deploy import (
    check_devices,
    compare_runtimes,
    devices_table,
    micro_source,
)
from covseg_tf.edge import draw_phantom, load_bundle


def test_the_bundled_network_fits_both():
    report = check_devices(load_bundle("xray").model)
    assert report.interface == "uint8 to uint8"
    assert report.arithmetic == "int8"
    assert report.operators["CONV_2D"] == 31
    assert report.micro == report.edge_tpu == ()
    assert report.edge_tpu_doubts == ("RESHAPE", "RESIZE_BILINEAR")
    # What its reference interpreter planned for tensors; no plan is below.
    assert report.largest_bytes <= report.alive_bytes <= 1_966_080
    assert "uint8 to uint8" in devices_table({"xray": report})


def test_source_holds_every_byte_and_operator():
    model = load_bundle("xray_nano").model
    source = micro_source(model, "net")
    rows = source["net.cc"].split("{\n", 2)[2].split("\n}")[0]
    assert bytes(map(int, rows.replace("\n", " ").split(","))) == model
    for method in ("Conv2D", "DepthwiseConv2D", "ResizeBilinear", "Quantize"):
        assert f"resolver.Add{method}()" in source["net.h"]
    assert "kOutputLungScale = 0.00390625f" in source["net.h"]
    with pytest.raises(ValueError, match="identifier"):
        micro_source(model, "a b")


def test_micro_equals_the_reference_kernels():
    pytest.importorskip("tflite_micro", reason="needs .[micro]")
    images = [draw_phantom(0).image]
    found = {x.runtime: x for x in compare_runtimes("xray_nano", images)}
    micro, plain = (
        found[name] for name in ("TensorFlow Lite Micro", "LiteRT, reference kernels")
    )
    assert micro.reason == ""
    assert np.isclose(micro.max_difference, plain.max_difference)
    assert micro.dice == plain.dice
