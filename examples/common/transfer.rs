//! Pretrained bases, frozen, and what they make of Fashion-MNIST.

use std::path::{Path, PathBuf};
use std::time::Instant;

use backstitch::core::zoo;
use backstitch::io::fashion_mnist::FashionMnist;
use backstitch::io::{images as pictures, pretrained, pytorch, safetensors};
use backstitch::prelude::*;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{Array2, Array3, Array4, ArrayD, Axis, s};

use super::callbacks::{Interrupt, TimeLimit};
use super::images::{self, Maps};
use super::transfer_report::Entry;
use super::{AnyError, Run};

/// A network up to its head, and how it takes pictures.
#[derive(Clone)]
pub struct Base {
    pub name: String,
    /// What made its weights; none for first weights drawn by chance.
    pub trained_on: Option<String>,
    pub preparation: Preparation,
    net: fn() -> Net,
    weights: Option<Weights>,
}

/// A file of weights and how it is read.
#[derive(Clone)]
struct Weights {
    path: PathBuf,
    pattern: &'static str,
    name_in_file: fn(&str) -> String,
    of_pytorch: bool,
}

/// How 28x28 grey pictures become what a base takes: resized, in three channels, each multiplied, then less its mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preparation {
    pub size: usize,
    pub scale: f32,
    pub means: [f32; 3],
    pub what: &'static str,
}

/// ImageNet's means and deviations, as torchvision takes them: equal for grey pictures up to the channel.
const TORCHVISION: Preparation = Preparation {
    size: 32,
    scale: 1.0 / (255.0 * 0.226),
    means: [2.15, 2.02, 1.80],
    what: "ImageNet's means and deviations",
};

/// As the authors of VGG16 and of SqueezeNet trained them: 0 to 255, less the means.
const VGG: Preparation = Preparation {
    size: 32,
    scale: 1.0,
    means: [103.939, 116.779, 123.68],
    what: "0 to 255 less ImageNet's means",
};
const SQUEEZENET: Preparation = Preparation { means: [104.0, 117.0, 123.0], ..VGG };

impl Weights {
    /// Of the parameters that match a pattern, in a file in PyTorch's layout with these names.
    fn published(path: PathBuf, pattern: &'static str, name_in_file: fn(&str) -> String) -> Self {
        Self { path, pattern, name_in_file, of_pytorch: true }
    }
}

impl Base {
    /// By name: `vgg16` (torchvision's file, named or fetched), `vgg16-blocks12` and `squeezenet` (in the folder of data sets), or a
    /// file of the example pretrain_vgg16.
    pub fn named(
        name: &str,
        size: usize,
        weights: Option<&Path>,
        data: Option<&Path>,
    ) -> Result<Self, AnyError> {
        let in_data = |file: &str| {
            let wanted =
                || format!("--backbone {name}: expected the folder of its weights by --data, got none");
            Ok::<_, AnyError>(data.ok_or_else(wanted)?.join("pretrained").join(file))
        };
        type Make = fn() -> Net;
        let (trained_on, preparation, net, weights): (&str, Preparation, Make, Weights) = match name {
            "vgg16" => {
                let path = weights.map_or_else(|| fetched(&pretrained::VGG16), |path| Ok(path.to_owned()))?;
                let weights = Weights::published(path, "conv*", zoo::vgg16_torchvision_name);
                ("ImageNet", TORCHVISION, || zoo::vgg16_features().push(global_avg_pool()), weights)
            }
            "vgg16-blocks12" => {
                let path = in_data("vgg16_blocks_1_2.safetensors")?;
                let weights = Weights::published(path, "conv*", zoo::vgg16_torchvision_name);
                ("ImageNet", VGG, || zoo::vgg16_blocks12().push(max_pool(4)).push(flatten()), weights)
            }
            "squeezenet" => {
                let path = in_data("squeezenet1_0.safetensors")?;
                let weights = Weights::published(path, "*", zoo::squeezenet_published_name);
                ("ImageNet", SQUEEZENET, || zoo::squeezenet_features().push(global_avg_pool()), weights)
            }
            file => {
                let weights =
                    Weights { of_pytorch: false, ..Weights::published(file.into(), "*", str::to_owned) };
                let net: Make = || zoo::vgg16_batch_norm_features().push(global_avg_pool());
                ("the 101 classes of photographs", TORCHVISION, net, weights)
            }
        };
        Ok(Self {
            name: name.to_owned(),
            trained_on: Some(trained_on.to_owned()),
            preparation: Preparation { size, ..preparation },
            net,
            weights: Some(weights),
        })
    }

