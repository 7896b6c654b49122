"""Trains scikit-learn's MLPClassifier on the assignment's network, for the example sklearn_comparison.

usage: sklearn_mlp.py DATA.npz OUT_DIR EPOCHS SEED LEARNING_RATE

DATA.npz holds train, train_labels, validation, validation_labels, test, test_labels (pictures as
rows of bytes). For each activation the model is kept (joblib) halfway and at the end, loaded again
and scored on the test set. An activation that diverges is trained again from the start with half
the learning rate. OUT_DIR/sklearn.json gets losses of every epoch and the accuracies.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

ACTIVATIONS = {"relu": "relu", "sigmoid": "logistic", "linear": "identity", "tanh": "tanh"}


class NormalInit(MLPClassifier):
    """Initial weights from N(0, 1) times 0.01, and biases of 0, instead of Glorot's uniform distribution."""

    def _init_coef(self, fan_in, fan_out, dtype):
        weights = 0.01 * self._random_state.standard_normal((fan_in, fan_out))
        return weights.astype(dtype), np.zeros(fan_out, dtype=dtype)


def train(name, data, out, epochs, seed, learning_rate):
    """Trains one activation, and returns its losses, epoch by epoch."""
    # max_iter=1 with warm_start is one epoch per call. The generator is shared, so that every epoch has another order.
    model = NormalInit(
        (256, 128, 64),
        activation=ACTIVATIONS[name],
        solver="sgd",
        batch_size=32,
        learning_rate_init=learning_rate,
        momentum=0.0,
        alpha=0.0,
        max_iter=1,
        shuffle=True,
        warm_start=True,
        random_state=np.random.RandomState(seed),
    )
    result = {"learning_rate": learning_rate, "train_loss": [], "validation_loss": [], "test_accuracy": {}}
    start = time.perf_counter()
    for epoch in range(1, epochs + 1):
        model.fit(data["train"], data["train_labels"])
        result["train_loss"].append(round(float(model.loss_), 6))
        probabilities = model.predict_proba(data["validation"])
        loss = log_loss(data["validation_labels"], probabilities, labels=np.arange(10))
        result["validation_loss"].append(round(float(loss), 6))
        print(f"{name}: epoch {epoch}/{epochs}, training loss {model.loss_:.4f}, validation loss {loss:.4f}", flush=True)
        if epoch in (max(epochs // 2, 1), epochs):
            joblib.dump(model, out / f"{epoch}_{name}_sklearn.joblib")
    result["seconds_per_epoch"] = round((time.perf_counter() - start) / epochs, 3)
    for epoch in sorted({max(epochs // 2, 1), epochs}):
        loaded = joblib.load(out / f"{epoch}_{name}_sklearn.joblib")
        result["test_accuracy"][str(epoch)] = float(loaded.score(data["test"], data["test_labels"]))
    return result


def train_or_slower(name, data, out, epochs, seed, learning_rate):
    """As train, but halves the learning rate each time that training diverges."""
    while True:
        try:
            return train(name, data, out, epochs, seed, learning_rate)
        except ValueError as error:
            if "non-finite" not in str(error):
                raise
            print(f"{name}: diverged with learning rate {learning_rate}; again with half of it", flush=True)
            learning_rate /= 2


def main():
    data_path, out, epochs, seed, learning_rate = sys.argv[1:]
    out = Path(out)
    data = dict(np.load(data_path))
    for part in ("train", "validation", "test"):
        data[part] = data[part].astype(np.float32) / np.float32(255)
    warnings.simplefilter("ignore", ConvergenceWarning)
    results = {name: train_or_slower(name, data, out, int(epochs), int(seed), float(learning_rate)) for name in ACTIVATIONS}
    record = {
        "sklearn": sklearn.__version__,
        "numpy": np.__version__,
        "epochs": int(epochs),
        "seed": int(seed),
        "samples": {part: len(data[part]) for part in ("train", "validation", "test")},
        "runs": results,
    }
    (out / "sklearn.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
