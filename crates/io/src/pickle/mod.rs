//! Python pickles of lists of NumPy arrays: what `pickle.dump([w1, w2, ...], file)` writes.
//!
//! [`write()`] makes files that `pickle.load` turns into a list of arrays; it needs nothing but NumPy. [`read`] reads such a
//! list, or a tuple, or a single array, written here or by Python (protocols 0 to 5). It runs no code, and any other content is
//! an error.

mod numpy;
mod read;
mod value;
mod write;

use std::fs;
use std::path::{Path, PathBuf};

use backstitch_core::Model;
use ndarray::ArrayD;

use crate::atomic;
use crate::error::Error;

/// Writes arrays as a Python list of NumPy arrays of `float32`.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: impl AsRef<Path>, arrays: &[ArrayD<f32>]) -> Result<(), Error> {
    let path = path.as_ref();
    atomic::write(path, |to| write::list(to, arrays))
}

/// Reads a Python list or tuple of NumPy arrays, or a single array, as `float32`. `float64` is rounded; `float16` and integers
/// are converted if `float32` can hold them.
///
/// Memory: the file, up to four times its bytes (at least 1 MiB) for the arrays, and about 40 MB for the opcodes between them.
///
/// # Errors
/// If the file cannot be read or is anything but such arrays, or if another pickle follows the first: the message gives the
/// offset of the first wrong byte.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<ArrayD<f32>>, Error> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    read::arrays(&bytes).map_err(|wrong| {
        Error::content(path, format!("{} at byte {}", wrong.expected, wrong.offset), wrong.got)
    })
}

/// The two files of a model of dense layers, as the assignment names them:
/// `50_relu_weights.pkl` and `50_relu_biases.pkl`.
pub fn file_names(folder: impl AsRef<Path>, epoch: usize, activation: &str) -> (PathBuf, PathBuf) {
    let folder = folder.as_ref();
    let file = |what| folder.join(format!("{epoch}_{activation}_{what}.pkl"));
    (file("weights"), file("biases"))
}

/// Writes the weights and the biases of a model of dense layers, first layer first: two lists.
///
/// # Errors
/// If a file cannot be written.
pub fn save_model(
    folder: impl AsRef<Path>,
    epoch: usize,
    activation: &str,
    model: &Model,
) -> Result<(), Error> {
    let folder = folder.as_ref();
    let (weights_path, biases_path) = file_names(folder, epoch, activation);
    let (mut weights, mut biases) = (Vec::new(), Vec::new());
    for slot in model.slots() {
        let list = if is_bias(slot.name()) { &mut biases } else { &mut weights };
        list.push(slot.value().to_array());
    }
    write(&weights_path, &weights)?;
    write(&biases_path, &biases)
}

/// Reads what [`save_model`] wrote into a model of the same shape.
///
/// # Errors
/// If a file cannot be read, or its shapes are not those of the model. Then the model is not changed.
pub fn load_model(
    folder: impl AsRef<Path>,
    epoch: usize,
    activation: &str,
    model: &mut Model,
) -> Result<(), Error> {
    let folder = folder.as_ref();
    let (weights_path, biases_path) = file_names(folder, epoch, activation);
    let (weights, biases) = (read(&weights_path)?, read(&biases_path)?);
    check(&weights_path, &weights, false, model)?;
    check(&biases_path, &biases, true, model)?;
    let (mut weights, mut biases) = (weights.into_iter(), biases.into_iter());
    for mut slot in model.slots_mut() {
        let list = if is_bias(slot.name()) { &mut biases } else { &mut weights };
        let array = list.next().expect("counted above");
        slot.data_mut().iter_mut().zip(&array).for_each(|(to, &from)| *to = from);
    }
    Ok(())
}

fn check(path: &Path, arrays: &[ArrayD<f32>], want_bias: bool, model: &Model) -> Result<(), Error> {
    let wanted = model.slots().iter().filter(|slot| is_bias(slot.name()) == want_bias);
    let shapes: Vec<_> = wanted.map(|slot| slot.value().shape().to_vec()).collect();
    let got: Vec<_> = arrays.iter().map(|array| array.shape().to_vec()).collect();
    if shapes == got {
        return Ok(());
    }
    Err(Error::content(path, format!("arrays of {shapes:?}"), format!("{got:?}")))
}

fn is_bias(name: &str) -> bool {
    name.ends_with(".bias")
}
