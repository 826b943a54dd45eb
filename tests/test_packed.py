"""Packed files: what goes in comes out, and what is no packed file is refused."""

import numpy as np
import pytest

from covseg_tf.data import read_packed, write_packed
from covseg_tf.edge import draw_phantom


def planes(quality=None):
    for number in range(3):
        phantom = draw_phantom(number, 0.4, 64)
        facts = {"name": f"phantom_{number}", "bounds": [0.25, 0.5]}
        if quality is not None:
            facts["quality"] = quality
        drawn = None if number == 1 else phantom.infection_mask
        yield facts, phantom.image, phantom.lung_mask, drawn


def test_images_and_masks_come_back_as_they_were(tmp_path):
    size = write_packed(tmp_path / "packed.npz", planes())
    packed = read_packed(tmp_path / "packed.npz")
    assert size["images"] == 3
    assert size["bytes"] == (tmp_path / "packed.npz").stat().st_size
    assert size["image_bytes"] + size["mask_bytes"] < size["bytes"]
    for number, (facts, image, lung, infection) in enumerate(planes()):
        told = {"has_lung": True, "has_infection": infection is not None}
        assert packed.rows[number] == facts | told
        np.testing.assert_array_equal(packed.images[number], image)
        np.testing.assert_array_equal(packed.lungs[number], lung)
        expected = np.zeros_like(lung) if infection is None else infection
        np.testing.assert_array_equal(packed.infections[number], expected)


def test_quality_costs_images_and_no_masks(tmp_path):
    lossless = write_packed(tmp_path / "lossless.npz", planes())
    small = write_packed(tmp_path / "small.npz", planes(quality=70))
    assert small["image_bytes"] < lossless["image_bytes"] / 2
    assert small["mask_bytes"] == lossless["mask_bytes"]
    before, after = (
        read_packed(tmp_path / f"{name}.npz") for name in ("lossless", "small")
    )
    np.testing.assert_array_equal(before.lungs, after.lungs)
    difference = before.images.astype(float) - after.images
    assert 0 < np.abs(difference).mean() < 6


def test_what_cannot_be_packed_or_read_is_refused(tmp_path):
    first, second, *_ = planes()
    cut = (second[0], second[1][:32], None, None)
    with pytest.raises(ValueError, match=r"\(32, 64\) after \(64, 64\), in 'phantom_1"):
        write_packed(tmp_path / "packed.npz", [first, cut])
    with pytest.raises(ValueError, match="no image to pack"):
        write_packed(tmp_path / "packed.npz", [])
    with pytest.raises(ValueError, match=r"none\.npz: No such file"):
        read_packed(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(ValueError, match=r"text\.npz: not a packed file"):
        read_packed(tmp_path / "text.npz")
