//! A weights file of PyTorch, opened without reading the numbers.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PytorchReader};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::error::Error;

/// A header longer than this is refused: that of VGG16 has 3 kB.
const LONGEST_HEADER: u64 = 16 << 20;

/// Names, shapes and kinds of the tensors of a file, whose numbers are read one tensor at a time.
pub(super) struct WeightsFile {
    path: PathBuf,
    tensors: Tensors,
}

enum Tensors {
    /// With the place at which the numbers begin.
    Safetensors(HashMap<String, TensorInfo>, u64),
    Pickled(HashMap<String, pytorch_reader::Tensor>),
}

impl WeightsFile {
    /// A safetensors file, or one that `torch.save(model.state_dict(), path)` wrote; which, its first bytes tell.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut file = fs::File::open(path).map_err(Error::io(path, "open"))?;
        let mut start = Vec::new();
        (&file).take(9).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
        file.rewind().map_err(Error::io(path, "read"))?;
        // Eight bytes of length, then a JSON object.
        let is_safetensors = start.get(8) == Some(&b'{');
        let tensors = if is_safetensors { open_safetensors(path, file)? } else { open_pickled(path, file)? };
        Ok(Self { path: path.to_owned(), tensors })
    }

    /// The shape of every tensor.
    pub(super) fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match &self.tensors {
            Tensors::Safetensors(infos, _) => {
                infos.iter().map(|(name, info)| (name.clone(), info.shape.clone())).collect()
            }
            Tensors::Pickled(tensors) => {
                tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect()
            }
        }
    }

    /// Checks that a tensor has numbers that can be weights.
    pub(super) fn check_kind(&self, name: &str) -> Result<(), Error> {
        let kind = match &self.tensors {
            Tensors::Safetensors(infos, _) => match infos[name].dtype {
                Dtype::F32 | Dtype::F64 => return Ok(()),
                other => format!("{other:?}"),
            },
            Tensors::Pickled(tensors) => match tensors[name].dtype() {
                DType::F32 | DType::F64 => return Ok(()),
                other => format!("{other:?}"),
            },
        };
        Err(Error::content(&self.path, "tensors of F32 or F64", format!("{name} of {kind}")))
    }

    /// Reads a tensor, one number after the other, in the order of the file.
    pub(super) fn read(&self, name: &str, each: &mut dyn FnMut(f64)) -> Result<(), Error> {
        match &self.tensors {
            Tensors::Safetensors(infos, start) => {
                let info = &infos[name];
                let (from, to) = info.data_offsets;
                let mut file = fs::File::open(&self.path).map_err(Error::io(&self.path, "open"))?;
                file.seek(SeekFrom::Start(start + from as u64)).map_err(Error::io(&self.path, "read"))?;
                let bytes = BufReader::with_capacity(1 << 20, file).take((to - from) as u64);
                numbers(bytes, info.dtype == Dtype::F64, each).map_err(Error::io(&self.path, "read"))
            }
            Tensors::Pickled(tensors) => {
                let tensor = &tensors[name];
                let bytes = tensor.read().map_err(|error| damaged(&self.path, error))?;
                numbers(&bytes[..], tensor.dtype() == DType::F64, each).map_err(Error::io(&self.path, "read"))
            }
        }
    }
}

/// Little-endian numbers, until there are no more.
fn numbers(mut bytes: impl Read, double: bool, each: &mut dyn FnMut(f64)) -> std::io::Result<()> {
    let mut block = [0; 1 << 13];
    loop {
        let mut filled = 0;
        while filled < block.len() {
            match bytes.read(&mut block[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        if double {
            block[..filled].as_chunks().0.iter().for_each(|&number| each(f64::from_le_bytes(number)));
        } else {
            block[..filled]
                .as_chunks()
                .0
                .iter()
                .for_each(|&number| each(f64::from(f32::from_le_bytes(number))));
        }
        if filled < block.len() {
            return Ok(());
        }
    }
}

fn damaged(path: &Path, error: impl ToString) -> Error {
    Error::content(path, "weights by torch.save, or safetensors", error)
}

/// Reads the header alone.
fn open_safetensors(path: &Path, mut file: fs::File) -> Result<Tensors, Error> {
    let length = file.metadata().map_err(Error::io(path, "look at"))?.len();
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes).map_err(Error::io(path, "read"))?;
    let header = u64::from_le_bytes(bytes);
    if header > LONGEST_HEADER || header + 8 > length {
        return Err(damaged(path, format!("a header of {header} bytes in a file of {length}")));
    }
    let mut text = vec![0; header as usize];
    file.read_exact(&mut text).map_err(Error::io(path, "read"))?;
    // Reading it checks that tensors lie one behind the other, each as long as its shape says.
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|error| damaged(path, error))?;
    let expected = header + 8 + metadata.data_len() as u64;
    if expected != length {
        return Err(damaged(path, format!("{length} bytes where its header describes {expected}")));
    }
    let infos = metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
    Ok(Tensors::Safetensors(infos, header + 8))
}

/// Reads the pickle of names and shapes, which knows tensors and containers and runs no code.
fn open_pickled(path: &Path, file: fs::File) -> Result<Tensors, Error> {
    if let Ok(archive) = zip::ZipArchive::new(file) {
        for name in archive.file_names() {
            let name = name.map_err(|error| damaged(path, error))?;
            let entry = name.split_once('/').map_or(&*name, |(_, entry)| entry);
            let known = ["data.pkl", "version", "byteorder", ".format_version", ".storage_alignment"];
            if !(known.contains(&entry) || entry.starts_with("data/") || entry.ends_with("serialization_id"))
            {
                return Err(damaged(path, format!("an archive with the entry {name:?}")));
            }
        }
    }
    Ok(Tensors::Pickled(PytorchReader::new(path).map_err(|error| damaged(path, error))?.into_tensors()))
}
