//! A weights file of PyTorch, opened without reading the numbers.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PytorchReader, Tensor};
use tempfile::NamedTempFile;

use super::archive::{self, damaged};
use crate::error::Error;
use crate::floats::{Floats, KINDS};
use crate::safetensors::file::{Header, begins_so, refuse_checkpoint};
use crate::safetensors::origin::{WrittenBy, origin};

/// Names, shapes and types of the tensors of a file. Their numbers are read one tensor at a time.
pub(super) struct WeightsFile {
    path: PathBuf,
    tensors: Tensors,
}

enum Tensors {
    Safetensors(Header, fs::File),
    /// With the temporary file they are read from, if a copy had to be written.
    Pickled(
        HashMap<String, Tensor>,
        #[expect(dead_code, reason = "is there as long as it is read")] Option<NamedTempFile>,
    ),
}

impl WeightsFile {
    /// A safetensors file, or a file of `torch.save(model.state_dict(), path)`. The first bytes show which.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut file = fs::File::open(path).map_err(Error::io(path, "open"))?;
        let length = file.metadata().map_err(Error::io(path, "look at"))?.len();
        let mut start = Vec::new();
        (&file).take(9).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
        file.rewind().map_err(Error::io(path, "read"))?;
        refuse_checkpoint(path, &start, "weights of PyTorch")?;
        let tensors = if begins_so(&start) {
            let header = Header::read(path, &file, length)?;
            if origin(&header) == WrittenBy::Ours {
                let got = "one of backstitch, with the axes in another order: backstitch::safetensors::load reads it";
                return Err(Error::content(path, "weights of PyTorch", got));
            }
            Tensors::Safetensors(header, file)
        } else {
            open_pickled(path, &file, length)?
        };
        Ok(Self { path: path.to_owned(), tensors })
    }

    /// The shape of every tensor, under each of its names.
    pub(super) fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match &self.tensors {
            Tensors::Safetensors(header, _) => {
                let stored = |name: &str| header.tensors.get(name).map(|info| info.shape.clone());
                // `safetensors.torch.save_model` writes a tensor with two names once, and notes the other name.
                let tied =
                    header.texts.iter().filter_map(|(name, stored_as)| Some((name, stored(stored_as)?)));
                let own = header.tensors.iter().map(|(name, info)| (name, info.shape.clone()));
                tied.chain(own).map(|(name, shape)| (name.clone(), shape)).collect()
            }
            Tensors::Pickled(tensors, _) => {
                tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect()
            }
        }
    }

    /// Checks that the numbers of a tensor can be weights.
    pub(super) fn check_kind(&self, name: &str) -> Result<(), Error> {
        match &self.tensors {
            Tensors::Safetensors(header, _) => header.numbers(&self.path, stored_as(header, name)).map(drop),
            Tensors::Pickled(tensors, _) => self.kind(name, &tensors[name]).map(drop),
        }
    }

    fn kind(&self, name: &str, tensor: &Tensor) -> Result<Floats, Error> {
        match tensor.dtype() {
            DType::F16 => Ok(Floats::F16),
            DType::BF16 => Ok(Floats::Bf16),
            DType::F32 => Ok(Floats::F32),
            DType::F64 => Ok(Floats::F64),
            other => Err(Error::content(&self.path, KINDS, format!("{name} of {other:?}"))),
        }
    }

    /// Reads a tensor, one number after the other, in the order of the file.
    pub(super) fn read(&self, name: &str, each: &mut dyn FnMut(f64)) -> Result<(), Error> {
        match &self.tensors {
            Tensors::Safetensors(header, file) => {
                header.each(&self.path, file, stored_as(header, name), each)
            }
            Tensors::Pickled(tensors, _) => {
                let tensor = &tensors[name];
                let bytes = tensor.read().map_err(|error| damaged(&self.path, error))?;
                self.kind(name, tensor)?
                    .read(tensor.num_elements(), &bytes[..], each)
                    .map_err(Error::io(&self.path, "read"))
            }
        }
    }
}

/// The name under which a tensor is stored.
fn stored_as<'a>(header: &'a Header, name: &'a str) -> &'a str {
    if header.tensors.contains_key(name) {
        name
    } else {
        header.texts.get(name).map_or(name, |stored| stored)
    }
}

/// Reads the pickle of names and shapes. The reader knows tensors and containers, and runs no code.
fn open_pickled(path: &Path, file: &fs::File, length: u64) -> Result<Tensors, Error> {
    let copy = archive::check(path, file, length)?;
    let read_from = copy.as_ref().map_or(path, NamedTempFile::path);
    let tensors = PytorchReader::new(read_from).map_err(|error| damaged(path, error))?.into_tensors();
    Ok(Tensors::Pickled(tensors, copy))
}
