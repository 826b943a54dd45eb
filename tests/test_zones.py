"""Extent scores and lung zones, worked out by hand."""

import numpy as np
import pytest

from covseg_tf.edge import Prediction, Zones
from covseg_tf.edge.zones import extent_score, measure_zones

# Two lungs of 60 x 20 pixels: thirds of 20 x 20 = 400.
RIGHT = (slice(20, 80), slice(20, 40))
LEFT = (slice(30, 90), slice(60, 80))


def predict(infected, lungs=(RIGHT, LEFT)):
    maps = np.zeros((2, 100, 100), np.uint8)
    for plane, areas in zip(maps, (lungs, infected), strict=True):
        for area in areas:
            plane[area] = 255
    return Prediction((100, 100), *maps)


@pytest.mark.parametrize(
    ("percent", "score"),
    [(0, 0), (0.1, 1), (24.9, 1), (25, 2), (50, 2), (50.1, 3), (75, 3), (75.1, 4)]
    + [(100, 4)],
)
def test_extent_of_one_lung(percent, score):
    assert extent_score(percent) == score


def test_extent_adds_up_both_lungs():
    """18 of 60 rows are 30 %, 48 are 80 %."""
    prediction = predict(
        [(slice(20, 38), slice(20, 40)), (slice(42, 90), slice(60, 80))]
    )
    assert prediction.extent_right == 2
    assert prediction.extent_left == 4
    assert prediction.extent == 6
    assert predict([]).extent == 0


def test_zones_are_thirds_of_each_lungs_own_height():
    """Rows 40-59 are the right middle third; of the left they are upper and middle."""
    zones = predict([(slice(40, 60), slice(0, 100))]).zones
    assert zones.percents == pytest.approx(
        {
            "right_upper": 0,
            "right_middle": 100,
            "right_lower": 0,
            "left_upper": 50,
            "left_middle": 50,
            "left_lower": 0,
        }
    )
    assert zones.count == 3
    assert zones.threshold == 5.0


def test_a_zone_counts_above_its_threshold_only():
    """20 of 400 pixels are 5 %, 40 are 10 %."""
    one, two = (predict([(slice(20, 20 + n), slice(20, 40))]).zones for n in (1, 2))
    assert one.percents["right_upper"] == pytest.approx(5)
    assert (one.count, two.count) == (0, 1)
    assert Zones(two.percents, threshold=10.0).count == 0


def test_a_height_that_is_no_multiple_of_three_is_used_up():
    lung = np.zeros((10, 4), bool)
    lung[1:9] = True  # 8 rows: 2, 3 and 3
    infection = np.zeros_like(lung)
    infection[3] = True
    zones = measure_zones(infection, (lung, lung))
    assert zones.percents["right_upper"] == 0
    assert zones.percents["right_middle"] == pytest.approx(100 / 3)


def test_a_third_without_lung_counts_as_nothing():
    lung = np.zeros((9, 4), bool)
    lung[:3] = lung[6:] = True
    zones = measure_zones(lung, (lung, lung))
    assert zones.percents["left_middle"] == 0
    assert zones.count == 4


def test_no_zones_without_two_lungs():
    joined = [RIGHT, LEFT, (slice(50, 55), slice(40, 60))]
    prediction = predict([RIGHT], joined)
    assert prediction.involvement.total is not None
    assert prediction.extent is prediction.extent_left is prediction.zones is None
    assert predict([], []).zones is None
