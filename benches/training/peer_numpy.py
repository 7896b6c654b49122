"""The dense workloads of the benchmark `training` in plain NumPy, as a student writes them: one JSON line per workload, which `--peers`
reads. `--peers` sets the number of OpenBLAS' threads and its processor type with environment variables."""
import statistics
import time

import numpy as np
import peer

parser = peer.arguments(__doc__)
parser.add_argument("--peer", default="NumPy")
options = parser.parse_args()
BATCHES = {"mlp_b32": 32, "mlp_b1024": 1024}
UNITS = [784, 256, 128, 64, 10]
RATE = np.float32(0.01)
random = np.random.default_rng(0)


def new_network():
    scaled = [np.float32(np.sqrt(2 / inputs)) for inputs in UNITS]
    pairs = zip(UNITS, UNITS[1:], scaled)
    weights = [random.standard_normal((i, o), np.float32) * scale for i, o, scale in pairs]
    return weights, [np.zeros(outputs, np.float32) for outputs in UNITS[1:]]


def step(weights, biases, x, labels):
    outputs = [x]
    for weight, bias in zip(weights[:-1], biases[:-1]):
        outputs.append(np.maximum(outputs[-1] @ weight + bias, 0))
    logits = outputs[-1] @ weights[-1] + biases[-1]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    delta = exponentials / exponentials.sum(axis=1, keepdims=True)
    delta[np.arange(len(labels)), labels] -= 1
    delta /= len(labels)
    for i in reversed(range(len(weights))):
        weight_gradient, bias_gradient = outputs[i].T @ delta, delta.sum(axis=0)
        if i > 0:
            delta = (delta @ weights[i].T) * (outputs[i] > 0)
        weights[i] -= RATE * weight_gradient
        biases[i] -= RATE * bias_gradient


imported = peer.peak_mb()
for name in options.workloads or BATCHES:
    if name not in BATCHES:
        continue
    batch = BATCHES[name]
    network = new_network()
    # Each step has other samples. With the same batch in every step, gradients become so small that arithmetic with
    # them is slow.
    batches = 60_000 // batch
    x, labels = random.random((batches, batch, UNITS[0]), np.float32), random.integers(0, UNITS[-1], (batches, batch))
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < options.seconds:
        i = len(times) % batches
        begin = time.perf_counter()
        step(*network, x[i], labels[i])
        times.append(time.perf_counter() - begin)
    median = statistics.median(times[3:])
    peer.report(options.peer, np.__version__, options.threads, name, batch, median, imported)
