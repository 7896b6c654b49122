"""scikit-learn's own checks, and what its users do with estimators."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import backstitch as bs
from backstitch.sklearn import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor


def small_net(shape, outputs):
    """A network for any number of features."""
    return bs.Sequential([bs.Dense(32, "relu"), bs.Dense(outputs)])


# No failure is expected.
@parametrize_with_checks(
    [
        MLPClassifier(),
        MLPRegressor(),
        NetClassifier(small_net, optimizer=bs.Adam(0.01)),
        NetRegressor(small_net, optimizer=bs.Adam(0.01)),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_they_work_in_pipelines_and_searches(iris):
    x, y = iris
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((20,), max_iter=100, random_state=0, learning_rate_init=0.01))
    assert cross_val_score(pipeline, x, y, cv=3).mean() > 0.9
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1e-2]}, cv=3, n_jobs=2)
    search.fit(x, y)
    assert search.best_score_ > 0.9


def test_labels_may_be_anything(iris):
    x, y = iris
    names = np.array(["rose", "tulip", "daisy"])[y]
    classifier = MLPClassifier(max_iter=50, random_state=0, learning_rate_init=0.01, tol=0.0).fit(x, names)
    assert list(classifier.classes_) == ["daisy", "rose", "tulip"] and classifier.score(x, names) > 0.9
    numbers = np.array([7, -3, 100])[y]
    classifier.fit(x, numbers)
    assert set(classifier.predict(x)) <= {7, -3, 100} and classifier.score(x, numbers) > 0.9


def test_fitted_estimators_are_pickled_and_cloned(iris, tmp_path):
    x, y = iris
    fitted = NetClassifier(small_net, epochs=5, optimizer=bs.Adam(0.01), random_state=1).fit(x, y)
    expected = fitted.predict_proba(x)
    joblib.dump(fitted, tmp_path / "net.joblib")
    for other in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "net.joblib"), clone(fitted).fit(x, y)):
        assert (other.predict_proba(x) == expected).all()


def test_any_network_is_wrapped():
    x, y = load_digits(return_X_y=True)
    net = bs.Sequential([bs.Conv2d(8, 3, activation="relu"), bs.MaxPool2d(2), bs.Flatten(), bs.Dense(10)])
    wrapped = NetClassifier(net, input_shape=(8, 8, 1), epochs=5, optimizer=bs.Adam(0.005), random_state=0)
    assert wrapped.fit(x[:1000] / 16, y[:1000]).score(x[1000:] / 16, y[1000:]) > 0.85
    assert wrapped.fit(x[:1000].reshape(-1, 8, 8) / 16, y[:1000]).predict(x[:5].reshape(-1, 8, 8)).shape == (5,)
    with pytest.raises(ValueError, match="expected outputs of shape"):
        NetClassifier(bs.Dense(3)).fit(x, y)


def test_regressors_predict_what_they_were_given():
    x, y = make_regression(200, 5, n_targets=2, random_state=0)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    regressor = NetRegressor(small_net, optimizer=bs.Adam(0.01), random_state=0)
    assert regressor.fit(x, y).predict(x).shape == (200, 2) and regressor.score(x, y) > 0.9
    assert regressor.fit(x, y[:, 0]).predict(x).shape == (200,)


def test_training_ends_as_in_scikit_learn(iris):
    x, y = iris
    stopped = MLPClassifier(max_iter=500, tol=10.0, n_iter_no_change=3, random_state=0).fit(x, y)
    assert stopped.n_iter_ == 5 and len(stopped.loss_curve_) == 5
    with pytest.warns(match="max_iter"):
        MLPClassifier(max_iter=2, random_state=0).fit(x, y)
    early = MLPClassifier(early_stopping=True, n_iter_no_change=3, max_iter=100, random_state=0).fit(x, y)
    assert early.n_iter_ < 100
    for wrong in ({"solver": "lbfgs"}, {"batch_size": "all"}, {"activation": "none"}):
        with pytest.raises(ValueError):
            MLPClassifier(**wrong).fit(x, y)
