//! The format of a safetensors file: eight bytes of length, a header in JSON, then the numbers. Tensors are read and written one
//! by one.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use backstitch_core::{MAX_AXES, Scalar, Shape, Tensor};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::{Map, Value, json};

use crate::atomic::Sink;
use crate::error::Error;
use crate::floats::{Floats, KINDS};

/// A longer header is an error. The header of VGG16 has 3 kB.
const LONGEST_HEADER: u64 = 16 << 20;
/// The first bytes of a training checkpoint. Users often give a checkpoint where weights are expected. It is defined here because
/// checkpoints use this file.
pub(crate) const CHECKPOINT: &[u8] = b"backstitch\r\n";
/// The entry of the header that is not a tensor.
const TEXTS: &str = "__metadata__";

/// The header of a file.
#[derive(Debug)]
pub(crate) struct Header {
    /// The offset of the numbers.
    start: u64,
    /// The tensors by name.
    pub(crate) tensors: BTreeMap<String, TensorInfo>,
    /// The metadata by name.
    pub(crate) texts: HashMap<String, String>,
}

/// Whether a file with these first bytes may be a safetensors file.
pub(crate) fn begins_so(start: &[u8]) -> bool {
    start.get(8) == Some(&b'{')
}

/// An error for a file that begins like a training checkpoint. Read as a length, its first 8 bytes would be larger than any file.
pub(crate) fn refuse_checkpoint(path: &Path, start: &[u8], expected: &str) -> Result<(), Error> {
    if !start.starts_with(&CHECKPOINT[..8]) {
        return Ok(());
    }
    Err(Error::content(path, expected, "a training checkpoint: checkpoint::load reads it"))
}

impl Header {
    /// Reads the header of a file of this length, and checks that it describes the rest of it.
    pub(crate) fn read(path: &Path, mut from: impl Read, length: u64) -> Result<Self, Error> {
        let damaged = |got: String| Error::content(path, "a safetensors file", got);
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes).map_err(|_| damaged(format!("{length} bytes")))?;
        refuse_checkpoint(path, &bytes, "a safetensors file")?;
        let header = u64::from_le_bytes(bytes);
        if header > LONGEST_HEADER || header + 8 > length {
            return Err(damaged(format!("a header of {header} bytes in a file of {length}")));
        }
        let mut text = vec![0; header as usize];
        from.read_exact(&mut text).map_err(Error::io(path, "read"))?;
        // Reading it checks that tensors follow each other, each as long as its shape says.
        let metadata: Metadata = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let expected = header + 8 + metadata.data_len() as u64;
        if expected != length {
            return Err(damaged(format!("{length} bytes where its header describes {expected}")));
        }
        let tensors = metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        Ok(Self { start: header + 8, tensors, texts: metadata.metadata().clone().unwrap_or_default() })
    }

    /// The type of a tensor's numbers.
    pub(crate) fn numbers(&self, path: &Path, name: &str) -> Result<Floats, Error> {
        match self.tensors[name].dtype {
            Dtype::F16 => Ok(Floats::F16),
            Dtype::BF16 => Ok(Floats::Bf16),
            Dtype::F32 => Ok(Floats::F32),
            Dtype::F64 => Ok(Floats::F64),
            other => Err(Error::content(path, KINDS, format!("{name} of {other:?}"))),
        }
    }

    /// Reads a tensor, one number after the other.
    pub(crate) fn each(
        &self,
        path: &Path,
        mut from: impl Read + Seek,
        name: &str,
        each: &mut dyn FnMut(f64),
    ) -> Result<(), Error> {
        let kind = self.numbers(path, name)?;
        let info = &self.tensors[name];
        let at = SeekFrom::Start(self.start + info.data_offsets.0 as u64);
        from.seek(at).map_err(Error::io(path, "read"))?;
        let count = info.shape.iter().product();
        kind.read(count, BufReader::with_capacity(1 << 16, from), each).map_err(Error::io(path, "read"))
    }

    /// Reads a tensor. A number that becomes infinite by the conversion is an error.
    pub(crate) fn tensor<F: Scalar>(
        &self,
        path: &Path,
        from: impl Read + Seek,
        name: &str,
    ) -> Result<Tensor<F>, Error> {
        let shape = shape_of(path, name, &self.tensors[name].shape)?;
        // The header was compared with the length of the file, so these numbers exist.
        let mut tensor = Tensor::zeros(&shape).map_err(Error::model(path))?;
        let mut too_large = None;
        let mut places = tensor.data_mut().iter_mut();
        self.each(path, from, name, &mut |value| {
            if let Some(place) = places.next() {
                *place = F::from_f64(value);
                if value.is_finite() && !place.as_f64().is_finite() {
                    too_large = Some(value);
                }
            }
        })?;
        too_large.map_or(Ok(tensor), |value| Err(out_of_range::<F>(path, name, value)))
    }
}

/// The error for a number that is finite in the file, and infinite as `F`.
pub(crate) fn out_of_range<F>(path: &Path, name: &str, value: f64) -> Error {
    Error::content(
        path,
        format!("numbers that f{} can hold", 8 * size_of::<F>()),
        format!("{value:e} in {name}"),
    )
}

/// The shape of a tensor of a file, if it has no more axes than a tensor here can have.
pub(crate) fn shape_of(path: &Path, name: &str, axes: &[usize]) -> Result<Shape, Error> {
    Shape::new(axes).map_err(|_| {
        let expected = format!("tensors with at most {MAX_AXES} axes");
        Error::content(path, expected, format!("{name} with {}", axes.len()))
    })
}

/// A tensor to write: its name, its shape, and a function that gives its numbers.
pub(crate) struct TensorEntry<'a> {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// Whether numbers have 8 bytes instead of 4.
    pub(crate) double: bool,
    pub(crate) number: Box<dyn Fn(usize) -> f64 + 'a>,
}

/// Writes a file. The same content gives the same bytes.
pub(crate) fn write(
    to: &mut dyn Sink,
    texts: &Map<String, Value>,
    entries: &[TensorEntry<'_>],
) -> io::Result<()> {
    let mut header = Map::from_iter([(TEXTS.to_owned(), Value::Object(texts.clone()))]);
    let mut end = 0;
    for TensorEntry { name, shape, double, .. } in entries {
        let (kind, bytes) = if *double { ("F64", 8) } else { ("F32", 4) };
        let start = end;
        end += bytes * shape.iter().product::<usize>();
        let described = json!({ "dtype": kind, "shape": shape, "data_offsets": [start, end] });
        if header.insert(name.clone(), described).is_some() {
            return Err(io::Error::other(format!("two tensors have the name {name:?}")));
        }
    }
    let mut header = serde_json::to_vec(&header)?;
    // Numbers begin at a multiple of 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() as u64 > LONGEST_HEADER {
        return Err(io::Error::other(format!(
            "a header of {} bytes, which is longer than readers accept",
            header.len()
        )));
    }
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(&header)?;
    for TensorEntry { shape, double, number, .. } in entries {
        for i in 0..shape.iter().product() {
            match double {
                true => to.write_all(&number(i).to_le_bytes())?,
                false => to.write_all(&(number(i) as f32).to_le_bytes())?,
            }
        }
    }
    Ok(())
}
