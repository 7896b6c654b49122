"""Networks are built, trained, used, saved and pickled."""

import copy
import pickle

import numpy as np
import pytest

import backstitch as bs


def test_a_classifier_learns(model, blobs):
    x, y = blobs
    history = model.fit(x, y, epochs=20, optimizer=bs.Adam(0.01), validation=(x[:50], y[:50]))
    assert list(history) == ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
    assert len(history["train_loss"]) == 20 and history["train_loss"][-1] < 0.2 * history["train_loss"][0]
    assert history.last("validation_accuracy") > 0.95
    assert model.evaluate(x, y)["accuracy"] > 0.95
    probabilities = model.predict_proba(x)
    assert probabilities.dtype == np.float32 and np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (model.predict_classes(x) == probabilities.argmax(axis=1)).all()
    assert "epoch" in str(history) and model.history is history


def test_a_convolutional_network_as_keras_users_write_it():
    net = bs.Sequential(
        [bs.Conv2d(4, 7, padding="same", activation="relu"), bs.MaxPool2d(2), bs.Flatten(), bs.Dense(10, name="head")]
    )
    model = net.build((28, 28, 1), seed=0)
    assert model.output_shape == (10,) and "conv1" in model.summary()
    assert list(model.weights()) == ["conv1.weight", "conv1.bias", "head.weight", "head.bias"]
    x = np.random.default_rng(0).random((8, 28, 28, 1))
    assert model.predict(x).shape == (8, 10)
    expected = "Sequential((Conv2d(4, 7, padding='same', activation='relu'), MaxPool2d(2), Flatten(), Dense(10, name='head')))"
    assert repr(net) == expected


def test_values_are_predicted_with_the_mean_squared_error():
    x = np.linspace(-1, 1, 100)[:, None]
    model = bs.Sequential([bs.Dense(16, "tanh"), bs.Dense(1)]).build((1,))
    model.fit(x, np.sin(3 * x), epochs=200, optimizer=bs.Adam(0.02))
    assert model.evaluate(x, np.sin(3 * x))["r2"] > 0.95


def test_inputs_are_the_targets_of_an_autoencoder():
    x = np.random.default_rng(0).random((64, 4))
    model = bs.Sequential([bs.Dense(4)]).build((4,))
    history = model.fit(x, epochs=30, optimizer=bs.Adam(0.05))
    assert history["train_loss"][-1] < history["train_loss"][0] / 4


@pytest.mark.parametrize(
    "optimizer",
    [bs.SGD(0.1, momentum=0.9, nesterov=True), bs.Adam(0.01), bs.AdamW(0.01), bs.RMSprop(0.01), bs.Adagrad(0.1)],
)
def test_every_optimizer_trains(model, blobs, optimizer):
    history = model.fit(*blobs, epochs=5, optimizer=optimizer)
    assert history["train_loss"][-1] < history["train_loss"][0]


@pytest.mark.parametrize(
    "schedule", [bs.StepDecay(1, 0.5), bs.Cosine(30), bs.OneCycle(30), bs.OnPlateau(1, 0.5), bs.WarmUp(5), None]
)
def test_every_schedule_trains(model, blobs, schedule):
    history = model.fit(*blobs, epochs=3, schedule=schedule)
    assert len(history.epochs) == 3


def test_every_loss_trains(blobs):
    x, y = blobs
    one_hot = np.eye(3, dtype=np.float32)[y]
    classes = [bs.CrossEntropy(label_smoothing=0.1, class_weights=[1, 2, 3]), "cross_entropy", bs.MultiClassHinge()]
    values = ["mse", "mae", bs.Huber(0.5), bs.BCEWithLogits(np.ones(3)), "kl_divergence", "cross_entropy"]
    cases = [(loss, y) for loss in classes] + [(loss, one_hot) for loss in values] + [("hinge", 2 * one_hot - 1)]
    for loss, targets in cases:
        model = bs.Dense(3).build((2,))
        assert len(model.fit(x, targets, epochs=2, loss=loss)["train_loss"]) == 2, loss
        assert "loss" in model.evaluate(x, targets, loss=loss)
    model = bs.Dense(6).build((2,))
    model.fit(x, one_hot, epochs=2, loss=bs.GaussianNLL())


