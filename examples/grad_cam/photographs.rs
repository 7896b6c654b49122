//! `grad_cam --model squeezenet`: a network trained on ImageNet, on photographs.

use backstitch::PictureGrid;
use backstitch::explain::{Cam, Goal, Maximizer, activations, grad_cam, upsample};
use backstitch::metrics::argmax;
use backstitch::prelude::*;
use backstitch_examples::imagenet::{ImageNet, SIDE, TEN, picture};
use backstitch_examples::pictures::{COVER, heat};
use backstitch_examples::trained::{Column, table};
use backstitch_examples::{AnyError, Run, Steps};
use ndarray::{Array2, ArrayD, ArrayViewD, Axis, s};
use serde_json::{Value, json};

/// A network's look at one photograph.
struct Seen {
    name: &'static str,
    x: ArrayD<f32>,
    class: usize,
    probability: f32,
    /// The likeliest classes with their probabilities, the first of which is the prediction.
    likeliest: Vec<(usize, f32)>,
    /// Enlarged maps at the early and the last layer.
    maps: [Array2<f32>; 2],
    /// Probability with the fifth of the pixels covered on which the last map is highest, and with the fifth on which it is lowest.
    covered: [f32; 2],
}

impl Seen {
    fn predicted(&self) -> usize {
        self.likeliest[0].0
    }
}

