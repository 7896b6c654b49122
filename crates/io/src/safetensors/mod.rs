//! Weights of any model as a safetensors file: every parameter and buffer under its full name.
//!
//! The numbers have the order of this library: channels last, and dense weights `[inputs, outputs]`. The file says so. Files of
//! PyTorch have another order: [`pytorch`](crate::pytorch) reads and writes them.

pub(crate) mod file;
pub(crate) mod origin;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use backstitch_core::{Model, Scalar, Tensor};
use serde_json::{Map, Value};

use crate::atomic;
use crate::error::Error;
use crate::pytorch::archive::is_pickled;
use crate::pytorch::layout::TensorOrder;
use crate::pytorch::orders::layouts;
use file::{Header, TensorEntry};
use origin::{CLASSES_KEY, FORMAT_KEY, OURS, WrittenBy, origin};

/// Saves every parameter and buffer, as `f32` or `f64`, in the order of their names.
///
/// ```
/// use backstitch::{Activation, Model, Net, layers::dense};
/// use backstitch::safetensors;
/// let model = |seed| Model::<f32>::new(Net::new().push(dense(3).relu()), &[4], seed).unwrap();
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.safetensors");
/// safetensors::save(&path, &model(1))?;
/// let mut other = model(2);
/// safetensors::load(&path, &mut other)?;
/// assert_eq!(other.state(), model(1).state());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file cannot be written.
pub fn save<F: Scalar>(path: impl AsRef<Path>, model: &Model<F>) -> Result<(), Error> {
    let path = path.as_ref();
    write(path, model, Map::new())
}

/// As [`save`], with the names of the classes. They are a JSON list under `classes` in the metadata of the file, in the order of
/// the outputs.
///
/// # Errors
/// If the file cannot be written.
pub fn save_with_classes<F: Scalar>(
    path: impl AsRef<Path>,
    model: &Model<F>,
    classes: &[String],
) -> Result<(), Error> {
    let path = path.as_ref();
    let list =
        serde_json::to_string(classes).map_err(|error| Error::content(path, "names of classes", error))?;
    write(path, model, Map::from_iter([(CLASSES_KEY.to_owned(), list.into())]))
}

/// The names of the classes in a file by [`save_with_classes`]; `None` if it was saved without them.
///
/// # Errors
/// If the file cannot be read, is not a safetensors file, or the names are not a list of texts.
pub fn classes(path: impl AsRef<Path>) -> Result<Option<Vec<String>>, Error> {
    let path = path.as_ref();
    let (_, header) = open(path)?;
    let Some(list) = header.texts.get(CLASSES_KEY) else { return Ok(None) };
    serde_json::from_str(list)
        .map(Some)
        .map_err(|error| Error::content(path, "a list of names under \"classes\"", error))
}

fn write<F: Scalar>(path: &Path, model: &Model<F>, mut texts: Map<String, Value>) -> Result<(), Error> {
    texts.extend(OURS.map(|(name, text)| (name.to_owned(), text.into())));
    let entry = |(name, tensor)| whole(name, tensor);
    let entries: Vec<TensorEntry<'_>> = model.state().into_iter().map(entry).collect();
    atomic::write(path, |to| file::write(to, &texts, &entries))
}

/// A tensor to write in its own order.
pub(crate) fn whole<F: Scalar>(name: impl Into<String>, tensor: &Tensor<F>) -> TensorEntry<'_> {
    TensorEntry {
        name: name.into(),
        shape: tensor.shape().to_vec(),
        double: size_of::<F>() == 8,
        number: Box::new(|i| tensor.data()[i].as_f64()),
    }
}

/// Loads a file by [`save`] into a model. Either everything fits, or nothing is changed. `f16`, `bf16`, `f32` and `f64` are
/// converted; a number that the model's type cannot hold is an error. NaN and infinite numbers are loaded as they are.
///
/// Older versions of [`save`] wrote files that do not say who wrote them. Such a file is loaded if its shapes show that it has
/// the layout of this library. If all matrices are square, the shapes do not show it: the file may be PyTorch's, and is an error.
/// (If it is of this library, [`read`] and [`Model::load_state`] load it, and [`save`] writes it again.)
///
/// # Errors
/// If the file cannot be read, is not a safetensors file, was written by PyTorch, or holds other types of numbers; or if names or
/// shapes are not those of the model: the message shows which.
pub fn load<F: Scalar>(path: impl AsRef<Path>, model: &mut Model<F>) -> Result<(), Error> {
    let path = path.as_ref();
    let (file, header) = open(path)?;
    let origin = refuse_pytorch(path, &header)?;
    let state = all(path, &file, &header)?;
    let shapes = state.iter().map(|(name, tensor)| (name.clone(), tensor.shape())).collect();
    let fits = model.check_part("*", &shapes);
    if origin == WrittenBy::Unknown {
        refuse_other_layout(path, model, &header, fits.is_ok())?;
    }
    fits.and_then(|()| model.load_state(&state)).map_err(Error::model(path))
}

