//! The pictures and figures of `class_visualization`.

use backstitch::ReluRule;
use backstitch::explain::{Maximized, activations, saliency};
use backstitch::metrics::argmax;
use backstitch::{PictureGrid, Report};
use backstitch_examples::AnyError;
use backstitch_examples::pictures::{heat, heat_of_most};
use backstitch_examples::trained::{Column, table};
use ndarray::{Array2, ArrayD, Axis};
use serde_json::{Value, json};

use crate::subject::Subject;

/// Logits and probabilities of made and real pictures, as summary.json has them.
pub fn figures(subject: &Subject, wanted: &[Maximized<f32>]) -> Result<Vec<Value>, AnyError> {
    let judged = |class: usize, x: ArrayD<f32>| -> Result<(f32, f32), AnyError> {
        let logit = subject.model.predict(x.view())?[[0, class]];
        Ok((logit, subject.model.predict_proba(x.view())?[[0, class]]))
    };
    let mut runs = Vec::new();
    for (i, made) in wanted.iter().enumerate() {
        let class = subject.classes[i];
        let (logit, probability) = judged(class, made.picture.clone().insert_axis(Axis(0)).into_dyn())?;
        let real = subject.pictures.index_axis(Axis(0), i).insert_axis(Axis(0)).to_owned();
        let (real_logit, real_probability) = judged(class, real)?;
        runs.push(json!({ "name": subject.names[i], "start": made.responses[0], "logit": logit, "probability": probability,
            "real_logit": real_logit, "real_probability": real_probability, "no_gradient": made.no_gradient }));
    }
    Ok(runs)
}

fn number(run: &Value, figure: &str) -> f64 {
    run[figure].as_f64().unwrap_or(f64::NAN)
}

/// The picture that each class wants.
pub fn classes(
    subject: &Subject,
    wanted: &[Maximized<f32>],
    runs: &[Value],
) -> Result<PictureGrid, AnyError> {
    let mut pictures = Vec::new();
    for ((name, made), run) in subject.names.iter().zip(wanted).zip(runs) {
        let (logit, probability) = (number(run, "logit"), number(run, "probability"));
        let title = format!("{name}\n{logit:.1}, {probability:.2}");
        pictures.push((title, (subject.show)(made.picture.view())?));
    }
    Ok(subject.grid("What each class wants", 5, pictures))
}

/// Made pictures beside real ones.
pub fn compared(report: &mut Report, runs: &[Value]) {
    let two = |run: &Value, figure| format!("{:.2}", number(run, figure));
    let columns: [Column<&Value>; 6] = [
        ("class", &|run| run["name"].as_str().unwrap_or_default().to_owned()),
        ("logit of the noise", &|run| two(run, "start")),
        ("of the made picture", &|run| two(run, "logit")),
        ("probability", &|run| two(run, "probability")),
        ("logit of a real one", &|run| two(run, "real_logit")),
        ("probability of a real one", &|run| two(run, "real_probability")),
    ];
    table(report, "Made pictures and real ones", runs, &columns);
    report.paragraph(said(runs));
}

/// What the table's figures show.
fn said(runs: &[Value]) -> String {
    let above = runs.iter().filter(|run| number(run, "logit") > number(run, "real_logit")).count();
    let sure = runs.iter().filter(|run| number(run, "probability") > 0.9).count();
    let none = runs.iter().filter(|run| run["no_gradient"] == true).count();
    let none = match none {
        0 => String::new(),
        count => format!(
            " For {count} the gradient was zero in every step, and the picture is only decayed noise."
        ),
    };
    format!(
        "For {above} of {} classes the made picture has a higher logit than the real one, and for {sure} the network is more than 90 per cent sure \
         of it. Networks can be sure of pictures that nobody recognizes (A. Nguyen, J. Yosinski and J. Clune, \"Deep neural networks are easily \
         fooled\", 2015).{none}",
        runs.len()
    )
}

/// A real picture of each class beside the size of its logit's gradient in each pixel.
pub fn saliencies(subject: &Subject) -> Result<PictureGrid, AnyError> {
    let maps = saliency(&subject.model, subject.pictures.view(), &subject.classes, ReluRule::Plain)?;
    let mut pictures = Vec::new();
    for (i, map) in maps.outer_iter().enumerate() {
        pictures.push((subject.names[i].clone(), subject.picture(i)?));
        pictures.push(("saliency".to_owned(), heat_of_most(map)?));
    }
    Ok(subject.grid("Where each class looks: |dS/dx|", 4, pictures))
}

/// A picture of random integers, then of every layer with maps the one that responds most to it.
pub fn layers(subject: &Subject, random: &ArrayD<f32>) -> Result<(PictureGrid, String), AnyError> {
    let first = random.index_axis(Axis(0), 0);
    let mut pictures = vec![("random integers\n ".to_owned(), (subject.show)(first.into_dimensionality()?)?)];
    let mut shares = Vec::new();
    for name in subject.model.top_level() {
        // Layers behind the last map have no maps.
        let Ok(maps) = activations(&subject.model, random.view(), name) else { continue };
        let maps = maps.index_axis_move(Axis(0), 0);
        let (height, width, channels) = maps.dim();
        let means = maps.sum_axis(Axis(0)).sum_axis(Axis(0)) / (height * width) as f32;
        let strongest = argmax(means.iter().copied()).ok_or("maps without NaN")?;
        let map = maps.index_axis(Axis(2), strongest);
        let large = enlarged(map.to_owned(), subject.model.input_shape()[0]);
        pictures.push((format!("{}\nmap {} of {channels}", name, strongest + 1), heat(large.view())?));
        let zeros = maps.iter().filter(|value| **value == 0.0).count() as f64 / maps.len() as f64;
        shares.push(format!("{} {:.0}", name, 100.0 * zeros));
    }
    let said =
        format!("Zeros among each layer's numbers for this picture, in per cent: {}.", shares.join(", "));
    Ok((subject.grid("Every layer on random integers", 5, pictures), said))
}

/// A small map with every number repeated, so that it is about as large as the picture, and no smoother.
fn enlarged(map: Array2<f32>, side: usize) -> Array2<f32> {
    let (height, width) = map.dim();
    let times = (side / height.max(width)).max(1);
    Array2::from_shape_fn((height * times, width * times), |(i, j)| map[[i / times, j / times]])
}
