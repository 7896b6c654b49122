//! Compares metrics with those of scikit-learn, on stored predictions (`fixtures/sklearn_metrics`, with the script).

use std::fs;
use std::path::Path;

use backstitch::metrics::{Average, ConfusionMatrix, argmax_rows, log_loss, roc_auc_one_against_rest};
use backstitch::npz;
use ndarray::{Array2, Ix2};
use serde_json::Value;

#[track_caller]
fn close(ours: Option<f64>, theirs: &Value) {
    let (ours, theirs) = (ours.unwrap(), theirs.as_f64().unwrap());
    assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
}

#[test]
fn every_metric_is_that_of_scikit_learn() {
    let folder = Path::new("fixtures/sklearn_metrics");
    let mut npz = npz::Archive::open(folder.join("predictions.npz")).unwrap();
    let labels: Vec<usize> = npz.read::<i64>("labels").unwrap().iter().map(|&label| label as usize).collect();
    let probabilities: Array2<f64> = npz.read("probabilities").unwrap().into_dimensionality::<Ix2>().unwrap();
    let expected: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();

    let predictions = argmax_rows(probabilities.view()).unwrap();
    let matrix = ConfusionMatrix::new(&labels, &predictions, 5).unwrap();
    let rows: Vec<Vec<u64>> = matrix.counts().rows().into_iter().map(|row| row.to_vec()).collect();
    assert_eq!(serde_json::json!(rows), expected["confusion"]);
    close(Some(matrix.accuracy()), &expected["accuracy"]);
    close(Some(matrix.balanced_accuracy()), &expected["balanced_accuracy"]);
    for (class, scores) in matrix.class_scores().iter().enumerate() {
        close(scores.precision, &expected["precision"][class]);
        close(scores.recall, &expected["recall"][class]);
        close(scores.f1, &expected["f1"][class]);
    }
    for (average, name) in [(Average::Macro, "macro"), (Average::Weighted, "weighted")] {
        let scores = matrix.average(average);
        close(scores.precision, &expected["averages"][name]["precision"]);
        close(scores.recall, &expected["averages"][name]["recall"]);
        close(scores.f1, &expected["averages"][name]["f1"]);
    }
    let areas = roc_auc_one_against_rest(&labels, probabilities.view()).unwrap();
    areas.iter().enumerate().for_each(|(class, &area)| close(area, &expected["roc_auc"][class]));
    let mean = areas.iter().flatten().sum::<f64>() / areas.len() as f64;
    close(Some(mean), &expected["roc_auc_macro"]);
    close(Some(log_loss(&labels, probabilities.view()).unwrap()), &expected["log_loss"]);
}