/// Every tensor of a file by its name, with the axes in the order of the file. Numbers are converted as by [`load`].
///
/// # Errors
/// If the file cannot be read, is not a safetensors file, says that it is PyTorch's, or holds tensors of integers or of 8 bits.
pub fn read<F: Scalar>(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor<F>>, Error> {
    let path = path.as_ref();
    let (file, header) = open(path)?;
    refuse_pytorch(path, &header)?;
    all(path, &file, &header)
}

fn all<F: Scalar>(path: &Path, file: &File, header: &Header) -> Result<BTreeMap<String, Tensor<F>>, Error> {
    // All types are checked before the first number is read.
    header.tensors.keys().try_for_each(|name| header.numbers(path, name).map(drop))?;
    let tensor = |name: &String| Ok((name.clone(), header.tensor(path, file, name)?));
    header.tensors.keys().map(tensor).collect()
}

fn open(path: &Path) -> Result<(File, Header), Error> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    if is_pickled(path)? {
        return Err(of_pytorch(path, "what torch.save wrote"));
    }
    let length = file.metadata().map_err(Error::io(path, "look at"))?.len();
    let header = Header::read(path, &file, length)?;
    Ok((file, header))
}

fn refuse_pytorch(path: &Path, header: &Header) -> Result<WrittenBy, Error> {
    let origin = origin(header);
    if origin == WrittenBy::PyTorch {
        return Err(of_pytorch(path, "one of PyTorch"));
    }
    let version = header.texts.get(OURS[2].0).filter(|version| *version != OURS[2].1);
    if let Some(version) = version.filter(|_| header.texts.contains_key(FORMAT_KEY)) {
        return Err(Error::content(path, "version 1 of weights of backstitch", format!("version {version}")));
    }
    Ok(origin)
}

fn of_pytorch(path: &Path, got: &str) -> Error {
    let got = format!("{got}, with the axes in another order: backstitch::pytorch::load reads it");
    Error::content(path, "a safetensors file of backstitch", got)
}

/// Refuses a file that does not say who wrote it, if its shapes show that it is PyTorch's, or do not show who wrote it.
fn refuse_other_layout<F: Scalar>(
    path: &Path,
    model: &Model<F>,
    header: &Header,
    fits: bool,
) -> Result<(), Error> {
    let state = model.state();
    let layouts = layouts(model);
    let theirs = |name: &str| {
        let layout = layouts.get(name).and_then(|layout| layout.as_ref().ok());
        let shape = header.tensors.get(name).map(|info| &info.shape);
        layout.zip(shape).is_some_and(|(layout, shape)| layout.shape_there() == *shape)
    };
    if !(state.len() == header.tensors.len() && state.keys().all(|name| theirs(name))) {
        return Ok(());
    }
    if !fits {
        return Err(of_pytorch(path, "shapes of PyTorch"));
    }
    let same = |layout: &Result<TensorOrder, String>| layout.as_ref().is_ok_and(TensorOrder::is_same);
    if layouts.values().all(same) {
        return Ok(());
    }
    let got = "one that does not say who wrote it, and whose shapes fit PyTorch's layout too: read it with \
               backstitch::pytorch::load, or, if backstitch saved it, with safetensors::read and Model::load_state";
    Err(Error::content(path, "a safetensors file of backstitch", got))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use backstitch_core::Net;
    use backstitch_core::layers::{batch_norm, dense};

    fn model<F: Scalar>(units: usize, seed: u64) -> Model<F> {
        let net = Net::new().push(dense(units).relu()).push(batch_norm());
        Model::new(net, &[4], seed).unwrap()
    }

    #[test]
    fn what_differs_is_listed_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        save(&path, &model::<f32>(3, 1)).unwrap();
        let mut other: Model = Model::new(Net::new().push(dense(5).relu()), &[4], 2).unwrap();
        let before = other.state()["dense1.weight"].to_array();
        let message = load(&path, &mut other).unwrap_err().to_string();
        for part in [
            "unexpected [\"batchnorm1.bias\", \"batchnorm1.running_mean\", \"batchnorm1.running_var\", \"batchnorm1.weight\"]",
            "dense1.bias: expected [5], got [3]",
            "dense1.weight: expected [4, 5], got [4, 3]",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert_eq!(other.state()["dense1.weight"].to_array(), before);
    }

    #[test]
    fn names_of_classes_are_kept_with_the_weights() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let names = ["a \"b\"", "Käfer\n"].map(str::to_owned);
        let saved = model::<f32>(2, 1);
        save_with_classes(&path, &saved, &names).unwrap();
        assert_eq!(classes(&path).unwrap().unwrap(), names);
        let mut other = model::<f32>(2, 2);
        load(&path, &mut other).unwrap();
        assert_eq!(other.state(), saved.state());
        save(&path, &saved).unwrap();
        assert_eq!(classes(&path).unwrap(), None);
    }

    #[test]
    fn f64_comes_back_with_its_bits_and_as_f32() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let saved = model::<f64>(3, 1);
        save(&path, &saved).unwrap();
        let mut exact = model::<f64>(3, 2);
        load(&path, &mut exact).unwrap();
        assert_eq!(exact.state(), saved.state());
        load(&path, &mut model::<f32>(3, 2)).unwrap();
    }

    #[test]
    fn a_file_that_is_cut_or_something_else_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        save(&path, &model::<f32>(3, 1)).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in [0, 4, 20, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            let message = load(&path, &mut model::<f32>(3, 1)).unwrap_err().to_string();
            assert!(message.contains("m.safetensors: expected a safetensors file"), "{message}");
        }
        let message = load(folder.path().join("none"), &mut model::<f32>(3, 1)).unwrap_err().to_string();
        assert!(message.contains("none: could not open"), "{message}");
    }
}
