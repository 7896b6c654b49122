"""Every layer of the Rust side is there, and works."""

import re
from pathlib import Path

import numpy as np
import pytest

import backstitch as bs
from backstitch import _core

IMAGE, SEQUENCE, ROW = (8, 8, 4), (6, 12), (5,)

#: A layer, and the shape of an input.
CASES = [
    (bs.Dense(3, "tanh", init="he_normal", bias=False), ROW),
    (bs.Dense(3, bs.LeakyReLU(0.2), init=bs.NormalOf(0.1)), ROW),
    (bs.Dense(3, transposed=True), ROW),
    (bs.Dense(3, bs.ELU(0.5), init=bs.UniformWithin(0.1)), SEQUENCE),
    (bs.Conv2d(6, (3, 2), stride=(2, 1), padding="same", groups=2, activation="relu", init="zero", bias=False), IMAGE),
    (bs.Conv2d(6, 3, padding=(1, 2), dilation=2), IMAGE),
    (bs.Conv1d(4, 3, padding="causal", dilation=2, activation="relu"), SEQUENCE),
    (bs.Conv1d(4, 3, padding=1, stride=2, groups=2, bias=False), SEQUENCE),
    (bs.Conv1d(4, 3, padding="same", init="he_uniform"), SEQUENCE),
    (bs.DepthwiseConv2d(3, multiplier=2, padding="same", activation="relu6", bias=False), IMAGE),
    (bs.TransposedConv2d(3, 3, stride=2, padding=1, output_padding=1, activation="relu", bias=False), IMAGE),
    (bs.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), IMAGE),
    (bs.MaxPool2d((2, 3), dilation=2), IMAGE),
    (bs.AvgPool2d(2, ceil_mode=True), IMAGE),
    (bs.AdaptiveAvgPool2d((3, 2)), IMAGE),
    (bs.GlobalAvgPool2d(), IMAGE),
    (bs.Upsample2d(2, bilinear=True), IMAGE),
    (bs.Pad2d(((1, 0), (2, 3)), value=1.0), IMAGE),
    (bs.Pad2d((1, 2), mode="reflect"), IMAGE),
    (bs.Pad2d(1, mode="replicate"), IMAGE),
    (bs.Flatten(), IMAGE),
    (bs.Dropout(0.5), ROW),
    (bs.Activation("softmax"), ROW),
    (bs.GELU(tanh_approximation=True), ROW),
    (bs.SiLU(), ROW),
    (bs.HardSwish(), ROW),
    (bs.PReLU(per_channel=True), ROW),
    (bs.BatchNorm(activation="relu", momentum=0.2), IMAGE),
    (bs.LayerNorm(bias=False), ROW),
    (bs.GroupNorm(2), IMAGE),
    (bs.InstanceNorm(affine=True), IMAGE),
    (bs.RMSNorm(epsilon=1e-6), ROW),
    (bs.RMSNorm(), ROW),
    (bs.Standardize(np.zeros(5), np.ones(5) * 2, inverse=True), ROW),
    (bs.LSTM(5, layers=2, bidirectional=True, dropout=0.1), SEQUENCE),
    (bs.GRU(5), SEQUENCE),
    (bs.RNN(5), SEQUENCE),
    (bs.LastPosition(), SEQUENCE),
    (bs.LearnedPositions(6), SEQUENCE),
    (bs.SinusoidalPositions(), SEQUENCE),
    (bs.Attention(2, causal=True), SEQUENCE),
    (bs.Residual(bs.Dense(5), activation="relu"), ROW),
    (bs.Residual(bs.Sequential([bs.Dense(3), bs.Dense(4)]), bs.Dense(4)), ROW),
    (bs.Concat([bs.Dense(3), bs.Sequential()]), ROW),
]


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=[repr(layer) for layer, _ in CASES])
def test_every_layer_predicts_and_trains(layer, shape):
    model = bs.Sequential([layer, bs.Flatten(), bs.Dense(2)]).build(shape, seed=1)
    x = np.random.default_rng(0).normal(size=(4, *shape))
    assert layer.build(shape).predict(x).shape == (4, *layer.build(shape).output_shape)
    model.fit(x, np.arange(4) % 2, epochs=1, batch_size=4)


def test_ids_and_named_inputs_work():
    ids = np.arange(12).reshape(4, 3) % 5
    model = bs.Sequential([bs.Embedding(5, 4), bs.Flatten(), bs.Dense(2)]).build((3,))
    model.fit(ids, np.arange(4) % 2, epochs=1, batch_size=4)
    with pytest.raises(ValueError, match="ids of embedding1"):
        model.predict(ids + 1)
    encoder = bs.Sequential([bs.Input("memory"), bs.Dense(24)])
    net = bs.Sequential([bs.Attention(2, over=encoder, mask="seen")])
    model = net.build(SEQUENCE, inputs={"memory": (7, 12), "seen": (7,)})
    inputs = {"memory": np.ones((2, 7, 12)), "seen": np.ones((2, 7))}
    assert model.predict(np.ones((2, *SEQUENCE)), inputs=inputs).shape == (2, *SEQUENCE)


def test_tied_weights_are_one_parameter():
    net = bs.Sequential(
        [bs.Embedding(9, 4), bs.Dense(9, transposed=True, name="out")], ties={"out.weight": "embedding1.weight"}
    )
    assert list(net.build((3,)).weights()) == ["embedding1.weight"]


def kinds(cls):
    """The kinds of a class and of all that are derived from it."""
    return {cls._kind}.union(*(kinds(sub) for sub in cls.__subclasses__()))


def test_nothing_of_the_rust_prelude_is_missing():
    prelude = Path(__file__).parents[2] / "src" / "lib.rs"
    if not prelude.exists():
        pytest.skip("the Rust sources are not here")
    text = prelude.read_text().split("pub mod prelude")[1]
    names = {}
    for module, group in re.findall(r"pub use crate::(\w+)::\{([^}]*)\};", text):
        names[module] = {name.strip() for name in group.split(",") if name.strip()}
    # Layers are made by functions with small letters; these types are settings of theirs.
    layers = {name for name in names["layers"] if name[0].islower()} | {"standardize", "residual", "concat", "input"}
    assert layers - kinds(bs.Layer) == set()
    python = {"Adagrad": bs.Adagrad, "Adam": bs.Adam, "RmsProp": bs.RMSprop, "Schedule": bs.Schedule, "Sgd": bs.SGD}
    assert names["optim"] - set(python) == {"Optimizer", "OptimizerMemory"}
    losses = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in names["losses"]}
    assert losses - kinds(bs.Loss) == {"loss", "mean", "pointwise", "targets"}


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match='expected the name of one, got "dence"'):
        _core.net("dence", {})
