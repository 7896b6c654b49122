//! `grad_cam` on Fashion-MNIST: its pictures and numbers.

use backstitch::explain::{Cam, CamMaps, Goal, Maximizer, activations, grad_cam, upsample};
use backstitch::metrics::argmax_rows;
use backstitch::prelude::*;
use backstitch::{Picture, PictureGrid, Report};
use backstitch_examples::fashion::CLASSES;
use backstitch_examples::pictures::{COVER, heat, heat_bar};
use backstitch_examples::trained::{Column, labels, table};
use backstitch_examples::{AnyError, Steps};
use ndarray::{Array2, ArrayView2, ArrayViewD, Axis, s};
use serde_json::Value;

/// The convolutions that are looked at.
#[derive(Clone, Copy)]
pub struct Layers {
    pub early: &'static str,
    pub last: &'static str,
}

/// Some pictures with their maps for the predicted class.
pub struct Seen {
    layers: Layers,
    pictures: Vec<Array2<f32>>,
    labels: Vec<usize>,
    probabilities: Array2<f32>,
    /// The likeliest of each picture.
    classes: Vec<usize>,
    maps: [CamMaps<f32>; 2],
}

pub fn look(model: &Model, chosen: &Dataset, layers: Layers) -> Result<Seen, AnyError> {
    let inputs = chosen.inputs()?;
    let x = inputs.view();
    let probabilities = model.predict_proba(&x)?;
    let classes = argmax_rows(probabilities.view())?;
    let maps = [
        grad_cam(model, &x, &classes, layers.early, Cam::GradCam)?,
        grad_cam(model, &x, &classes, layers.last, Cam::GradCam)?,
    ];
    let pictures = (0..classes.len()).map(|i| picture(&x, i)).collect();
    Ok(Seen { layers, pictures, labels: labels(chosen), probabilities, classes, maps })
}

fn picture(x: &ArrayViewD<'_, f32>, i: usize) -> Array2<f32> {
    x.slice(s![i, .., .., 0]).to_owned().into_dimensionality().expect("a picture")
}

/// The share of a map's sum that lies on the garment (pixels that are not black).
fn on_garment(map: ArrayView2<'_, f32>, picture: &Array2<f32>) -> Option<f64> {
    let sum = f64::from(map.sum());
    let on: f64 =
        map.iter().zip(picture).filter(|(_, pixel)| **pixel > 0.0).map(|(v, _)| f64::from(*v)).sum();
    (sum > 0.0).then(|| on / sum)
}

impl Seen {
    /// A row a picture: itself, then map and overlay at both layers.
    pub fn grid(&self) -> Result<PictureGrid, AnyError> {
        let mut pictures = Vec::new();
        for (i, image) in self.pictures.iter().enumerate() {
            let class = self.classes[i];
            let grey = Picture::grey(image.view())?;
            let probability = self.probabilities[[i, class]];
            let names = format!("{}\n{} {probability:.2}", CLASSES[self.labels[i]], CLASSES[class]);
            pictures.push((names, grey.clone()));
            for (layer, maps) in [self.layers.early, self.layers.last].iter().zip(&self.maps) {
                let map = heat(maps.maps.index_axis(Axis(0), i))?;
                let empty = if maps.empty[i] { "empty" } else { " " };
                pictures.push((format!("{layer}\n{empty}"), map.clone()));
                pictures.push((format!("{layer}, over\n "), map.blend(&grey, COVER)?));
            }
        }
        let title = format!("Grad-CAM at {} and {}", self.layers.early, self.layers.last);
        Ok(PictureGrid { title, columns: 5, enlarge: 4, bar: heat_bar(), pictures })
    }

    pub fn caption(&self) -> String {
        format!(
            "Each row: the picture (true class; predicted class and its probability), Grad-CAM for the predicted class at {} and at {}, and \
             over the picture. Every map from 0 to its own largest value.",
            self.layers.early, self.layers.last
        )
    }

    /// A table of what was predicted, and of where the maps lie.
    pub fn table(&self, report: &mut Report) {
        let share = |layer: usize, i: usize| {
            let share = on_garment(self.maps[layer].maps.index_axis(Axis(0), i), &self.pictures[i]);
            share.map_or("empty map".to_owned(), |share| format!("{share:.2}"))
        };
        let probability = |i: usize, class: usize| format!("{:.3}", self.probabilities[[i, class]]);
        let columns: [Column<usize>; 6] = [
            ("class", &|&i| CLASSES[self.labels[i]].to_owned()),
            ("predicted", &|&i| CLASSES[self.classes[i]].to_owned()),
            ("probability", &|&i| probability(i, self.classes[i])),
            ("of the true class", &|&i| probability(i, self.labels[i])),
            ("early map on the garment", &|&i| share(0, i)),
            ("last map on the garment", &|&i| share(1, i)),
        ];
        table(report, "Where the maps lie, and what was predicted", 0..self.labels.len(), &columns);
    }

