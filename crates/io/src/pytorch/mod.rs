//! Weights of PyTorch: files by `torch.save` (`.pth`), and safetensors.

pub(crate) mod archive;
mod file;
pub(crate) mod layout;
mod names;
pub(crate) mod orders;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use backstitch_core::{Model, Scalar, Tensor};
use serde_json::Map;

use crate::atomic;
use crate::error::Error;
use crate::safetensors::file::{TensorEntry, out_of_range, shape_of, write};
use file::WeightsFile;
use layout::{TensorOrder, shape_here};
pub use names::recurrent_name;
use orders::layouts;

/// Loads a file in PyTorch's layout into a model: safetensors, or a file of `torch.save(model.state_dict(), path)`. The first
/// bytes show which. No code in the file is run. `name_in_file` gets the name of a parameter or buffer of the model, and returns
/// its name in the file.
///
/// Kernels `[filters, channels, height, width]` become `[height, width, channels, filters]`, and dense weights `[outputs,
/// inputs]` become `[inputs, outputs]`. After a flatten, features get the order of channels last, through the whole network:
/// dense layers, batch normalizations, blocks and branches. (The output of a network that ends in a flatten keeps our order.)
/// Names of recurrent layers are made by [`recurrent_name`]. Counters of batches (`num_batches_tracked`) are skipped. `f16`, `bf16`, `f32` and `f64` are converted; NaN and infinite
/// numbers are loaded as they are.
///
/// If all names in the file have a common prefix made of `state_dict`, `model_state_dict`, `model`, `module` (`DataParallel`) and
/// `_orig_mod` (`torch.compile`), the prefix is removed. If the file holds a dictionary under one of the first three, the other
/// tensors, such as those of an optimizer, are skipped.
///
/// Names, shapes, types and all numbers are checked before anything is changed. Then one tensor after the other is read again
/// into its place, so a file of 528 MB takes little more memory than the model and its largest tensor.
///
/// # Errors
/// If the file has neither of the two formats, was written by this library, or is damaged. If names, shapes or types of numbers
/// are not those of the model (the message shows which). If the order of features of a layer is not known, for example after a
/// layer of your own after a flatten. If a number is too large for the model's type. In all cases nothing is changed.
pub fn load<F: Scalar>(
    path: impl AsRef<Path>,
    model: &mut Model<F>,
    name_in_file: impl Fn(&str) -> String,
) -> Result<(), Error> {
    let path = path.as_ref();
    place(path, model, "*", &name_in_file, true).map(drop)
}

/// As [`load`], for the parameters and buffers whose names match a pattern, such as those of a pretrained base under a new head.
/// The file may hold a whole network. Returns the names in the file that were not used.
///
/// # Errors
/// As [`load`], except that names that only the file has are no error. Also if no name of the model matches.
pub fn load_part<F: Scalar>(
    path: impl AsRef<Path>,
    model: &mut Model<F>,
    pattern: &str,
    name_in_file: impl Fn(&str) -> String,
) -> Result<Vec<String>, Error> {
    let path = path.as_ref();
    place(path, model, pattern, &name_in_file, false)
}

