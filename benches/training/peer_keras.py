"""The workloads of the benchmark `training` whose assignments use Keras, on TensorFlow: one JSON line per workload, which `--peers`
reads. The median of several epochs of `fit`, whose steps are compiled into a graph."""
import os
import statistics
import time

import peer

options = peer.arguments(__doc__).parse_args()
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

tf.config.threading.set_intra_op_parallelism_threads(options.threads)
tf.config.threading.set_inter_op_parallelism_threads(1)
SAMPLE = (28, 28, 1)


def conv(filters, kernel):
    return layers.Conv2D(filters, kernel, padding="same", activation="relu")


def dense(*units):
    return [layers.Flatten(), *(layers.Dense(n, "relu") for n in units), layers.Dense(10)]


def mlp():
    return dense(256, 128, 64)


def cnn2():
    found = []
    for filters, kernel in [(16, 7), (32, 3), (64, 3)]:
        found += [conv(filters, kernel), layers.MaxPool2D()]
    return found + dense(64)


def cnn4():
    norm, pool = layers.BatchNormalization, layers.MaxPool2D
    first = [conv(64, 7), norm(), pool(), norm()]
    second = [conv(128, 5), norm(), conv(128, 3), norm(), pool(), norm()]
    third = [conv(256, 3), norm(), conv(256, 3), norm(), pool()]
    return first + second + third + dense(128, 64)


def traditional():
    convolutions = [conv(32, 5), layers.MaxPool2D(), conv(64, 3), layers.MaxPool2D(), conv(128, 1)]
    flat, first, *rest = dense(1024, 32)
    return [*convolutions, layers.Dropout(0.2), flat, first, layers.Dropout(0.25), *rest]


# Layers, batch, optimizer, steps per epoch.
WORKLOADS = {
    "mlp_b32": (mlp, 32, "sgd", 300),
    "mlp_b1024": (mlp, 1024, "sgd", 30),
    "cnn2_b64": (cnn2, 64, "adam", 60),
    "cnn4_b64": (cnn4, 64, "adam", 5),
    "trad_b1024": (traditional, 1024, "adam", 3),
}
imported = peer.peak_mb()
for name in options.workloads or WORKLOADS:
    if name not in WORKLOADS:
        continue
    network, batch, optimizer, steps = WORKLOADS[name]
    model = keras.Sequential([layers.Input(SAMPLE), *network()])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    random = np.random.default_rng(0)
    x, labels = random.random((steps * batch, *SAMPLE), np.float32), random.integers(0, 10, steps * batch)
    model.fit(x, labels, batch, verbose=0)
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < options.seconds or len(times) < 3:
        begin = time.perf_counter()
        model.fit(x, labels, batch, verbose=0)
        times.append((time.perf_counter() - begin) / steps)
    median = statistics.median(times)
    peer.report("Keras", tf.__version__, options.threads, name, batch, median, imported)
