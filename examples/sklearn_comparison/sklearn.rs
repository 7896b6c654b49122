//! scikit-learn's MLPClassifier on the same data: run where it is installed, else as recorded.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Command, Stdio};

use backstitch::npz;
use backstitch::prelude::*;
use backstitch_examples::trained::labels;
use backstitch_examples::{AnyError, Run};
use ndarray::Array1;
use serde::Deserialize;
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("../../scripts/sklearn_mlp.py");
const RECORDED: &str = include_str!("../../fixtures/sklearn/recorded.json");

/// What scripts/sklearn_mlp.py writes.
#[derive(Deserialize)]
pub struct Sklearn {
    /// Its version.
    pub sklearn: String,
    pub epochs: usize,
    pub samples: BTreeMap<String, usize>,
    pub runs: BTreeMap<String, SklearnRun>,
}

#[derive(Deserialize)]
pub struct SklearnRun {
    pub learning_rate: f64,
    pub train_loss: Vec<f64>,
    pub validation_loss: Vec<f64>,
    pub test_accuracy: BTreeMap<usize, f64>,
    pub seconds_per_epoch: f64,
}

impl Sklearn {
    /// One activation's run as summary.json has it.
    pub fn summary(&self, name: &str, recorded: bool) -> Value {
        let SklearnRun { test_accuracy, seconds_per_epoch, .. } = &self.runs[name];
        json!({
            "version": self.sklearn, "recorded": recorded, "test_accuracy": test_accuracy,
            "seconds_per_epoch": seconds_per_epoch,
        })
    }
}

/// The run here and now, or the recorded one; and whether it is the recorded one.
pub fn run_or_recorded(run: &Run, sets: &[Dataset; 3]) -> Result<(Sklearn, bool), AnyError> {
    match train(run, sets)? {
        Some(sklearn) => Ok((sklearn, false)),
        None => Ok((serde_json::from_str(RECORDED)?, true)),
    }
}

/// Trains in scikit-learn on the same data; `None` where it is not installed.
fn train(run: &Run, sets: &[Dataset; 3]) -> Result<Option<Sklearn>, AnyError> {
    let python = std::env::var_os("BACKSTITCH_PYTHON").unwrap_or_else(|| "python3".into());
    let probe = Command::new(&python).args(["-c", "import sklearn"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("scikit-learn is not installed: comparing with the recorded run");
        return Ok(None);
    }
    let data = run.out.join("parts.npz");
    let mut npz = npz::Writer::new(File::create(&data)?);
    for (name, set) in ["train", "validation", "test"].iter().zip(sets) {
        npz.add(name, set.inputs()?.view().mapv(|pixel| (pixel * 255.0).round() as u8).view())?;
        let labels: Array1<u8> = labels(set).into_iter().map(|label| label as u8).collect();
        npz.add(&format!("{name}_labels"), labels.view().into_dyn())?;
    }
    npz.finish()?;
    let (epochs, seed) = (run.epochs.to_string(), run.seed.to_string());
    let mut command = Command::new(&python);
    command.args(["-c", SCRIPT]).arg(&data).arg(&run.out).args([&epochs, &seed, "0.1"]);
    println!("the same in scikit-learn: a line an epoch");
    if !command.status()?.success() {
        return Err("scripts/sklearn_mlp.py: expected it to succeed, got an error (see above)".into());
    }
    Ok(Some(serde_json::from_str(&fs::read_to_string(run.out.join("sklearn.json"))?)?))
}
