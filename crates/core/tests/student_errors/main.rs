//! Layers as a student writes them, in plain loops, right and wrong: the check finds every typical mistake, and accepts every
//! right variant.

use backstitch_core::gradcheck::{GradientError, Passed, check_layer};
use backstitch_core::{AnyLayer, Context};

mod batch_norm;
mod conv;
mod dense;
mod layer_norm;
mod max_pool;
mod softmax;

/// The result of checking a layer.
type Case = (String, Result<Passed, GradientError>);

/// One layer, checked in training with several seeds: wrong if one of them finds it, right if none does.
fn case(layer: impl AnyLayer + Clone, input: &[usize], batch: usize) -> Case {
    let check = |seed| check_layer(layer.clone(), input, batch, &Context::train(1, 0), seed);
    let mut result = check(1);
    for seed in [2, 3] {
        result = result.and_then(|_| check(seed));
    }
    (format!("{layer:?}"), result)
}

#[test]
fn every_student_error_is_found() {
    let cases: Vec<Case> = [
        dense::wrong(),
        conv::wrong(),
        batch_norm::wrong(),
        layer_norm::wrong(),
        softmax::wrong(),
        max_pool::wrong(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let missed: Vec<&str> =
        cases.iter().filter(|(_, result)| result.is_ok()).map(|(name, _)| name.as_str()).collect();
    assert!(missed.is_empty(), "missed: {missed:?}");
    assert_eq!(cases.len(), 51);
    // Each is reported as a wrong derivative, except statistics of the batch in evaluation.
    for (name, result) in &cases {
        let message = result.as_ref().unwrap_err().to_string();
        let mixes = name.contains("BatchInEvaluation");
        let expected =
            if mixes { "do not depend on the others of the batch" } else { "expected derivatives to agree" };
        assert!(message.contains(expected), "{name}: {message}");
    }
}

#[test]
fn no_right_variant_is_called_wrong() {
    let cases: Vec<Case> = [
        dense::right(),
        conv::right(),
        batch_norm::right(),
        layer_norm::right(),
        softmax::right(),
        max_pool::right(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(name, result)| result.as_ref().err().map(|error| format!("{name}: {error}")))
        .collect();
    assert!(wrong.is_empty(), "called wrong: {wrong:#?}");
    assert_eq!(cases.len(), 47);
}
