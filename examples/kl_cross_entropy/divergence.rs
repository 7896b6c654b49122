//! Cross-entropy, entropy and KL divergence of `kl_cross_entropy`, each by its own formula.

use backstitch::Report;
use backstitch_examples::AnyError;
use ndarray::{Array1, Array2, ArrayView1};
use serde_json::{Value, json};

/// How far CE and H + KL may differ: rounding in f64.
const ROUNDING: f64 = 1e-12;

/// -sum p ln q; 0 ln 0 is 0, its limit.
fn cross_entropy(p: ArrayView1<'_, f64>, q: ArrayView1<'_, f64>) -> f64 {
    p.iter().zip(q).map(|(p, q)| if *p == 0.0 { 0.0 } else { -p * q.ln() }).sum()
}

/// sum p ln (p / q).
fn divergence(p: ArrayView1<'_, f64>, q: ArrayView1<'_, f64>) -> f64 {
    p.iter().zip(q).map(|(p, q)| if *p == 0.0 { 0.0 } else { p * (p / q).ln() }).sum()
}

/// Means of all three over the test set, computed each by its own formula.
pub fn compare(
    report: &mut Report,
    targets: &[(&str, Array2<f64>)],
    q: &Array2<f64>,
) -> Result<Vec<Value>, AnyError> {
    // A probability that f32 rounds to 0 would make the divergence infinite.
    let q = q.mapv(|q| q.max(f64::from(f32::MIN_POSITIVE)));
    let (mut cells, mut runs) = (Vec::new(), Vec::new());
    for (name, p) in targets {
        let mean = |f: &dyn Fn(usize) -> f64| (0..q.nrows()).map(f).sum::<f64>() / q.nrows() as f64;
        let ce = mean(&|i| cross_entropy(p.row(i), q.row(i)));
        // -1 ln 1 is -0.
        let entropy = mean(&|i| cross_entropy(p.row(i), p.row(i))).abs();
        let kl = mean(&|i| divergence(p.row(i), q.row(i)));
        let difference = (ce - (entropy + kl)).abs();
        if difference > ROUNDING * (1.0 + ce) {
            return Err(format!("{name}: expected CE = H + KL, got {ce} and {}", entropy + kl).into());
        }
        cells.push(vec![
            (*name).to_owned(),
            format!("{ce:.6}"),
            format!("{entropy:.6}"),
            format!("{kl:.6}"),
            if difference == 0.0 { "0".to_owned() } else { format!("{difference:.0e}") },
        ]);
        runs.push(json!({ "name": name, "cross_entropy": ce, "entropy": entropy, "kl": kl, "gradient_gap": gradient_gap(p, &q) }));
    }
    let head = ["targets P", "CE(P, Q)", "H(P)", "KL(P || Q)", "|CE - (H + KL)|"];
    report.table("Means over the test set, in nats; Q are the network's probabilities", &head, cells);
    Ok(runs)
}

/// The largest difference between the derivatives of CE and of KL with respect to the logits of a sample, by central
/// differences: H(P) does not depend on them.
fn gradient_gap(p: &Array2<f64>, q: &Array2<f64>) -> f64 {
    let (p, logits, step) = (p.row(0), q.row(0).mapv(f64::ln), 1e-5);
    let softmax = |z: &Array1<f64>| z.mapv(f64::exp) / z.mapv(f64::exp).sum();
    let slope = |f: fn(ArrayView1<'_, f64>, ArrayView1<'_, f64>) -> f64, c: usize| {
        let at = |shift: f64| {
            let mut moved = logits.clone();
            moved[c] += shift;
            f(p, softmax(&moved).view())
        };
        (at(step) - at(-step)) / (2.0 * step)
    };
    (0..logits.len()).map(|c| (slope(cross_entropy, c) - slope(divergence, c)).abs()).fold(0.0, f64::max)
}

/// What that means.
pub fn answer(report: &mut Report, runs: &[Value]) {
    let number = |run: &Value, name: &str| run[name].as_f64().unwrap_or(f64::NAN);
    report.heading("Under which assumptions they are the same");
    for run in runs {
        let same = if number(run, "entropy") == 0.0 {
            "CE and KL are one number"
        } else {
            "CE and KL differ by H(P)"
        };
        report.paragraph(format!(
            "{}: H(P) = {:.6}, so {same}; their derivatives with respect to the logits differ by {:.0e}, the error of the differences.",
            run["name"].as_str().unwrap_or_default(), number(run, "entropy"), number(run, "gradient_gap"),
        ));
    }
    report.paragraph(
        "Assumed: P(y | x) is given by the data and does not depend on the network's parameters, so H(P) is a constant of the minimization; and Q is \
         above 0 wherever P is, which a softmax always is in exact arithmetic. If, besides, every x has one certain class (one-hot P), H(P) = 0 \
         and the two are equal, not only up to a constant. The assignment's key calls the sum of P ln P the entropy; that is -H(P).",
    );
}
