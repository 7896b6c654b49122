"""What several tests use."""

import numpy as np
import pytest

import backstitch as bs


@pytest.fixture
def blobs():
    """300 points around three centres, with their classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.normal(size=(300, 2)) * 0.3 + np.array([[0, 0], [2, 0], [0, 2]])[y]
    return x.astype(np.float32), y


@pytest.fixture
def model():
    """A small classifier of points."""
    return bs.Sequential([bs.Dense(16, "relu"), bs.Dense(3)]).build((2,), seed=0)
