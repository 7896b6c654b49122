//! The networks that `class_visualization` looks into.

use std::path::Path;

use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch::zoo;
use backstitch::{Picture, PictureGrid};
use backstitch::{pytorch, safetensors};
use backstitch_examples::cnn_vs_fcnn::model4;
use backstitch_examples::fashion::{self, CLASSES};
use backstitch_examples::imagenet::{self, ImageNet};
use backstitch_examples::pictures::blue_green_red;
use backstitch_examples::trained::labels;
use backstitch_examples::{AnyError, Run, Score, Watch, epochs};
use ndarray::{Array, ArrayD, ArrayView3, Axis, stack};
use rand::Rng;

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
    /// LeNet-5 on Fashion-MNIST.
    pub fn lenet(run: &mut Run, weights: Option<&Path>) -> Result<Self, AnyError> {
        Self::garments(run, weights, "LeNet-5", zoo::lenet_fashion(10))
    }

    /// Model 4 of `cnn_vs_fcnn` on Fashion-MNIST.
    pub fn cnn4(run: &mut Run, weights: Option<&Path>) -> Result<Self, AnyError> {
        Self::garments(run, weights, "Model 4 of cnn_vs_fcnn", model4())
    }

    fn garments(run: &mut Run, weights: Option<&Path>, name: &str, net: Net) -> Result<Self, AnyError> {
        let sets = fashion::published(run, 0.1, 2_000)?;
        let model = Model::new(net, &[28, 28, 1], run.seed)?;
        Self::fitted(run, name, model, weights, &sets)
    }

    /// The first four convolutions of VGG16 with their ImageNet weights, frozen, and a new head, on Fashion-MNIST.
    pub fn vgg16(run: &mut Run, weights: Option<&Path>) -> Result<Self, AnyError> {
        let name = "VGG16's first four convolutions (ImageNet) with a new head";
        let [train, validation, test] = fashion::published(run, 0.1, 400)?;
        let sets = [train.take(FEW), validation.take(2_000), test.take(2_000)];
        let [train, validation, test] = sets.map(|set| fashion::in_colour(&set, 32, 1.0, VGG_MEANS));
        let sets = [train?, validation?, test?];
        // Its maps have numbers up to some thousands.
        let net =
            zoo::vgg16_blocks12().push(batch_norm()).push(flatten()).push(dense(64).relu()).push(dense(10));
        let mut model = Model::new(net, &[32, 32, 3], run.seed)?;
        if weights.is_none() {
            let folder = run
                .data_folder()
                .ok_or("--model vgg16: expected the folder of its weights by --data, got none")?;
            let file = folder.join("pretrained/vgg16_blocks_1_2.safetensors");
            pytorch::load_part(&file, &mut model, "conv*", zoo::vgg16_torchvision_name)?;
            model.freeze("conv*")?;
        }
        Ok(Self {
            range: (-123.0, 151.0),
            show: |x| blue_green_red(x, VGG_MEANS),
            bytes: |byte, channel| f32::from(byte) - VGG_MEANS[channel],
            ..Self::fitted(run, name, model, weights, &sets)?
        })
    }

    /// With the weights of a file, or trained.
    fn fitted(
        run: &Run,
        name: &str,
        mut model: Model,
        weights: Option<&Path>,
        [train, validation, test]: &[Dataset; 3],
    ) -> Result<Self, AnyError> {
        let how = if let Some(path) = weights {
            safetensors::load(path, &mut model)?;
            format!("with the weights of {}", path.display())
        } else {
            let mut watch = Watch::start(name)?;
            let history = Trainer::new(Adam::new(1e-3))
                .epochs(run.epochs)
                .batch_size(64)
                .seed(run.seed)
                .validation(validation)
                .callback(&mut watch)
                .fit(&mut model, train)?;
            model = watch.end(model, history)?.model;
            safetensors::save(run.out.join("weights.safetensors"), &model)?;
            format!("trained for {} on {} pictures", epochs(run.epochs), train.len())
        };
        // The first picture of each class.
        let labels = labels(test);
        let first = |class| labels.iter().position(|&label| label == class).unwrap_or(0);
        let chosen: Vec<usize> = (0..CLASSES.len()).map(first).collect();
        Ok(Self {
            classes: (0..CLASSES.len()).collect(),
            names: CLASSES.map(str::to_owned).to_vec(),
            pictures: test.subset(&chosen)?.inputs()?.view().to_owned(),
            range: (0.0, 1.0),
            show: |x| Ok(Picture::colour(x)?),
            about: format!("{name}, {how}: test accuracy {:.4}.", Score::of(&model, test)?.accuracy()),
            bytes: |byte, _| f32::from(byte) / 255.0,
            enlarge: 4,
            model,
        })
    }

    /// SqueezeNet trained on ImageNet, on photographs.
    pub fn squeezenet(run: &mut Run) -> Result<Self, AnyError> {
        let net = ImageNet::open(run)?;
        run.photographs(&net.photographs());
        let mut pictures = Vec::new();
        let shown = &imagenet::TEN[..if run.quick { 2 } else { imagenet::TEN.len() }];
        for (folder, _) in shown {
            pictures.push(net.photograph(folder)?);
        }
        let views: Vec<_> = pictures.iter().map(|picture| picture.view()).collect();
        Ok(Self {
            classes: shown.iter().map(|(_, class)| *class).collect(),
            names: shown.iter().map(|(_, class)| net.names[*class].clone()).collect(),
            pictures: stack(Axis(0), &views)?.into_dyn(),
            range: (-123.0, 151.0),
            show: |x| imagenet::picture(x),
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
