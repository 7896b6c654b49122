"""The same network with the same seeds gets the same bits from Python as from Rust."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import backstitch as bs

CRATE = Path(__file__).parents[1] / "Cargo.toml"


def test_python_and_rust_train_to_the_same_bits(tmp_path):
    if shutil.which("cargo") is None or not (CRATE.parents[1] / "crates").exists():
        assert not os.environ.get("BACKSTITCH_REQUIRE_RUST"), "cargo and the Rust sources are needed"
        pytest.skip("cargo or the Rust sources are not here")
    path = tmp_path / "rust.safetensors"
    command = ["cargo", "run", "--release", "--quiet", "--manifest-path", CRATE, "--example", "same_bits", "--", path]
    subprocess.run([str(part) for part in command], check=True)

    n, i, j = np.meshgrid(np.arange(200), np.arange(12), np.arange(12), indexing="ij")
    images = (((n * 37 + i * 11 + j * 5) % 17).astype(np.float32) / np.float32(16))[..., None]
    net = bs.Sequential(
        [
            bs.Conv2d(6, 3, padding="same", bias=False),
            bs.BatchNorm(activation="relu"),
            bs.MaxPool2d(2),
            bs.Flatten(),
            bs.Dropout(0.25),
            bs.Dense(16, "relu"),
            bs.Dense(4),
        ]
    )
    model = net.build((12, 12, 1), seed=7)
    model.fit(images, np.arange(200) % 4, epochs=3, batch_size=32, optimizer=bs.Adam(1e-3), seed=5)
    rust = net.build((12, 12, 1))
    rust.load(path)
    for (name, ours), theirs in zip(model.weights().items(), rust.weights().values()):
        assert ours.tobytes() == theirs.tobytes(), name
