//! Pretrained bases, frozen, and their features of Fashion-MNIST.

use std::path::{Path, PathBuf};
use std::time::Instant;

use backstitch::prelude::*;
use backstitch::zoo;
use backstitch::{pretrained, pytorch, safetensors};
use backstitch_examples::trained::labels;
use backstitch_examples::{AnyError, Steps, fashion};
use ndarray::{Array2, Axis, s};

/// A network up to its head, and how it takes pictures.
#[derive(Clone)]
pub struct Base {
    pub name: String,
    /// The data that its weights were trained on; none for initial weights drawn at random.
    pub trained_on: Option<String>,
    pub preparation: Preparation,
    pub net: fn() -> Net,
    weights: Option<BaseWeights>,
}

/// A file of weights and how it is read.
#[derive(Clone)]
struct BaseWeights {
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

impl Preparation {
    /// Pictures as a base takes them, `[n, size, size, 3]`.
    pub fn of(self, set: &Dataset) -> Result<Dataset, AnyError> {
        fashion::in_colour(set, self.size, self.scale, self.means)
    }
}

impl BaseWeights {
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
        let (trained_on, preparation, net, weights): (&str, Preparation, Make, BaseWeights) = match name {
            "vgg16" => {
                let path = weights.map_or_else(|| fetched(&pretrained::VGG16), |path| Ok(path.to_owned()))?;
                let weights = BaseWeights::published(path, "conv*", zoo::vgg16_torchvision_name);
                ("ImageNet", TORCHVISION, || zoo::vgg16_features().push(global_avg_pool()), weights)
            }
            "vgg16-blocks12" => {
                let path = in_data("vgg16_blocks_1_2.safetensors")?;
                let weights = BaseWeights::published(path, "conv*", zoo::vgg16_torchvision_name);
                ("ImageNet", VGG, || zoo::vgg16_blocks12().push(max_pool(4)).push(flatten()), weights)
            }
            "squeezenet" => {
                let path = in_data("squeezenet1_0.safetensors")?;
                let weights = BaseWeights::published(path, "*", zoo::squeezenet_published_name);
                ("ImageNet", SQUEEZENET, || zoo::squeezenet_features().push(global_avg_pool()), weights)
            }
            file => {
                let weights = BaseWeights {
                    of_pytorch: false,
                    ..BaseWeights::published(file.into(), "*", str::to_owned)
                };
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

    /// The same network with random initial weights.
    pub fn untrained(&self) -> Self {
        Self { trained_on: None, weights: None, ..self.clone() }
    }

    /// The same network for pictures that are prepared otherwise.
    pub fn preparing(&self, preparation: Preparation) -> Self {
        Self { preparation, ..self.clone() }
    }

    /// The network with its weights, for pictures of the base's size.
    pub fn model(&self, seed: u64) -> Result<Model, AnyError> {
        let size = self.preparation.size;
        let mut model = Model::new((self.net)(), &[size, size, 3], seed)?;
        if let Some(BaseWeights { path, pattern, name_in_file, of_pytorch }) = &self.weights {
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
    let mut steps = Steps::bytes(format!("downloading {}", file.name), file.size)?;
    let path = pretrained::download(file, &mut |received| steps.set(received, file.size));
    drop(steps);
    path.map_err(|error| {
        format!(
            "{error}\nto download VGG16, run this example with --features download before --example; to do without, name \
             torchvision's file by --weights, or take --backbone vgg16-blocks12"
        )
        .into()
    })
}

/// The outputs of a frozen base for all pictures, `[n, width]`.
fn features(model: &FusedModel, set: &Dataset, to: Preparation) -> Result<Array2<f32>, AnyError> {
    let width = model.output_shape().elements();
    let mut x = Array2::zeros((set.len(), width));
    let mut steps = Steps::new("features", set.len())?;
    for chunk in (0..set.len()).collect::<Vec<_>>().chunks(256) {
        let y = model.predict(to.of(&set.subset(chunk)?)?.inputs()?.view())?;
        let rows = chunk[0]..chunk[0] + chunk.len();
        x.slice_mut(s![rows.clone(), ..]).assign(&y.into_shape_with_order((chunk.len(), width))?);
        steps.set(rows.end as u64, set.len() as u64);
    }
    Ok(x)
}

/// Features of some sets, and the seconds they took: each feature less its mean and divided by its deviation over the first set. All
/// features are there, so there is no need to follow their mean from batch to batch as batch normalization does.
pub fn standardized_features<const N: usize>(
    model: &FusedModel,
    sets: [&Dataset; N],
    to: Preparation,
) -> Result<([Dataset; N], f64), AnyError> {
    let start = Instant::now();
    let mut all = sets.iter().map(|set| features(model, set, to)).collect::<Result<Vec<_>, _>>()?;
    let train = all.first().ok_or("a set to train with")?;
    let mean = train.mean_axis(Axis(0)).ok_or("features of a picture")?;
    // A unit that is silent for every picture stays so.
    let deviation = train.std_axis(Axis(0), 0.0).mapv(|d| if d > 1e-6 { d } else { 1.0 });
    let mut found = Vec::new();
    for (x, set) in all.iter_mut().zip(sets) {
        *x -= &mean;
        *x /= &deviation;
        found.push(Dataset::classes(std::mem::take(x), &labels(set))?);
    }
    let found = found.try_into().map_err(|_| "features of every set")?;
    Ok((found, start.elapsed().as_secs_f64()))
}
