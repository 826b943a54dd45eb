"""Agreement with readers, against SciPy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from covseg_tf.evaluation import bootstrap, mean_error, pearson, spearman


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    wanted = rng.integers(0, 9, 60).astype(float)  # many ties
    return np.rint(wanted + rng.normal(0, 1.5, 60)), wanted


def test_correlations_are_those_of_scipy(scores):
    assert pearson(*scores) == pytest.approx(stats.pearsonr(*scores)[0], abs=1e-12)
    assert spearman(*scores) == pytest.approx(stats.spearmanr(*scores)[0], abs=1e-12)


def test_interval_is_near_fishers(scores):
    estimate = bootstrap(pearson, *scores)
    fisher = math.atanh(estimate.value), 1.96 / math.sqrt(60 - 3)
    low, high = math.tanh(fisher[0] - fisher[1]), math.tanh(fisher[0] + fisher[1])
    assert estimate.images == 60
    assert estimate.low == pytest.approx(low, abs=0.05)
    assert estimate.high == pytest.approx(high, abs=0.05)
    assert bootstrap(pearson, *scores) == estimate  # the same seed


def test_mean_error_by_hand():
    assert mean_error([0, 2, 8], [1, 2, 5]) == pytest.approx(4 / 3)


def test_no_number_is_said():
    assert math.isnan(pearson([1, 1, 1], [1, 2, 3]))
    with pytest.raises(ValueError, match="NaN"):
        pearson([1, math.nan], [1, 2])
    with pytest.raises(ValueError, match="as many values"):
        mean_error([1, 2], [1])
    with pytest.raises(ValueError, match="`confidence`"):
        bootstrap(pearson, [1, 2], [1, 2], confidence=1)
