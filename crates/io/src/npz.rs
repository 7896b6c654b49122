//! Parameters and buffers of a model as an `.npz` file: one NumPy array a name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use backstitch_core::{Model, Tensor};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, NpzWriter};

use crate::atomic;
use crate::error::Error;

/// Writes every parameter and buffer under its full name. In Python:
/// `numpy.load(path)["dense1.weight"]`.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: &Path, model: &Model) -> Result<(), Error> {
    atomic::write(path, |to| {
        let mut npz = NpzWriter::new(to);
        for (name, value) in model.state() {
            npz.add_array(name, &value.view()).map_err(io::Error::other)?;
        }
        npz.finish().map_err(io::Error::other)?;
        Ok(())
    })
}

/// Reads every array of an `.npz` file of `float32` arrays and gives them to a model whose names
/// and shapes they must fit.
///
/// # Errors
/// If the file cannot be read, holds something else, or does not fit the model: with every name
/// that is missing, unexpected or of another shape. The model is then as it was.
pub fn load(path: &Path, model: &mut Model) -> Result<(), Error> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let mut npz = NpzReader::new(file).map_err(|error| Error::content(path, "an .npz file", error))?;
    let names = npz.names().map_err(|error| Error::content(path, "an .npz file", error))?;
    let mut state = BTreeMap::new();
    for name in names {
        let array: ArrayD<f32> = npz
            .by_name::<OwnedRepr<f32>, IxDyn>(&name)
            .map_err(|error| Error::content(path, format!("a float32 array {name:?}"), error))?;
        let tensor = Tensor::from_array(&array).map_err(Error::model(path))?;
        state.insert(name.trim_end_matches(".npy").to_owned(), tensor);
    }
    model.load_state(&state).map_err(Error::model(path))
}

#[cfg(test)]
mod tests {
    use backstitch_core::layers::dense;
    use backstitch_core::{Activation, Sequential};

    use super::*;

    fn model(hidden: usize, seed: u64) -> Model {
        let net = Sequential::new().push(dense(hidden, Activation::Relu)).push(dense(2, Activation::Linear));
        Model::new(net, &[3], seed).unwrap()
    }

    #[test]
    fn a_model_comes_back_with_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.npz");
        let (saved, mut loaded) = (model(4, 1), model(4, 2));
        save(&path, &saved).unwrap();
        load(&path, &mut loaded).unwrap();
        assert_eq!(saved.state(), loaded.state());
    }

    #[test]
    fn another_model_is_refused_with_every_difference() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.npz");
        save(&path, &model(4, 1)).unwrap();
        let mut other = model(5, 2);
        let error = load(&path, &mut other).unwrap_err().to_string();
        for expected in
            ["dense1.weight: expected [3, 5], got [3, 4]", "dense2.weight: expected [5, 2], got [4, 2]"]
        {
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(other.state(), model(5, 2).state());
    }

    #[test]
    fn a_file_that_is_no_npz_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.npz");
        std::fs::write(&path, "no zip").unwrap();
        let error = load(&path, &mut model(4, 1)).unwrap_err().to_string();
        assert!(error.contains("model.npz: expected an .npz file"), "{error}");
    }
}