    /// The same network with its first weights, by chance.
    pub fn untrained(&self) -> Self {
        Self { trained_on: None, weights: None, ..self.clone() }
    }

    /// The network with its weights, for pictures of the base's size.
    pub fn model(&self, seed: u64) -> Result<Model, AnyError> {
        let size = self.preparation.size;
        let mut model = Model::new((self.net)(), &[size, size, 3], seed)?;
        if let Some(Weights { path, pattern, name_in_file, of_pytorch }) = &self.weights {
            if *of_pytorch {
                pytorch::load_part(path, &mut model, pattern, name_in_file)?;
            } else {
                // The file has a head too.
                let mut state = safetensors::read(path)?;
                let base = model.names("*");
                state.retain(|name, _| base.contains(name));
                model.load_state(&state).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        Ok(model)
    }
}

/// Published weights, from the cache or the network.
fn fetched(file: &pretrained::Published) -> Result<PathBuf, AnyError> {
    let bar = ProgressBar::new(file.size)
        .with_style(ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} {eta}")?)
        .with_message(file.name);
    let path = pretrained::into_cache(file, &mut |received| bar.set_position(received));
    bar.finish_and_clear();
    path.map_err(|error| {
        format!("{error}\nwithout a network, name torchvision's file by --weights, or take --backbone vgg16-blocks12").into()
    })
}

/// Our own fully connected layers, on numbers of about mean 0 and deviation 1.
pub fn head(net: Net) -> Net {
    net.push(dense(256).relu()).push(dropout(0.5)).push(dense(10))
}

/// Pictures as a base takes them.
pub fn prepared(data: &FashionMnist, indices: &[usize], to: Preparation) -> Result<Maps, AnyError> {
    let (rows, labels) = data.rows(indices);
    let mut x = Array4::zeros((indices.len(), to.size, to.size, 3));
    for (row, mut map) in rows.outer_iter().zip(x.outer_iter_mut()) {
        let grey = Array3::from_shape_fn((28, 28, 3), |(i, j, _)| (row[28 * i + j] * 255.0).round() as u8);
        let large = pictures::resize(grey.view(), to.size, to.size)?;
        map.assign(&Array3::from_shape_fn(large.dim(), |at| {
            f32::from(large[at]) * to.scale - to.means[at.2]
        }));
    }
    Ok(Maps { x: x.into_dyn(), labels })
}

/// What a frozen base makes of pictures, once, and the seconds it took.
pub struct Features {
    pub maps: Maps,
    pub seconds: f64,
}

impl Features {
    fn of(
        model: &FusedModel,
        data: &FashionMnist,
        indices: &[usize],
        to: Preparation,
    ) -> Result<Self, AnyError> {
        let start = Instant::now();
        let width = model.output_shape().elements();
        let mut x = Array2::zeros((indices.len(), width));
        let bar = ProgressBar::new(indices.len() as u64)
            .with_style(ProgressStyle::with_template("features {bar:30} {pos}/{len}")?);
        for (i, chunk) in indices.chunks(256).enumerate() {
            let y: ArrayD<f32> = model.predict(&prepared(data, chunk, to)?.x.view())?;
            x.slice_mut(s![i * 256..i * 256 + chunk.len(), ..])
                .assign(&y.into_shape_with_order((chunk.len(), width))?);
            bar.set_position((i * 256 + chunk.len()) as u64);
        }
        bar.finish_and_clear();
        let (_, labels) = data.rows(indices);
        Ok(Self { maps: Maps { x: x.into_dyn(), labels }, seconds: start.elapsed().as_secs_f64() })
    }

    /// Of every part, each feature less its mean and divided by its deviation over the first part. All features are
    /// there, so there is no need to follow their mean from batch to batch as batch normalization does.
    pub fn standardized(
        model: &FusedModel,
        data: &FashionMnist,
        parts: &[&[usize]],
        to: Preparation,
    ) -> Result<Vec<Self>, AnyError> {
        let mut all =
            parts.iter().map(|part| Self::of(model, data, part, to)).collect::<Result<Vec<_>, _>>()?;
        let train = &all.first().ok_or("a part to train on")?.maps.x;
        let mean = train.mean_axis(Axis(0)).ok_or("features of a picture")?;
        // A unit that is silent for every picture stays so.
        let deviation = train.std_axis(Axis(0), 0.0).mapv(|d| if d > 1e-6 { d } else { 1.0 });
        for part in &mut all {
            part.maps.x -= &mean;
            part.maps.x /= &deviation;
        }
        Ok(all)
    }
}

/// Pictures to train with in the comparison of preparations.
const FEW: usize = 6_000;

/// Validation accuracy on part of the data, in other sizes and with another normalization: name and accuracy.
pub fn ablate(
    run: &Run,
    base: &Base,
    data: &FashionMnist,
    parts: &[Vec<usize>],
    interrupt: &Interrupt,
) -> Result<Vec<(String, f64)>, AnyError> {
    let own = base.preparation;
    let bare = Preparation { scale: 1.0 / 255.0, means: [0.0; 3], what: "0 to 1, no means", ..own };
    let sizes = [own.size, own.size * 3 / 2, own.size * 2].map(|size| Preparation { size, ..own });
    let mut found = Vec::new();
    for preparation in sizes.into_iter().chain([bare]) {
        let base = Base { preparation, ..base.clone() };
        let model = base.model(run.flags.seed)?.fuse();
        let few = |part: usize, most: usize| &parts[part][..parts[part].len().min(most)];
        let chosen = [few(0, FEW), few(1, FEW / 3)];
        let features = Features::standardized(&model, data, &chosen, preparation)?;
        let name = format!("{0}x{0}, {1}", preparation.size, preparation.what);
        let trainer = run.trainer(Adam::new(1e-3), 128);
        let net = head(Net::new());
        let with = (&features[0].maps, Some(&features[1].maps));
        let trained = images::train(&name, net, trainer, with, interrupt, run.flags.seed)?;
        found.extend(
            trained.and_then(|t| t.last()?.get("validation_accuracy")).map(|accuracy| (name, accuracy)),
        );
    }
    Ok(found)
}

/// Pictures of a network that is trained from scratch, at most.
const SCRATCH: usize = 16_000;

/// The whole network with a new head, trained from its first weights for so many seconds, as it was after its best epoch.
pub fn scratch(
    run: &Run,
    base: &Base,
    data: &FashionMnist,
    parts: &[Vec<usize>],
    seconds: f64,
    interrupt: &Interrupt,
) -> Result<Option<Entry>, AnyError> {
    let few = |part: usize, most: usize| {
        prepared(data, &parts[part][..parts[part].len().min(most)], base.preparation)
    };
    let (train, validation, test) = (few(0, SCRATCH)?, few(1, 2_000)?, few(2, 10_000)?);
    let model = Model::new(head((base.net)().push(batch_norm())), &train.x.shape()[1..], run.flags.seed)?;
    // The time ends in the middle of an epoch, and at Adam's 0.001 single steps can still spoil the network: the best epoch counts.
    let trainer =
        run.trainer(Adam::new(1e-3), 32).early_stopping(run.epochs).callback(TimeLimit::new(seconds));
    let (name, with) = ("from scratch, in the same time", (&train, Some(&validation)));
    let trained = images::train_model(name, model, trainer, with, interrupt)?;
    trained.map(|trained| Ok(Entry { score: trained.score(&test)?, trained, seconds: 0.0 })).transpose()
}
