//! Weights of any model as a safetensors file: every parameter and buffer under its full name.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use backstitch_core::{Model, Scalar, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use crate::atomic;
use crate::error::Error;

/// Under which name the metadata of a file has the classes.
const CLASSES: &str = "classes";

/// Saves every parameter and buffer, as `f32` or `f64`, in the order of their names.
///
/// ```
/// use backstitch_core::{Activation, Model, Sequential, layers::dense};
/// use backstitch_io::safetensors;
/// let model = |seed| Model::<f32>::new(Sequential::new().push(dense(3, Activation::Relu)), &[4], seed).unwrap();
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
pub fn save<F: Scalar>(path: &Path, model: &Model<F>) -> Result<(), Error> {
    write(path, model, None)
}

/// As [`save`], with the names of the classes that the outputs stand for, in the metadata of the file as a JSON list under `classes`.
///
/// # Errors
/// If the file cannot be written.
pub fn save_with_classes<F: Scalar>(path: &Path, model: &Model<F>, classes: &[String]) -> Result<(), Error> {
    let list =
        serde_json::to_string(classes).map_err(|error| Error::content(path, "names of classes", error))?;
    write(path, model, Some(HashMap::from([(CLASSES.to_owned(), list)])))
}

/// The names of the classes of a file by [`save_with_classes`]; none where it was saved without them.
///
/// # Errors
/// If the file cannot be read, is no safetensors file, or the names are no list of texts.
pub fn classes(path: &Path) -> Result<Option<Vec<String>>, Error> {
    let bytes = fs::read(path).map_err(Error::io(path, "open"))?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes)
        .map_err(|error| Error::content(path, "a safetensors file", error))?;
    let Some(list) = metadata.metadata().as_ref().and_then(|texts| texts.get(CLASSES)) else {
        return Ok(None);
    };
    serde_json::from_str(list)
        .map(Some)
        .map_err(|error| Error::content(path, "a list of names under \"classes\"", error))
}

fn write<F: Scalar>(
    path: &Path,
    model: &Model<F>,
    metadata: Option<HashMap<String, String>>,
) -> Result<(), Error> {
    let state = model.state();
    let bytes: Vec<Vec<u8>> = state.values().map(|tensor| to_bytes(tensor.data())).collect();
    let kind = if size_of::<F>() == 4 { Dtype::F32 } else { Dtype::F64 };
    let mut views = Vec::new();
    for ((name, tensor), bytes) in state.iter().zip(&bytes) {
        let view = TensorView::new(kind, tensor.shape().to_vec(), bytes);
        views.push((*name, view.map_err(|error| Error::content(path, "a safetensors file", error))?));
    }
    let file =
        serialize(views, metadata).map_err(|error| Error::content(path, "a safetensors file", error))?;
    atomic::write(path, |to| to.write_all(&file))
}

fn to_bytes<F: Scalar>(values: &[F]) -> Vec<u8> {
    if size_of::<F>() == 4 {
        values.iter().flat_map(|v| (v.as_f64() as f32).to_le_bytes()).collect()
    } else {
        values.iter().flat_map(|v| v.as_f64().to_le_bytes()).collect()
    }
}

/// Gives a model the values of a file. Either all of them fit, or nothing is changed. `f32` and `f64` are converted
/// to each other.
///
/// # Errors
/// If the file cannot be read, is no safetensors file or holds other numbers, or if names or shapes differ from the
/// model's: the message lists all that do.
pub fn load<F: Scalar>(path: &Path, model: &mut Model<F>) -> Result<(), Error> {
    let state = read(path)?;
    model.load_state(&state).map_err(Error::model(path))
}

/// Every tensor of a file by its name.
///
/// # Errors
/// If the file cannot be read, is no safetensors file, or holds tensors of anything but `f32` and `f64`.
pub fn read<F: Scalar>(path: &Path) -> Result<BTreeMap<String, Tensor<F>>, Error> {
    let bytes = fs::read(path).map_err(Error::io(path, "open"))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| Error::content(path, "a safetensors file", error))?;
    let mut state = BTreeMap::new();
    for (name, view) in file.iter() {
        let values: Vec<F> = match view.dtype() {
            Dtype::F32 => values(view.data(), |bytes| f64::from(f32::from_le_bytes(bytes))),
            Dtype::F64 => values(view.data(), f64::from_le_bytes),
            other => {
                return Err(Error::content(path, "tensors of F32 or F64", format!("{name} of {other:?}")));
            }
        };
        let array = ndarray::ArrayD::from_shape_vec(view.shape(), values);
        let array = array.map_err(|error| Error::content(path, "a safetensors file", error))?;
        let tensor =
            Tensor::from_array(&array).map_err(|error| Error::content(path, "a safetensors file", error))?;
        state.insert(name.to_owned(), tensor);
    }
    Ok(state)
}

fn values<F: Scalar, const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f64) -> Vec<F> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| F::from_f64(number(bytes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstitch_core::layers::{batch_norm, dense};
    use backstitch_core::{Activation, Sequential};

    fn model<F: Scalar>(units: usize, seed: u64) -> Model<F> {
        let net = Sequential::new().push(dense(units, Activation::Relu)).push(batch_norm());
        Model::new(net, &[4], seed).unwrap()
    }

    #[test]
    fn what_differs_is_listed_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        save(&path, &model::<f32>(3, 1)).unwrap();
        let mut other: Model =
            Model::new(Sequential::new().push(dense(5, Activation::Relu)), &[4], 2).unwrap();
        let before = other.state()["dense1.weight"].to_array();
        let message = load(&path, &mut other).unwrap_err().to_string();
        for part in [
            "missing []",
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
        let message = load(&folder.path().join("none"), &mut model::<f32>(3, 1)).unwrap_err().to_string();
        assert!(message.contains("none: could not open"), "{message}");
    }
}