/// Reads the tensors of a file with the names, shapes and order that the file has: for weights that are stored in another order than
/// those of PyTorch's own modules, such as the published ones of GPT-2, whose dense weights are `[inputs, outputs]`. [`load`] is for the others.
///
/// ```no_run
/// use backstitch::{Model, pytorch, zoo::Gpt};
/// let mut gpt: Model = Model::new(Gpt::gpt2().net(), &[1024], 0)?;
/// let mut state = pytorch::read("model.safetensors")?;
/// // The causal masks, which attention knows.
/// state.retain(|name, _| !name.ends_with(".attn.bias"));
/// gpt.load_state(&state)?;
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// If the file has neither of the two formats of [`load`], was written by this library, or is damaged; if a tensor is not of floating-point numbers, or a
/// number is too large for the type.
pub fn read<F: Scalar>(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor<F>>, Error> {
    let path = path.as_ref();
    let file = WeightsFile::open(path)?;
    let mut tensors = BTreeMap::new();
    for (name, shape) in file.shapes() {
        file.check_kind(&name)?;
        check_numbers::<F>(path, &file, &name)?;
        let shape = shape_of(path, &name, &shape)?;
        let mut tensor = Tensor::zeros(&shape).map_err(Error::model(path))?;
        let mut places = tensor.data_mut().iter_mut();
        file.read(&name, &mut |value| {
            if let Some(place) = places.next() {
                *place = F::from_f64(value);
            }
        })?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// Saves a model as a safetensors file in PyTorch's order and layout, the opposite of [`load`]. `name_in_file` returns PyTorch's
/// name of a parameter or buffer. In Python: `net.load_state_dict(safetensors.torch.load_file(path))`. Counters of batches are
/// not written; PyTorch does not need them in such a file.
///
/// ```
/// use backstitch::{Activation, Model, Net, layers::{conv2d, dense, flatten}};
/// use backstitch::pytorch;
/// let net = || {
///     let conv = conv2d(2, 3).relu();
///     Net::new().named("0", conv).named("2", flatten()).named("3", dense(5))
/// };
/// let model: Model = Model::new(net(), &[4, 5, 1], 1)?;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("net.safetensors");
/// pytorch::save(&path, &model, str::to_owned)?;
/// let mut other: Model = Model::new(net(), &[4, 5, 1], 2)?;
/// pytorch::load(&path, &mut other, str::to_owned)?;
/// assert_eq!(other.state(), model.state());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file cannot be written, two parameters would get the same name, or the order of features of a layer is not known.
pub fn save<F: Scalar>(
    path: impl AsRef<Path>,
    model: &Model<F>,
    name_in_file: impl Fn(&str) -> String,
) -> Result<(), Error> {
    let path = path.as_ref();
    let layouts = layouts(model);
    let mut known = BTreeSet::new();
    let mut entries = Vec::new();
    for (name, tensor) in model.state() {
        let layout = layout_of(path, &layouts, name)?;
        let theirs = name_in_file(name);
        if theirs == "__metadata__" || !known.insert(theirs.clone()) {
            return Err(Error::content(
                path,
                "a different name for every tensor",
                format!("{theirs:?} for {name}"),
            ));
        }
        let number = |i| tensor.data()[layout.place(i)].as_f64();
        let (shape, double) = (layout.shape_there(), size_of::<F>() == 8);
        entries.push(TensorEntry { name: theirs, shape, double, number: Box::new(number) });
    }
    let texts = Map::from_iter([("format".to_owned(), "pt".into())]);
    atomic::write(path, |to| write(to, &texts, &entries))
}

fn layout_of<'a>(
    path: &Path,
    layouts: &'a BTreeMap<String, Result<TensorOrder, String>>,
    name: &str,
) -> Result<&'a TensorOrder, Error> {
    let why = match layouts.get(name) {
        Some(Ok(layout)) => return Ok(layout),
        Some(Err(why)) => why,
        None => "no layer shows it",
    };
    Err(Error::content(path, format!("a known order of the features of {name}"), why))
}

fn place<F: Scalar>(
    path: &Path,
    model: &mut Model<F>,
    pattern: &str,
    name_in_file: &dyn Fn(&str) -> String,
    whole: bool,
) -> Result<Vec<String>, Error> {
    let file = WeightsFile::open(path)?;
    let mut there = file.shapes();
    there.retain(|name, _| !name.ends_with("num_batches_tracked"));
    let mut theirs: BTreeMap<String, String> =
        model.names(pattern).into_iter().map(|name| (name.clone(), name_in_file(&name))).collect();
    let beginning = names::beginning(path, &there, &theirs)?;
    theirs.values_mut().for_each(|name| name.insert_str(0, &beginning));
    if names::is_dictionary(&beginning) {
        there.retain(|name, _| name.starts_with(&beginning));
    }
    // One name in the file may stand for several tensors of the model, if their weights are tied in PyTorch.
    theirs.retain(|_, name| there.contains_key(name));
    let taken: BTreeSet<&String> = theirs.values().collect();
    let (layouts, mut shapes) = (layouts(model), BTreeMap::new());
    for (name, there) in theirs.iter().map(|(name, theirs)| (name, &there[theirs])) {
        let here = match layouts.get(name) {
            Some(Ok(layout)) => layout.shape_here(there),
            _ => shape_here(there),
        };
        shapes.insert(name.clone(), shape_of(path, &theirs[name], &here)?);
    }
    if whole {
        // The remaining names are not in the model: the message lists them.
        for (name, shape) in there.iter().filter(|(name, _)| !taken.contains(name)) {
            shapes.insert(name.clone(), shape_of(path, name, shape)?);
        }
    }
    model.check_part(pattern, &shapes).map_err(Error::model(path))?;
    theirs.values().try_for_each(|theirs| file.check_kind(theirs))?;
    for (name, theirs) in &theirs {
        layout_of(path, &layouts, name)?;
        check_numbers::<F>(path, &file, theirs)?;
    }
    let mut result = Ok(());
    for mut slot in model.slots_mut() {
        let Some(theirs) = theirs.get(slot.name()) else { continue };
        let Some(Ok(layout)) = layouts.get(slot.name()) else { continue };
        let (values, mut i) = (slot.data_mut(), 0);
        let read = file.read(theirs, &mut |value| {
            values[layout.place(i)] = F::from_f64(value);
            i += 1;
        });
        if result.is_ok() {
            result = read;
        }
    }
    result.map(|()| there.keys().filter(|name| !taken.contains(name)).cloned().collect())
}

/// Reads a tensor to its end, so that a file that cannot be read changes nothing.
fn check_numbers<F: Scalar>(path: &Path, file: &WeightsFile, name: &str) -> Result<(), Error> {
    let mut too_large = None;
    file.read(name, &mut |value| {
        if value.is_finite() && !F::from_f64(value).as_f64().is_finite() {
            too_large = Some(value);
        }
    })?;
    too_large.map_or(Ok(()), |value| Err(out_of_range::<F>(path, name, value)))
}

#[cfg(test)]
mod tests {
    use backstitch_core::Net;
    use backstitch_core::layers::{conv1d, conv2d, dense, depthwise_conv2d, flatten, transposed_conv2d};
    use ndarray::IxDyn;

    use super::*;

    fn model(filters: usize) -> Model<f64> {
        let net = Net::new().push(conv2d(filters, [2, 3])).push(flatten()).push(dense(2));
        Model::new(net, &[2, 3, 4], 1).unwrap()
    }

    /// The model's own values in PyTorch's layout, under other names.
    fn write(path: &Path, model: &Model<f64>) {
        use ::safetensors::tensor::{Dtype, TensorView, serialize};
        let turned: Vec<(String, Vec<usize>, Vec<u8>)> = model
            .state()
            .into_iter()
            .map(|(name, tensor)| {
                let array = tensor.to_array();
                let array = match array.ndim() {
                    4 => array.permuted_axes(IxDyn(&[3, 2, 0, 1])),
                    3 => array.permuted_axes(IxDyn(&[2, 1, 0])),
                    2 => array.permuted_axes(IxDyn(&[1, 0])),
                    _ => array,
                };
                let bytes = array.iter().flat_map(|v| v.to_le_bytes()).collect();
                (format!("net.{name}"), array.shape().to_vec(), bytes)
            })
            .collect();
        let views = turned
            .iter()
            .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F64, shape.clone(), bytes).unwrap()));
        std::fs::write(path, serialize(views, None).unwrap()).unwrap();
    }

    #[test]
    fn kernels_of_all_convolutions_are_turned() {
        let maps = || {
            let grouped = conv2d(4, [3, 2]).groups(2);
            Net::new()
                .push(depthwise_conv2d(3).multiplier(2))
                .push(grouped)
                .push(transposed_conv2d(3, [2, 3]))
        };
        let steps = || Net::new().push(conv1d(4, 3)).push(conv1d(6, 2).groups(2));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        for (net, input) in [(maps(), &[7, 6, 2][..]), (steps(), &[9, 3])] {
            let trained: Model<f64> = Model::new(net.clone(), input, 1).unwrap();
            let mut other: Model<f64> = Model::new(net.clone(), input, 2).unwrap();
            write(&path, &trained);
            load(&path, &mut other, |name| format!("net.{name}")).unwrap();
            assert_eq!(other.state(), trained.state());
            save(&path, &trained, str::to_owned).unwrap();
            let mut other: Model<f64> = Model::new(net, input, 3).unwrap();
            load(&path, &mut other, str::to_owned).unwrap();
            assert_eq!(other.state(), trained.state());
        }
        let mut other: Model<f64> =
            Model::new(Net::new().push(conv1d(4, 5)).push(conv1d(6, 2).groups(2)), &[9, 3], 1).unwrap();
        let error = load(&path, &mut other, str::to_owned).unwrap_err().to_string();
        assert!(error.contains("conv1d1.weight: expected [5, 3, 4], got [3, 3, 4]"), "{error}");
    }

    #[test]
    fn layouts_are_turned_and_what_differs_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let trained = model(3);
        write(&path, &trained);
        let mut other = model(3);
        other.slots_mut().for_each(|mut slot| slot.data_mut().fill(0.0));
        load(&path, &mut other, |name| format!("net.{name}")).unwrap();
        assert_eq!(other.state(), trained.state());
        let error = load(&path, &mut model(5), |name| format!("net.{name}")).unwrap_err().to_string();
        assert!(error.contains("conv1.weight: expected [2, 3, 4, 5], got [2, 3, 4, 3]"), "{error}");
        // The base alone: a file with the convolution, and a model with another head.
        let net = |classes| {
            let conv = conv2d(3, [2, 3]);
            let net = Net::new().push(conv).push(flatten());
            if classes > 0 { net.push(dense(classes)) } else { net }
        };
        let base = folder.path().join("base.safetensors");
        write(&base, &Model::new(net(0), &[2, 3, 4], 5).unwrap());
        let mut whole: Model<f64> = Model::new(net(7), &[2, 3, 4], 6).unwrap();
        let head = whole.state()["dense1.weight"].to_array();
        let left = load_part(&base, &mut whole, "conv1.*", |name| format!("net.{name}")).unwrap();
        assert!(left.is_empty());
        let expected: Model<f64> = Model::new(net(0), &[2, 3, 4], 5).unwrap();
        assert_eq!(whole.state()["conv1.weight"], expected.state()["conv1.weight"]);
        assert_eq!(whole.state()["dense1.weight"].to_array(), head);
        // And from the file of a whole network.
        let left = load_part(&path, &mut whole, "conv1.*", |name| format!("net.{name}")).unwrap();
        assert_eq!(left, ["net.dense1.bias", "net.dense1.weight"]);
        assert_eq!(whole.state()["conv1.weight"], trained.state()["conv1.weight"]);
        let error = load_part(&base, &mut whole, "features.*", str::to_owned).unwrap_err().to_string();
        assert!(error.contains("features.*"), "{error}");
        let error = load(&path, &mut other, str::to_owned).unwrap_err().to_string();
        assert!(error.contains("got them with the prefix \"net.\""), "{error}");
    }
}