    /// Mean share of the maps of a layer that lies on the garment, empty ones left out.
    pub fn on_garment(&self, layer: usize) -> Option<f64> {
        let maps = self.maps[layer].maps.outer_iter().zip(&self.pictures);
        let shares: Vec<f64> = maps.filter_map(|(map, picture)| on_garment(map, picture)).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }

    /// Maps in which nothing speaks for the class.
    pub fn empty(&self) -> usize {
        self.maps.iter().flat_map(|maps| &maps.empty).filter(|empty| **empty).count()
    }
}

/// Neurons (channels) of a layer.
pub struct Neurons {
    pub grid: PictureGrid,
    layer: &'static str,
    /// For every channel shown: the means it reaches.
    found: Vec<String>,
}

/// Channels that are shown.
const CHANNELS: usize = 4;
/// Test pictures among which the strongest responses are searched.
const SEARCHED: usize = 1_000;

/// For the channels with the strongest responses: the picture each responds to most, and the picture it wants.
pub fn neurons(
    model: &Model,
    test: &Dataset,
    layer: &'static str,
    iterations: usize,
    seed: u64,
) -> Result<Neurons, AnyError> {
    let few = test.take(SEARCHED);
    let (inputs, classes) = (few.inputs()?, labels(&few));
    let maps = activations(model, inputs.view(), layer)?;
    let means =
        maps.mean_axis(Axis(1)).and_then(|m| m.mean_axis(Axis(1))).ok_or("maps that are not empty")?;
    let mut order: Vec<usize> = (0..means.ncols()).collect();
    // The picture to which each channel responds most.
    let strongest = argmax_rows(means.t())?;
    order.sort_by(|&a, &b| means[[strongest[b], b]].total_cmp(&means[[strongest[a], a]]));
    let maximizer =
        Maximizer::new(iterations, 0.03)?.decay(0.005)?.blur(0.5, 4)?.jitter(1).range(0.0, 1.0)?.seed(seed);
    let start = maximizer.noise(model, 0.3, 0.1)?;
    let (mut pictures, mut found) = (Vec::new(), Vec::new());
    let mut steps = Steps::new("pictures for neurons", CHANNELS)?;
    for &channel in order.iter().take(CHANNELS) {
        let best = strongest[channel];
        let goal = Goal::Filter { layer: layer.to_owned(), channel };
        let wanted = maximizer.run(model, &goal, start.view())?;
        steps.add();
        let last = wanted.responses.last().copied().unwrap_or_default();
        let title =
            format!("{layer}, channel {channel}\n{} {:.2}", CLASSES[classes[best]], means[[best, channel]]);
        pictures.push((title, Picture::grey(picture(&inputs.view(), best).view())?));
        let map = upsample(maps.slice(s![best..=best, .., .., channel]), 28, 28)?;
        pictures.push(("its response\n ".to_owned(), heat(map.index_axis(Axis(0), 0))?));
        pictures.push((
            format!("what it wants\n{last:.2}"),
            Picture::grey(wanted.picture.index_axis(Axis(2), 0))?,
        ));
        found.push(format!(
            "channel {channel} reaches {:.2} on a {} and {last:.2} on the picture it wants",
            means[[best, channel]],
            CLASSES[classes[best]]
        ));
    }
    let title = format!("Neurons of {layer}");
    Ok(Neurons { grid: PictureGrid { title, columns: 3, enlarge: 5, bar: None, pictures }, layer, found })
}

impl Neurons {
    pub fn caption(&self) -> String {
        format!(
            "The {} channels of {} that respond most strongly to any of {SEARCHED} test pictures: that picture with the channel's mean, the channel's map, and a picture \
             made by gradient ascent from noise (decay, blur, jitter) with the mean it reaches.",
            self.found.len(),
            self.layer
        )
    }

    /// What the one view shows and the other does not, in this run's numbers.
    pub fn compared(&self, runs: &[Value]) -> String {
        let share = |run: usize| {
            let share = runs.get(run).and_then(|run| run["on_garment_last"].as_f64());
            share.map_or("no map".to_owned(), |share| format!("{:.0} per cent", 100.0 * share))
        };
        format!(
            "Grad-CAM answers where, for one picture and one class: at the last convolution {} of the map lies on the garment for right predictions and {} for wrong ones. A \
             single neuron answers what, for all pictures and no class: {}. A made picture can excite a neuron more than any garment does; \
             it says what the neuron computes, not what the network used for a decision.",
            share(0),
            share(1),
            self.found.join("; "),
        )
    }
}
