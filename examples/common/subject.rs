//! The networks that `class_visualization` looks into.

use std::path::Path;

use backstitch::core::rng::{Purpose, stream};
use backstitch::core::zoo;
use backstitch::io::{images as image_files, pytorch, safetensors};
use backstitch::plot::{Picture, PictureGrid};
use backstitch::prelude::*;
use ndarray::{Array, Array3, ArrayD, ArrayView3, Axis, stack};
use rand::Rng;

use super::callbacks::Interrupt;
use super::imagenet::{self, ImageNet};
use super::images::{self, CLASSES, Maps};
use super::{AnyError, Run, seeing};

/// A network with ten of its classes, and a picture of each as the network takes it.
pub struct Subject {
    pub model: Model,
    pub classes: Vec<usize>,
    pub names: Vec<String>,
    pub pictures: ArrayD<f32>,
    /// The numbers that a pixel has.
    pub range: (f64, f64),
    /// How an input is shown.
    pub show: fn(ArrayView3<'_, f32>) -> Result<Picture, AnyError>,
    /// What it is and how it was trained.
    pub about: String,
    /// What 0 and 255 are for the network, in each channel.
    bytes: fn(u8, usize) -> f32,
    enlarge: usize,
}

/// Training pictures of VGG16's head.
const FEW: usize = 20_000;
/// What VGG16's published weights take off blue, green and red.
const VGG_MEANS: [f32; 3] = [103.939, 116.779, 123.68];

impl Subject {
    /// LeNet-5 on Fashion-MNIST. `None` where Ctrl-C was pressed.
    pub fn lenet(run: &mut Run, weights: Option<&Path>) -> Result<Option<Self>, AnyError> {
        Self::garments(run, weights, "LeNet-5", zoo::lenet_fashion(10))
    }

    /// Model 4 of `cnn_vs_fcnn` on Fashion-MNIST.
    pub fn cnn4(run: &mut Run, weights: Option<&Path>) -> Result<Option<Self>, AnyError> {
        Self::garments(run, weights, "Model 4 of cnn_vs_fcnn", zoo::model4())
    }

    fn garments(
        run: &mut Run,
        weights: Option<&Path>,
        name: &str,
        net: Net,
    ) -> Result<Option<Self>, AnyError> {
        let data = run.fashion_mnist()?;
        let parts = images::parts(run, &data, 0.1, 2_000)?;
        let model = Model::new(net, &[28, 28, 1], run.flags.seed)?;
        let Some(model) = trained(run, name, model, weights, &parts)? else { return Ok(None) };
        Ok(Some(Self {
            classes: (0..CLASSES.len()).collect(),
            names: CLASSES.map(str::to_owned).to_vec(),
            pictures: one_of_each(&parts[2]),
            range: (0.0, 1.0),
            show: |x| Ok(Picture::colour(x)?),
            about: about(run, name, &model, &parts, weights)?,
            bytes: |byte, _| f32::from(byte) / 255.0,
            enlarge: 4,
            model,
        }))
    }

    /// The first four convolutions of VGG16 with their ImageNet weights, frozen, and a new head, on Fashion-MNIST.
    pub fn vgg16(run: &mut Run, weights: Option<&Path>) -> Result<Option<Self>, AnyError> {
        let name = "VGG16's first four convolutions (ImageNet) with a new head";
        let data = run.fashion_mnist()?;
        let parts = images::parts(run, &data, 0.1, 400)?;
        let parts = [parts[0].first(FEW), parts[1].first(2_000), parts[2].first(2_000)]
            .map(|part| blue_green_red(&part));
        let [train, validation, test] = parts;
        let parts = [train?, validation?, test?];
        // Its maps have numbers up to some thousands.
        let net =
            zoo::vgg16_blocks12().push(batch_norm()).push(flatten()).push(dense(64).relu()).push(dense(10));
        let mut model = Model::new(net, &[32, 32, 3], run.flags.seed)?;
        if weights.is_none() {
            let folder = run
                .data_folder()
                .ok_or("--model vgg16: expected the folder of its weights by --data, got none")?;
            let file = folder.join("pretrained/vgg16_blocks_1_2.safetensors");
            pytorch::load_part(&file, &mut model, "conv*", zoo::vgg16_torchvision_name)?;
            model.freeze("conv*")?;
        }
        let Some(model) = trained(run, name, model, weights, &parts)? else { return Ok(None) };
        Ok(Some(Self {
            classes: (0..CLASSES.len()).collect(),
            names: CLASSES.map(str::to_owned).to_vec(),
            pictures: one_of_each(&parts[2]),
            range: (-123.0, 151.0),
            show: |x| seeing::blue_green_red(x, VGG_MEANS),
            about: about(run, name, &model, &parts, weights)?,
            bytes: |byte, channel| f32::from(byte) - VGG_MEANS[channel],
            enlarge: 4,
            model,
        }))
    }

