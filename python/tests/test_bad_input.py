"""What is wrong is an exception that says what was expected. Nothing panics, and nothing is misread."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import traceback

import numpy as np
import pytest

import backstitch as bs


def test_arrays_of_other_types_and_orders_are_converted(model, blobs):
    x, y = blobs
    expected = model.predict(x)
    wide = np.zeros((300, 4), np.float32)
    wide[:, ::2] = x
    others = [
        np.asfortranarray(x),
        x.astype(np.float64),
        x.astype(">f4"),
        x.astype(np.longdouble),
        wide[:, ::2],
        x[::-1][::-1],
        x.tolist(),
    ]
    for other in others:
        assert (model.predict(other) == expected).all()
    whole = np.arange(8).reshape(4, 2)
    for kind in ("i1", "u2", "i8", "f2", ">i4"):
        assert (model.predict(whole.astype(kind)) == model.predict(whole.astype("f4"))).all()
    for labels in (y.astype("u1"), y.astype(">i4"), y.tolist(), np.repeat(y, 2)[::2]):
        assert model.evaluate(x, labels) == model.evaluate(x, y)
    x.setflags(write=False)
    assert (model.predict(x) == expected).all()


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        ([[1.0, 2.0], [3.0]], ValueError, "rows of unequal lengths"),
        (np.array([[1, None]], dtype=object), TypeError, "objects"),
        ([["a", "b"]], TypeError, "text"),
        (np.array([[1 + 2j, 0]]), TypeError, "complex numbers"),
        (np.array([["2020-01-01", "2020-01-01"]], dtype="M8[D]"), TypeError, "dates"),
        (np.ma.masked_array([[1.0, 2.0]], mask=[[True, False]]), TypeError, "masked"),
        (None, TypeError, "NoneType"),
        ("text", TypeError, "text"),
        ([[1.0, float("nan")]], ValueError, "sample 0"),
        ([[1e300, 0.0]], ValueError, "1e+300 at [0, 0]"),
        ([[1.0, 2.0, 3.0]], ValueError, "expected [samples, 2]"),
        ([1.0, 2.0], ValueError, "one sample without the first axis"),
        (1.0, ValueError, "[samples, 2]"),
        (np.zeros((1,) * 9), ValueError, "[samples, 2]"),
    ],
)
def test_inputs_that_are_no_batch_are_refused(model, x, error, words):
    with pytest.raises(error) as raised:
        model.predict(x)
    assert words in str(raised.value)
    with pytest.raises(error):
        model.fit(x, [0])


@pytest.mark.parametrize(
    ("y", "error", "words"),
    [
        ([0, 1], ValueError, "labels: expected 4"),
        ([0, 1, 2, 3], ValueError, "expected a class from 0 to 2, got 3"),
        ([0, 1, -1, 0], ValueError, "expected classes counted from 0, got -1 at [2]"),
        (["a", "b", "a", "b"], TypeError, "text"),
        ([0.5, 1.0, 0.0, 0.0], ValueError, "values"),
        (np.zeros((4, 2)), ValueError, "[2]"),
        ([], ValueError, "expected"),
        (np.array([1, 2, 3, 2**64 - 1], dtype=np.uint64), ValueError, "2**63"),
    ],
)
def test_targets_that_do_not_fit_are_refused(model, y, error, words):
    with pytest.raises(error) as raised:
        model.fit(np.zeros((4, 2)), y, batch_size=2)
    assert words in str(raised.value)


def test_no_samples_are_refused(model):
    with pytest.raises(ValueError, match="at least one sample"):
        model.fit(np.zeros((0, 2)), np.zeros(0, int))
    assert model.predict(np.zeros((0, 2))).shape == (0, 3)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: bs.Dense("10"), TypeError, "units of dense: expected a whole number, got '10'"),
        (lambda: bs.Dense(10.5), TypeError, "units of dense"),
        (lambda: bs.Dense(True), TypeError, "units of dense"),
        (lambda: bs.Dense(-1), ValueError, "units of dense: expected a whole number, 0 or more, got -1"),
        (lambda: bs.Dense(10, "rely"), ValueError, "relu"),
        (lambda: bs.Dense(10, 3), TypeError, "activation of dense"),
        (lambda: bs.Dense(10, init="he"), ValueError, "he_normal"),
        (lambda: bs.Dense(10, bias=2), TypeError, "bias of dense: expected True or False"),
        (lambda: bs.Conv2d(4, (1, 2, 3)), TypeError, "kernel_size of conv2d"),
        (lambda: bs.Conv2d(4, 3, padding="full"), ValueError, "padding of conv2d"),
        (lambda: bs.Conv1d(4, 3, padding="full"), ValueError, "padding of conv1d"),
        (lambda: bs.Pad2d(1, mode="wrap"), ValueError, "mode of pad"),
        (lambda: bs.Dropout("half"), TypeError, "rate of dropout"),
        (lambda: bs.Standardize([1.0], [0.0]), ValueError, "deviation 0"),
        (lambda: bs.Sequential([bs.Dense]), TypeError, "with parentheses"),
        (lambda: bs.Sequential([3]), TypeError, "layer 0 of Sequential"),
        (lambda: bs.Sequential(bs.Dense(3)), TypeError, "expected a list of layers"),
        (lambda: bs.Residual(3), TypeError, "main of Residual"),
        (lambda: bs.Concat([3]), TypeError, "branch 0 of Concat"),
        (lambda: bs.Attention(2, over=3), TypeError, "over of Attention"),
        (lambda: bs.Adam("fast"), TypeError, "learning_rate of adam"),
        (lambda: bs.Adam(betas=(0.9,)), ValueError, "betas of adam"),
        (lambda: bs.Cosine(0), ValueError, "steps"),
        (lambda: bs.CrossEntropy(label_smoothing=1.5), ValueError, "label_smoothing"),
        (lambda: bs.Huber("wide"), TypeError, "delta of huber"),
    ],
)
def test_settings_are_checked_where_they_are_written(make, error, words):
    with pytest.raises(error) as raised:
        make()
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("shape", "error", "words"),
    [
        (2, TypeError, "such as (28, 28, 1)"),
        ((2.5,), TypeError, "whole numbers"),
        ((-1,), ValueError, "0 or more"),
        ((8, 8, 1, 1), ValueError, "conv1"),
        ((1,) * 20, ValueError, "axes"),
    ],
)
def test_input_shapes_are_checked(shape, error, words):
    with pytest.raises(error) as raised:
        bs.Sequential([bs.Conv2d(2, 3)]).build(shape)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"epochs": 0}, ValueError, "epochs: expected at least 1"),
        ({"epochs": "ten"}, TypeError, "epochs of fit"),
        ({"batch_size": 301}, ValueError, "batch_size: expected from 1 to 300"),
        ({"optimizer": "adam"}, TypeError, "backstitch.Optimizer"),
        ({"optimizer": bs.Adam}, TypeError, "with parentheses"),
        ({"optimizer": bs.Adam(-1.0)}, ValueError, "learning_rate"),
        ({"loss": "crossentropy"}, ValueError, "cross_entropy"),
        ({"loss": "mse"}, ValueError, "values of shape [3]"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": 1.5}, TypeError, "seed"),
        ({"validation": [1]}, TypeError, "validation"),
        ({"validation": (np.zeros((3, 5)), [0, 1, 2])}, ValueError, "validation"),
        ({"early_stopping": 3}, ValueError, "validation"),
        ({"callbacks": [3]}, TypeError, "callback 0"),
        ({"callbacks": [bs.Progress]}, TypeError, "callback 0"),
        ({"sample_weight": [1.0]}, ValueError, "weights of samples"),
        ({"inputs": {"age": np.zeros((300, 1))}}, ValueError, "age"),
        ({"clip_norm": -1.0}, ValueError, "clip_norm"),
    ],
)
def test_settings_of_fit_are_checked(model, blobs, settings, error, words):
    with pytest.raises(error) as raised:
        model.fit(*blobs, **settings)
    assert words in str(raised.value)


def test_a_network_without_shapes_cannot_be_used():
    for name in ("fit", "predict", "summary", "save"):
        with pytest.raises(AttributeError, match="build"):
            getattr(bs.Sequential([bs.Dense(3)]), name)


def test_divergence_is_an_error(model, blobs):
    with pytest.raises(FloatingPointError, match="epoch 1, step"):
        model.fit(*blobs, optimizer=bs.SGD(1e30))


def test_files_that_are_not_there(model, tmp_path):
    with pytest.raises(FileNotFoundError):
        model.load(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "none" / "net.safetensors")
    with pytest.raises(ValueError, match="safetensors"):
        model.save(tmp_path / "net.h5")
    (tmp_path / "wrong.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError):
        model.load(tmp_path / "wrong.safetensors")
    with pytest.raises(ValueError, match="dense1.weight"):
        model.set_weights({"dense1.weight": np.zeros((1, 1))})


class Failing(bs.Callback):
    """Raises at an epoch, or at a step."""

    def __init__(self, step=None, epoch=None):
        self.step, self.epoch = step, epoch

    def on_step_end(self, step):
        if step.step == self.step:
            raise ZeroDivisionError("at a step")

    def on_epoch_end(self, epoch):
        if epoch.epoch == self.epoch:
            raise ZeroDivisionError("at an epoch")


@pytest.mark.parametrize(("callback", "epochs"), [(Failing(step=3), 0), (Failing(epoch=2), 2)])
def test_the_traceback_of_a_callback_arrives_and_the_model_keeps_what_it_learned(model, blobs, callback, epochs):
    before = model.weights()["dense1.weight"]
    with pytest.raises(ZeroDivisionError) as raised:
        model.fit(*blobs, epochs=5, callbacks=[callback])
    shown = "".join(traceback.format_exception(raised.value))
    assert "raise ZeroDivisionError" in shown
    assert len(model.history.epochs) == epochs
    assert (model.weights()["dense1.weight"] != before).any()


def test_a_callback_can_stop_training(model, blobs):
    seen = []

    def stop(epoch):
        seen.append((epoch.epoch, epoch["train_loss"], epoch.model.predict(blobs[0]).shape))
        if epoch.epoch == 2:
            raise bs.StopTraining

    history = model.fit(*blobs, epochs=5, callbacks=[stop])
    assert len(history.epochs) == 2 and [epoch for epoch, _, _ in seen] == [1, 2]
    assert [loss for _, loss, _ in seen] == history["train_loss"] and seen[0][2] == (300, 3)


def test_callbacks_run_in_the_thread_that_called_fit(model, blobs):
    threads = set()
    model.fit(*blobs, epochs=2, callbacks=[lambda epoch: threads.add(threading.get_ident())])
    assert threads == {threading.get_ident()}


def test_a_model_is_trained_by_one_call_at_a_time(model, blobs):
    def again(epoch):
        with pytest.raises(RuntimeError, match="in use by another call"):
            model.fit(*blobs, epochs=1)
        with pytest.raises(RuntimeError, match="use the model of the epoch"):
            model.predict(blobs[0])

    model.fit(*blobs, epochs=1, callbacks=[again])
    model.fit(*blobs, epochs=1)


def test_two_threads_train_two_models_at_once(blobs):
    def trained(results, i):
        model = bs.Sequential([bs.Dense(16, "relu"), bs.Dense(3)]).build((2,), seed=0)
        model.fit(*blobs, epochs=20)
        results[i] = model.predict(blobs[0])

    results = [None] * 3
    threads = [threading.Thread(target=trained, args=(results, i)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trained(results, 2)
    assert (results[0] == results[1]).all() and (results[0] == results[2]).all()


def test_other_python_threads_run_while_it_trains(model, blobs):
    x, y = np.tile(blobs[0], (200, 1)), np.tile(blobs[1], 200)
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    begin = time.perf_counter()
    model.fit(x, y, epochs=3)
    end = time.perf_counter()
    done.set()
    thread.join()
    during = sum(begin < tick < end for tick in ticks)
    assert during > 10 * (end - begin)


def _in_a_child(queue, x, y):
    model = bs.Sequential([bs.Dense(16, "relu"), bs.Dense(3)]).build((2,), seed=0)
    model.fit(x, y, epochs=2)
    queue.put(model.predict(x))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_process_that_was_forked_computes_too(blobs):
    x, y = blobs
    model = bs.Sequential([bs.Dense(16, "relu"), bs.Dense(3)]).build((2,), seed=0)
    model.fit(x, y, epochs=2)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_a_child, args=(queue, x, y))
    child.start()
    got = queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0 and (got == model.predict(x)).all()


INTERRUPTED = """
import numpy as np, backstitch as bs
x = np.random.default_rng(0).random((2000, 50), dtype=np.float32)
model = bs.Sequential([bs.Dense(256, "relu"), bs.Dense(2)]).build((50,))
before = model.weights()["dense1.weight"]
try:
    model.fit(x, np.arange(2000) % 2, epochs=10**6, callbacks=[lambda epoch: print(epoch.epoch, flush=True)])
except KeyboardInterrupt:
    learned = (model.weights()["dense1.weight"] != before).any()
    print("interrupted", len(model.history.epochs) > 0, learned, flush=True)
"""


def test_ctrl_c_ends_training_and_keeps_what_was_learned():
    child = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    begin = time.perf_counter()
    out, _ = child.communicate(timeout=30)
    assert out.splitlines()[-1] == "interrupted True True"
    assert time.perf_counter() - begin < 5


def test_progress_is_shown_where_it_was_asked_for(model, blobs, capsys):
    model.fit(*blobs, epochs=2)
    assert capsys.readouterr() == ("", "")
    model.fit(*blobs, epochs=2, progress=True)
    out, err = capsys.readouterr()
    assert err == "" and [line.split(":")[0] for line in out.splitlines()] == ["epoch 1", "epoch 2"]
