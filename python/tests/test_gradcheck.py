"""The gradient check for functions that are written in NumPy."""

import numpy as np
import pytest

from backstitch import GradientError, gradcheck

RNG = np.random.default_rng(0)


def dense(x, w, b):
    return x @ w + b


def dense_backward(dy, x, w, b):
    return dy @ w.T, x.T @ dy, dy.sum(axis=0)


X, W, B = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 4)), RNG.normal(size=4)


def test_a_right_derivative_passes():
    report = gradcheck(dense, dense_backward, X, W, B)
    assert (report.compared, report.total) == (15 + 12 + 4, 15 + 12 + 4)
    assert report.worst.error < 1e-8 and report.kinks == ()
    assert str(report).startswith("31 derivatives agree, relative error ")


def test_a_wrong_derivative_is_named_with_both_values():
    def wrong(dy, x, w, b):
        dx, dw, db = dense_backward(dy, x, w, b)
        dw[2, 1] += 1.0
        return dx, dw, db

    with pytest.raises(GradientError) as raised:
        gradcheck(dense, wrong, X, W, B)
    worst = raised.value.worst
    assert (worst.argument, worst.index, worst.kink) == (1, (2, 1), None)
    assert worst.by_hand - worst.by_differences == pytest.approx(1.0, abs=1e-6)
    words = "got 1 of 31 that do not; the worst is argument 1[2, 1]: by hand "
    assert words in str(raised.value) and "no kink there" in str(raised.value)


def relu(x):
    return np.maximum(x, 0)


def test_at_a_kink_every_derivative_between_the_two_sides_is_right():
    x = np.array([[-1.0, 0.0], [2.0, 0.5]])
    report = gradcheck(relu, lambda dy, x: dy * (x > 0), x)
    assert [kink.index for kink in report.kinks] == [(0, 1)]
    assert gradcheck(relu, lambda dy, x: dy * (x >= 0), x).kinks[0].kink is not None
    with pytest.raises(GradientError, match="there is a kink") as raised:
        gradcheck(relu, lambda dy, x: np.where(x == 0, 3 * dy, dy * (x > 0)), x)
    assert raised.value.worst.index == (0, 1)


def test_labels_have_no_derivative():
    def loss(logits, labels):
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -log_p[np.arange(len(labels)), labels].mean()

    def backward(dy, logits, labels):
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(labels)), labels] -= 1
        return dy * p / len(labels), None

    assert gradcheck(loss, backward, X, np.array([0, 1, 2, 1, 0])).compared == 15
    with pytest.raises(ValueError, match="whole numbers"):
        gradcheck(lambda x: x * 2.0, lambda dy, x: dy * 2, np.array([1, 2]))


def test_a_function_that_changes_its_arguments_is_seen_as_it_is():
    def in_place(x):
        x *= 2
        return x

    gradcheck(in_place, lambda dy, x: 2 * dy, X)


def test_what_is_wrong_is_said():
    with pytest.raises(TypeError, match="at least one array"):
        gradcheck(relu, relu)
    with pytest.raises(ValueError, match=r"expected shape \[5, 3\], got \[5\]"):
        gradcheck(relu, lambda dy, x: dy.sum(axis=1), X)
    with pytest.raises(ValueError, match="expected 3 gradients"):
        gradcheck(dense, lambda dy, *_: dy, X, W, B)
    with pytest.raises(TypeError, match="output of forward"):
        gradcheck(lambda x: "text", lambda dy, x: dy, X)
    with pytest.raises(TypeError, match="argument 0"):
        gradcheck(relu, relu, ["text"])
    with pytest.raises(ValueError, match="at least one gradient"):
        gradcheck(relu, lambda dy, x: None, X)
    with pytest.raises(GradientError):
        gradcheck(relu, lambda dy, x: dy * np.nan, X)


def test_an_exception_of_the_function_arrives():
    calls = []

    def failing(x):
        calls.append(x)
        if len(calls) > 3:
            raise ZeroDivisionError("in forward")
        return x

    with pytest.raises(ZeroDivisionError, match="in forward"):
        gradcheck(failing, lambda dy, x: dy, X)
    assert len(calls) == 4


def test_of_many_derivatives_a_sample_is_compared():
    report = gradcheck(np.sin, lambda dy, x: dy * np.cos(x), RNG.normal(size=(100, 50)))
    assert report.total == 5000 and 4000 <= report.compared < 4100