/// The likeliest classes of a photograph, with their probabilities.
fn likeliest(net: &ImageNet, seen: &Seen) -> String {
    let one = |&(class, p): &(usize, f32)| format!("{} {p:.3}", net.names[class]);
    seen.likeliest.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Classes that are listed for each photograph.
const LIKELIEST: usize = 3;
const LAYERS: [&str; 2] = ["fire4", "conv_final"];

/// The whole of `grad_cam --model squeezenet`.
pub fn experiment(mut run: Run) -> Result<(), AnyError> {
    let net = ImageNet::open(&run)?;
    run.photographs(&net.photographs());
    let shown = &TEN[..if run.quick { 2 } else { 6 }];
    let mut steps = Steps::new("Grad-CAM of photographs", shown.len())?;
    let mut look = |&(name, class): &(&'static str, usize)| {
        steps.add();
        look(&net, name, class)
    };
    let seen = shown.iter().map(&mut look).collect::<Result<Vec<_>, _>>()?;
    drop(steps);
    let mut report = run.report("Where a network trained on ImageNet looks");
    report.paragraph("SqueezeNet v1.0 with its published weights, on the first photograph of each class, squashed to 227x227 pixels.");
    run.show(&mut report, "photographs", &grid(&seen, &net)?, format!("The photograph with its class and what it was taken for; Grad-CAM for its class at {} and at {}, alone and over the photograph, each map from 0 to its own largest value.", LAYERS[0], LAYERS[1]))?;
    let three = |p: f32| format!("{p:.3}");
    let columns: [Column<&Seen>; 5] = [
        ("photograph", &|s| s.name.to_owned()),
        ("the three likeliest classes", &|s| likeliest(&net, s)),
        ("probability of its class", &|s| three(s.probability)),
        ("with the map's highest fifth covered", &|s| three(s.covered[0])),
        ("with the lowest fifth covered", &|s| three(s.covered[1])),
    ];
    table(&mut report, "Is it looking at the object?", &seen, &columns);
    report.paragraph(verdict(&seen));
    report.heading("What single neurons respond to, and want");
    let (neurons, caption) = neurons(&net, &seen, run.quick, run.seed)?;
    run.show(&mut report, "neurons", &neurons, caption)?;
    let json = |s: &Seen| {
        json!({ "name": s.name, "predicted": net.names[s.predicted()], "probability": s.probability,
        "highest_fifth_covered": s.covered[0], "lowest_fifth_covered": s.covered[1] })
    };
    let runs: Vec<Value> = seen.iter().map(json).collect();
    run.finish(&report, &runs)
}

fn look(net: &ImageNet, name: &'static str, class: usize) -> Result<Seen, AnyError> {
    let x = net.photograph(name)?.insert_axis(Axis(0)).into_dyn();
    let probabilities = net.model.predict_proba(x.view())?;
    let map = |layer| -> Result<Array2<f32>, AnyError> {
        let maps = grad_cam(&net.model, x.view(), &[class], layer, Cam::GradCam)?.maps;
        Ok(maps.index_axis_move(Axis(0), 0))
    };
    let maps = [map(LAYERS[0])?, map(LAYERS[1])?];
    let covered = [true, false].map(|highest| cover(&net.model, &x.view(), &maps[1], highest, class));
    let [high, low] = covered;
    let row = probabilities.row(0);
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    let likeliest: Vec<_> = order.iter().take(LIKELIEST).map(|&class| (class, row[class])).collect();
    Ok(Seen {
        name,
        class,
        probability: probabilities[[0, class]],
        likeliest,
        maps,
        covered: [high?, low?],
        x,
    })
}

/// Probability of a class with a fifth of the pixels in the mean colour: those where the map is highest, or lowest.
fn cover(
    model: &Model,
    x: &ArrayViewD<'_, f32>,
    map: &Array2<f32>,
    highest: bool,
    class: usize,
) -> Result<f32, AnyError> {
    let mut order: Vec<usize> = (0..map.len()).collect();
    let values: Vec<f32> = map.iter().copied().collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    if highest {
        order.reverse();
    }
    let mut x = x.to_owned();
    for place in &order[..map.len() / 5] {
        x.slice_mut(s![0, place / SIDE, place % SIDE, ..]).fill(0.0);
    }
    Ok(model.predict_proba(x.view())?[[0, class]])
}

fn grid(seen: &[Seen], net: &ImageNet) -> Result<PictureGrid, AnyError> {
    let mut pictures = Vec::new();
    for s in seen {
        let photograph = picture(s.x.slice(s![0, .., .., ..]))?;
        pictures.push((
            format!("{}\n{} {:.3}", s.name, net.names[s.predicted()], s.probability),
            photograph.clone(),
        ));
        for (layer, map) in LAYERS.iter().zip(&s.maps) {
            let map = heat(map.view())?;
            pictures.push((format!("{layer}\n "), map.clone()));
            pictures.push((format!("{layer}, over\n "), map.blend(&photograph, COVER)?));
        }
    }
    let title = "Grad-CAM on photographs".to_owned();
    Ok(PictureGrid { title, columns: 5, enlarge: 1, bar: None, pictures })
}

fn verdict(seen: &[Seen]) -> String {
    let more = seen.iter().filter(|s| s.covered[0] < s.covered[1]).count();
    let mean =
        |fifth: usize| seen.iter().map(|s| s.probability - s.covered[fifth]).sum::<f32>() / seen.len() as f32;
    let right = seen.iter().filter(|s| s.predicted() == s.class).count();
    format!(
        "{right} of {} are taken for what they are. Covering the fifth of a photograph on which the map at {} is highest takes {:.3} off the \
         probability of its class in the mean, covering the lowest fifth {:.3}; in {more} of {} the highest fifth matters more: there the \
         network looks where the map says.",
        seen.len(),
        LAYERS[1],
        mean(0),
        mean(1),
        seen.len(),
    )
}

/// Photographs whose strongest neuron is shown.
const NEURONS: usize = 3;
/// The layer of the neurons.
const LAYER: &str = "fire9";

/// For some photographs: the channel that responds to it more than to the others, its map, and the picture it wants.
fn neurons(net: &ImageNet, seen: &[Seen], quick: bool, seed: u64) -> Result<(PictureGrid, String), AnyError> {
    let mut responses = Vec::new();
    for s in seen {
        responses.push(activations(&net.model, s.x.view(), LAYER)?.index_axis_move(Axis(0), 0));
    }
    let mean = |photograph: usize, channel: usize| {
        responses[photograph].slice(s![.., .., channel]).mean().unwrap_or(0.0)
    };
    let channels = responses[0].dim().2;
    let maximizer = Maximizer::new(if quick { 10 } else { 200 }, 4.0)?
        .decay(0.01)?
        .blur(0.8, 4)?
        .jitter(4)
        .range(-123.0, 151.0)?
        .seed(seed);
    let start = maximizer.noise(&net.model, 0.0, 20.0)?;
    let (mut pictures, mut found) = (Vec::new(), Vec::new());
    let mut steps = Steps::new("pictures for neurons", seen.len().min(NEURONS))?;
    for i in 0..seen.len().min(NEURONS) {
        let alone = |channel: usize| {
            let others = (0..seen.len()).filter(|&other| other != i).map(|other| mean(other, channel));
            mean(i, channel) - others.fold(0.0, f32::max)
        };
        let channel = argmax((0..channels).map(alone)).ok_or("responses without NaN")?;
        let goal = Goal::Filter { layer: LAYER.to_owned(), channel };
        let wanted = maximizer.run(&net.model, &goal, start.view())?;
        steps.add();
        let last = wanted.responses.last().copied().unwrap_or_default();
        let photograph = picture(seen[i].x.slice(s![0, .., .., ..]))?;
        let map = responses[i].slice(s![.., .., channel]).insert_axis(Axis(0)).to_owned();
        let map = upsample(map.view(), SIDE, SIDE)?.index_axis_move(Axis(0), 0);
        pictures.push((
            format!("channel {channel}\n{} {:.2}", seen[i].name, mean(i, channel)),
            photograph.clone(),
        ));
        pictures.push(("its response\n ".to_owned(), heat(map.view())?.blend(&photograph, COVER)?));
        pictures.push((format!("what it wants\n{last:.2}"), picture(wanted.picture.view())?));
        found.push(format!(
            "channel {channel} reaches {:.2} on the {} and {last:.2} on the picture made for it",
            mean(i, channel),
            seen[i].name
        ));
    }
    let caption = format!(
        "Channels of {LAYER} that respond to one of the photographs more than to the others: {}. Grad-CAM says where the network looks for a \
         class in one photograph; a neuron's picture says what that neuron computes, whatever the class.",
        found.join("; "),
    );
    let title = format!("Neurons of {LAYER}");
    Ok((PictureGrid { title, columns: 3, enlarge: 1, bar: None, pictures }, caption))
}