    /// SqueezeNet trained on ImageNet, on photographs.
    pub fn squeezenet(run: &mut Run) -> Result<Self, AnyError> {
        let net = ImageNet::open(run)?;
        run.photographs(&net.photographs());
        let mut pictures = Vec::new();
        let shown = &imagenet::TEN[..if run.flags.quick { 2 } else { imagenet::TEN.len() }];
        for (folder, _) in shown {
            pictures.push(net.photograph(folder)?);
        }
        let views: Vec<_> = pictures.iter().map(|picture| picture.view()).collect();
        Ok(Self {
            classes: shown.iter().map(|(_, class)| *class).collect(),
            names: shown.iter().map(|(_, class)| net.names[*class].clone()).collect(),
            pictures: stack(Axis(0), &views)?.into_dyn(),
            range: (-123.0, 151.0),
            show: |x| seeing::blue_green_red(x, imagenet::MEANS),
            about: "SqueezeNet v1.0 with its published ImageNet weights, not trained here.".to_owned(),
            bytes: |byte, channel| f32::from(byte) - imagenet::MEANS[channel],
            enlarge: 1,
            model: net.model,
        })
    }

    /// The i-th picture, to be shown.
    pub fn picture(&self, i: usize) -> Result<Picture, AnyError> {
        (self.show)(self.pictures.index_axis(Axis(0), i).into_dimensionality()?)
    }

    /// A batch of one picture of random integers from 0 to 255.
    pub fn random_integers(&self, seed: u64) -> ArrayD<f32> {
        let mut rng = stream(seed, Purpose::Sample, 0, 0);
        let [height, width, channels] = *self.model.input_shape() else {
            unreachable!("all of them take maps")
        };
        let pixel = |(_, _, _, channel)| (self.bytes)(rng.random(), channel);
        Array::from_shape_fn((1, height, width, channels), pixel).into_dyn()
    }

    /// Pictures as large as it suits this network.
    pub fn grid(&self, title: &str, columns: usize, pictures: Vec<(String, Picture)>) -> PictureGrid {
        PictureGrid { title: title.to_owned(), columns, enlarge: self.enlarge, bar: None, pictures }
    }
}

/// With the weights of a file, or trained.
fn trained(
    run: &Run,
    name: &str,
    mut model: Model,
    weights: Option<&Path>,
    parts: &[Maps; 3],
) -> Result<Option<Model>, AnyError> {
    if let Some(path) = weights {
        safetensors::load(path, &mut model)?;
        return Ok(Some(model));
    }
    let (trainer, interrupt) = (run.trainer(Adam::new(1e-3), 64), Interrupt::install()?);
    let with = (&parts[0], Some(&parts[1]));
    let trained = images::train_model(name, model, trainer, with, &interrupt)?;
    if let Some(trained) = &trained {
        safetensors::save(&run.out.join("weights.safetensors"), &trained.model)?;
    }
    Ok(trained.map(|trained| trained.model))
}

fn about(
    run: &Run,
    name: &str,
    model: &Model,
    parts: &[Maps; 3],
    weights: Option<&Path>,
) -> Result<String, AnyError> {
    let accuracy = images::Score::of(model, &parts[2])?.matrix.accuracy();
    let how = match weights {
        Some(path) => format!("with the weights of {}", path.display()),
        None => format!("trained for {} epochs on {} pictures", run.epochs, parts[0].labels.len()),
    };
    Ok(format!("{name}, {how}: test accuracy {accuracy:.4}."))
}

/// The first picture of each class.
fn one_of_each(part: &Maps) -> ArrayD<f32> {
    let first = |class| part.labels.iter().position(|&label| label == class).unwrap_or(0);
    let chosen: Vec<usize> = (0..CLASSES.len()).map(first).collect();
    part.chosen(&chosen).x
}

/// Garments as VGG16 takes pictures: 32x32, three equal channels from 0 to 255, less the means.
fn blue_green_red(part: &Maps) -> Result<Maps, AnyError> {
    let mut x = Array::zeros((part.labels.len(), 32, 32, 3));
    for (from, mut to) in part.x.outer_iter().zip(x.outer_iter_mut()) {
        let from: ArrayView3<'_, f32> = from.into_dimensionality()?;
        let grey = Array3::from_shape_fn((28, 28, 3), |(i, j, _)| (from[[i, j, 0]] * 255.0) as u8);
        let large = image_files::resize(grey.view(), 32, 32)?;
        to.assign(&Array3::from_shape_fn((32, 32, 3), |(i, j, c)| {
            f32::from(large[[i, j, c]]) - VGG_MEANS[c]
        }));
    }
    Ok(Maps { x: x.into_dyn(), labels: part.labels.clone() })
}
