//! Weights of PyTorch: files by `torch.save` (`.pth`), and safetensors.

mod file;
mod layout;

use std::collections::BTreeMap;
use std::path::Path;

use backstitch_core::{Model, Scalar, Shape};

use crate::error::Error;
use file::WeightsFile;
use layout::{Layout, flattened_maps};

/// Gives a model the values of a file in PyTorch's layout, safetensors or what `torch.save(model.state_dict(), path)` writes; the first bytes tell
/// which. No code in the file is run. `name_in_file` says what the file calls a parameter or buffer of the model.
///
/// Kernels `[filters, channels, height, width]` become `[height, width, channels, filters]`, dense weights `[outputs, inputs]` become `[inputs,
/// outputs]`, and those behind a flatten are put in the order of channels last. Counters of batches (`num_batches_tracked`) are passed over.
///
/// Names and shapes are compared before anything is read; then one tensor after the other goes into its place, so that a file
/// of 528 MB takes little more memory than the model and its largest tensor.
///
/// # Errors
/// If the file is neither of the two or is damaged, or if names, shapes or kinds of numbers differ from the model's: the message lists all that do,
/// and nothing is changed. If the file cannot be read on to its end, which its header does not tell, part of the model has been.
pub fn load<F: Scalar>(
    path: &Path,
    model: &mut Model<F>,
    name_in_file: impl Fn(&str) -> String,
) -> Result<(), Error> {
    place(path, model, "*", &name_in_file, true).map(drop)
}

/// As [`load`], for the parameters and buffers whose names match a pattern, such as those of a pretrained base under a new head. The file may be that
/// of a whole network: the names in it that were not taken are returned.
///
/// # Errors
/// As [`load`], but for names that only the file has; and if no name of the model matches.
pub fn load_part<F: Scalar>(
    path: &Path,
    model: &mut Model<F>,
    pattern: &str,
    name_in_file: impl Fn(&str) -> String,
) -> Result<Vec<String>, Error> {
    place(path, model, pattern, &name_in_file, false)
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
    let maps = flattened_maps(model);
    let mut found = BTreeMap::new();
    for name in model.names(pattern) {
        let theirs = name_in_file(&name);
        if let Some(shape) = there.remove(&theirs) {
            let layout = Layout::of(&shape, maps.get(&name).copied());
            let layout = layout.map_err(|error| Error::model(path)(error.into()))?;
            found.insert(name.clone(), (theirs, layout));
        }
    }
    let mut shapes: BTreeMap<String, _> =
        found.iter().map(|(name, (_, layout))| (name.clone(), layout.shape())).collect();
    if whole {
        // What is left is nothing of the model's: the message lists it.
        for (name, shape) in &there {
            let shape = Shape::new(shape).map_err(|error| Error::model(path)(error.into()))?;
            shapes.insert(name.clone(), shape);
        }
    }
    model.check_part(pattern, &shapes).map_err(Error::model(path))?;
    found.values().try_for_each(|(theirs, _)| file.check_kind(theirs))?;
    let mut result = Ok(());
    model.visit_mut(&mut |mut slot| {
        let Some((theirs, layout)) = found.get(slot.name()) else { return };
        let (values, mut i) = (slot.value_mut().data_mut(), 0);
        let read = file.read(theirs, &mut |value| {
            values[layout.place(i)] = F::from_f64(value);
            i += 1;
        });
        if result.is_ok() {
            result = read;
        }
    });
    result.map(|()| there.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use backstitch_core::layers::{conv2d, dense, flatten};
    use backstitch_core::{Activation, Sequential};
    use ndarray::IxDyn;

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
        load(&path, &mut other, |name| format!("net.{name}")).unwrap();
        assert_eq!(other.state(), trained.state());
        let error = load(&path, &mut model(5), |name| format!("net.{name}")).unwrap_err().to_string();
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
        let left = load_part(&base, &mut whole, "conv1.*", |name| format!("net.{name}")).unwrap();
        assert!(left.is_empty());
        let expected: Model<f64> = Model::new(net(0), &[2, 3, 4], 5).unwrap();
        assert_eq!(whole.state()["conv1.weight"], expected.state()["conv1.weight"]);
        assert_eq!(whole.state()["dense1.weight"].to_array(), head);
        // And out of the file of a whole network.
        let left = load_part(&path, &mut whole, "conv1.*", |name| format!("net.{name}")).unwrap();
        assert_eq!(left, ["net.dense1.bias", "net.dense1.weight"]);
        assert_eq!(whole.state()["conv1.weight"], trained.state()["conv1.weight"]);
        let error = load_part(&base, &mut whole, "features.*", str::to_owned).unwrap_err().to_string();
        assert!(error.contains("features.*"), "{error}");
        let error = load(&path, &mut other, str::to_owned).unwrap_err().to_string();
        assert!(error.contains("missing [\"conv1.bias\"") && error.contains("net.conv1.bias"), "{error}");
    }
}
