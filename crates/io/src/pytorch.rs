//! Weights in PyTorch's layout, as safetensors.

use std::collections::BTreeMap;
use std::path::Path;

use backstitch_core::{Model, Scalar, Tensor};
use ndarray::{ArrayD, IxDyn};

use crate::error::Error;
use crate::safetensors;

/// Gives a model the values of a file in PyTorch's layout: kernels `[filters, channels, height, width]` and dense weights `[outputs,
/// inputs]`, which are turned to `[height, width, channels, filters]` and `[inputs, outputs]`. `name_in_file` says what the file calls a
/// parameter or buffer of the model. Either all of them fit, or nothing is changed.
///
/// (A dense layer behind a flatten has its inputs in the order of PyTorch's maps, channels first: its rows have to be put in another order besides,
/// which this does not do.)
///
/// # Errors
/// If the file cannot be read or is no safetensors file, or if names or shapes differ from the model's: the message lists all that do.
pub fn load_safetensors<F: Scalar>(
    path: &Path,
    model: &mut Model<F>,
    name_in_file: impl Fn(&str) -> String,
) -> Result<(), Error> {
    load_part(path, model, "*", name_in_file)
}

/// As [`load_safetensors`], for the parameters and buffers whose names match a pattern, such as those of a pretrained base under a new
/// head (see [`Model::load_part`]).
///
/// # Errors
/// As [`load_safetensors`]; and if no name matches.
pub fn load_part<F: Scalar>(
    path: &Path,
    model: &mut Model<F>,
    pattern: &str,
    name_in_file: impl Fn(&str) -> String,
) -> Result<(), Error> {
    let mut file = safetensors::read::<F>(path)?;
    let mut state = BTreeMap::new();
    for name in model.state().into_keys() {
        if let Some(tensor) = file.remove(&name_in_file(name)) {
            state.insert(name.to_owned(), channels_last(&tensor, path)?);
        }
    }
    // What is left is nothing of the model's: the message lists it.
    state.extend(file);
    model.load_part(pattern, &state).map_err(Error::model(path))
}

fn channels_last<F: Scalar>(tensor: &Tensor<F>, path: &Path) -> Result<Tensor<F>, Error> {
    let array: ArrayD<F> = tensor.to_array();
    let turned = match array.ndim() {
        4 => array.permuted_axes(IxDyn(&[2, 3, 1, 0])),
        2 => array.permuted_axes(IxDyn(&[1, 0])),
        _ => array,
    };
    Tensor::from_array(&turned).map_err(Error::model(path))
}

#[cfg(test)]
mod tests {
    use backstitch_core::layers::{conv2d, dense, flatten};
    use backstitch_core::{Activation, Sequential};

    use super::*;

    fn model(filters: usize) -> Model<f64> {
        let net = Sequential::new()
            .push(conv2d(filters, [2, 3], Activation::Linear))
            .push(flatten())
            .push(dense(2, Activation::Linear));
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
    fn layouts_are_turned_and_what_differs_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let trained = model(3);
        write(&path, &trained);
        let mut other = model(3);
        other.visit_mut(&mut |mut slot| slot.value_mut().fill(0.0));
        load_safetensors(&path, &mut other, |name| format!("net.{name}")).unwrap();
        assert_eq!(other.state(), trained.state());
        let error =
            load_safetensors(&path, &mut model(5), |name| format!("net.{name}")).unwrap_err().to_string();
        assert!(error.contains("conv1.weight: expected [2, 3, 4, 5], got [2, 3, 4, 3]"), "{error}");
        // The base alone: a file of the convolution, a model with another head.
        let net = |classes| {
            let conv = conv2d(3, [2, 3], Activation::Linear);
            let net = Sequential::new().push(conv).push(flatten());
            if classes > 0 { net.push(dense(classes, Activation::Linear)) } else { net }
        };
        let base = folder.path().join("base.safetensors");
        write(&base, &Model::new(net(0), &[2, 3, 4], 5).unwrap());
        let mut whole: Model<f64> = Model::new(net(7), &[2, 3, 4], 6).unwrap();
        let head = whole.state()["dense1.weight"].to_array();
        load_part(&base, &mut whole, "conv1.*", |name| format!("net.{name}")).unwrap();
        let expected: Model<f64> = Model::new(net(0), &[2, 3, 4], 5).unwrap();
        assert_eq!(whole.state()["conv1.weight"], expected.state()["conv1.weight"]);
        assert_eq!(whole.state()["dense1.weight"].to_array(), head);
        let error = load_part(&base, &mut whole, "features.*", str::to_owned).unwrap_err().to_string();
        assert!(error.contains("features.*"), "{error}");
        let error = load_safetensors(&path, &mut other, str::to_owned).unwrap_err().to_string();
        assert!(error.contains("missing [\"conv1.bias\"") && error.contains("net.conv1.bias"), "{error}");
    }
}