def test_ignored_labels_do_not_count(blobs):
    x, y = blobs
    model = bs.Dense(3).build((2,))
    y[::2] = -1
    figures = model.evaluate(x, y, loss=bs.CrossEntropy(ignore_index=-1))
    assert figures["loss"] == pytest.approx(model.evaluate(x[1::2], y[1::2])["loss"], rel=1e-6)


def test_early_stopping_restores_the_best_weights(model, blobs):
    x, y = blobs
    history = model.fit(x, y, epochs=50, optimizer=bs.Adam(0.3), validation=(x, y), early_stopping=2)
    losses = history["validation_loss"]
    assert history.restored == 1 + int(np.argmin(losses))
    assert model.evaluate(x, y)["loss"] == pytest.approx(min(losses), rel=1e-6)


def test_other_settings_of_training(model, blobs):
    x, y = blobs
    history = model.fit(
        x,
        y,
        epochs=2,
        clip_norm=1.0,
        penalty=bs.Penalty(l2=1e-3),
        drop_last=True,
        steps_per_epoch=3,
        sample_weight=np.linspace(0.5, 1.5, 300),
    )
    assert "penalty" in history
    images = np.random.default_rng(0).random((16, 8, 8, 3))
    net = bs.Sequential([bs.Conv2d(2, 3), bs.GlobalAvgPool2d(), bs.Dense(2)]).build((8, 8, 3))
    net.fit(images, np.arange(16) % 2, augment=bs.Augment(horizontal_flip=True, random_crop=2), epochs=1, batch_size=8)


def test_weights_go_to_a_file_and_back(model, blobs, tmp_path):
    x, _ = blobs
    path = tmp_path / "net.safetensors"
    model.save(path)
    other = model.net.build((2,), seed=1)
    assert (other.predict(x) != model.predict(x)).any()
    other.load(path)
    assert (other.predict(x) == model.predict(x)).all()
    other = model.net.build((2,), seed=1)
    other.set_weights(model.weights())
    assert (other.predict(x) == model.predict(x)).all()


def test_models_and_settings_are_copied_and_pickled(model, blobs):
    x, y = blobs
    model.freeze("dense1.*")
    model.fit(x, y, epochs=1)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert (other.predict(x) == model.predict(x)).all()
        assert other.history["train_loss"] == model.history["train_loss"]
        before = other.weights()
        other.fit(x, y, epochs=1)
        after = other.weights()
        assert (before["dense1.weight"] == after["dense1.weight"]).all()
        assert (before["dense2.weight"] != after["dense2.weight"]).any()
    for settings in (model.net, bs.Adam(0.1), bs.CrossEntropy(class_weights=np.ones(2)), bs.LeakyReLU(0.2)):
        assert pickle.loads(pickle.dumps(settings)) == settings


def test_named_inputs(blobs):
    x, y = blobs
    net = bs.Sequential([bs.Concat([bs.Sequential(), bs.Input("age")]), bs.Dense(3)])
    model = net.build((2,), inputs={"age": (1,)})
    age = np.arange(300.0)[:, None] / 300
    model.fit(x, y, inputs={"age": age}, epochs=1)
    assert model.predict(x, inputs={"age": age}).shape == (300, 3)
    assert pickle.loads(pickle.dumps(model)).predict(x, inputs={"age": age}).shape == (300, 3)
    with pytest.raises(ValueError, match="age"):
        model.predict(x)


def test_the_same_seed_gives_the_same_bits(blobs):
    x, y = blobs

    def trained(seed):
        model = bs.Sequential([bs.Dense(16, "relu"), bs.Dropout(0.2), bs.Dense(3)]).build((2,), seed=seed)
        model.fit(x, y, epochs=3, seed=seed)
        return model.predict(x)

    assert (trained(3) == trained(3)).all()
    assert (trained(3) != trained(4)).any()
