//! Checkpoints: everything a training run needs to continue as if it had never stopped, in one file.
//!
//! The file begins with a magic number and a version, and ends with a checksum. Between them are the settings and the history of
//! the run, written by `bincode`, and a safetensors file with the numbers. This is the only source file that names `bincode`, so
//! that it can be replaced.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Seek as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use backstitch_core::optim::{OptimizerState, ParameterState};
use backstitch_core::train::{Callback, CallbackError, Checkpoint, ModelState, Run};
use backstitch_core::{History, Scalar, Tensor};
use bincode::config::standard;
use bincode::error::DecodeError;
use bincode::serde::{decode_from_slice, encode_to_vec};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::atomic;
use crate::error::Error;
use crate::floats::Floats;
use crate::safetensors::file::{self, CHECKPOINT, Header, TensorEntry};
use crate::safetensors::whole;

const VERSION: u32 = 4;
/// The key in the file of the best weights under which it says their epoch.
const BEST_EPOCH: &str = "best_epoch";
/// The largest outline in bytes: about 50,000 epochs.
const LONGEST_OUTLINE: usize = 4 << 20;
/// The names of the model's tensors in the file begin with the first, those of the optimizer's with the second.
const MODEL: &str = "model/";
const OPTIMIZER: &str = "optimizer/";

/// A callback that writes checkpoints of a run to one file, and its best weights to another file beside it. The second file is
/// written only when the best weights change.
///
/// ```
/// use backstitch::{Dataset, Model, Trainer, data, layers::dense, optim::Adam};
/// use backstitch::checkpoint::{self, SaveCheckpoints};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("run.checkpoint");
/// let data: Dataset = data::blobs(60, 3, 0.1, 0)?;
/// let trainer = |epochs| Trainer::new(Adam::new(0.01)).epochs(epochs);
/// let mut model = Model::new(dense(3), &data.input_shape(), 0)?;
/// trainer(2).callback(SaveCheckpoints::new(&path)).fit(&mut model, &data)?;
/// // Later, or after an interruption: on to 5 epochs.
/// let mut again = Model::new(dense(3), &data.input_shape(), 0)?;
/// let history = trainer(5).resume(checkpoint::load_if_exists(&path)?).fit(&mut again, &data)?;
/// assert_eq!(history.epochs.len(), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SaveCheckpoints {
    path: PathBuf,
    best: Option<usize>,
}

impl SaveCheckpoints {
    /// Writes to this file after each epoch, atomically.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), best: None }
    }
}

impl<F: Scalar> Callback<F> for SaveCheckpoints {
    fn epoch(&mut self, run: &Run<'_, F>) -> Result<ControlFlow<()>, CallbackError> {
        let saved = run.checkpoint();
        let best = saved.best.as_ref().map(|(epoch, _)| *epoch);
        // The best weights are written first, so that an outline never names an epoch whose weights are missing.
        if best.is_some() && best != self.best {
            save_best(&self.path, &saved)?;
            self.best = best;
        }
        save_outline(&self.path, &saved)?;
        Ok(ControlFlow::Continue(()))
    }
}

/// A checkpoint without its numbers. The numbers are tensors of the file.
#[derive(Serialize, Deserialize)]
struct Outline {
    settings: Vec<(String, String)>,
    history: History,
    /// The best epoch, whose weights are in the file beside this one.
    best: Option<usize>,
    optimizer: OptimizerOutline,
}

#[derive(Serialize, Deserialize)]
struct OptimizerOutline {
    kind: String,
    learning_rate: f64,
    settings: Vec<(String, f64)>,
    /// For each parameter: its name, its steps, and the number of rows that the optimizer remembers.
    of_parameters: Vec<(String, u64, usize)>,
}

/// Writes a run to a file, and its best weights, if it has some, to a file beside it.
///
/// # Errors
/// If a file cannot be written, or history and settings take more than 4 MiB.
pub fn save<F: Scalar>(path: impl AsRef<Path>, saved: &Checkpoint<F>) -> Result<(), Error> {
    let path = path.as_ref();
    save_best(path, saved)?;
    save_outline(path, saved)
}

/// The path of the file beside a checkpoint that holds the best weights of the run.
pub fn best_path(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".best.safetensors");
    path.with_file_name(name)
}

fn save_best<F: Scalar>(path: &Path, saved: &Checkpoint<F>) -> Result<(), Error> {
    let Some((epoch, state)) = &saved.best else { return Ok(()) };
    let texts = Map::from_iter([(BEST_EPOCH.to_owned(), epoch.to_string().into())]);
    let entries: Vec<_> = state.iter().map(|(name, tensor)| whole(name.clone(), tensor)).collect();
    atomic::write(best_path(path), |to| file::write(to, &texts, &entries))
}

fn save_outline<F: Scalar>(path: &Path, saved: &Checkpoint<F>) -> Result<(), Error> {
    let wrong = |got: String| Error::content(path, "a history and settings of at most 4 MiB", got);
    let outline = encode_to_vec(outline(saved), standard()).map_err(|error| wrong(error.to_string()))?;
    if outline.len() > LONGEST_OUTLINE {
        return Err(wrong(format!("{} bytes", outline.len())));
    }
    let mut payload = Cursor::new((outline.len() as u64).to_le_bytes().to_vec());
    payload.seek_relative(8).and_then(|()| payload.write_all(&outline)).map_err(Error::io(path, "write"))?;
    file::write(&mut payload, &Map::new(), &entries(saved)).map_err(Error::io(path, "write"))?;
    let payload = payload.into_inner();
    atomic::write(path, |to| {
        to.write_all(CHECKPOINT)?;
        to.write_all(&VERSION.to_le_bytes())?;
        to.write_all(&payload)?;
        to.write_all(&crc32fast::hash(&payload).to_le_bytes())
    })
}

fn outline<F: Scalar>(saved: &Checkpoint<F>) -> Outline {
    let OptimizerState { kind, learning_rate, settings, of_parameters } = &saved.optimizer;
    let optimizer = OptimizerOutline {
        kind: kind.clone(),
        learning_rate: *learning_rate,
        settings: settings.clone(),
        of_parameters: of_parameters.iter().map(|of| (of.name.clone(), of.steps, of.values.len())).collect(),
    };
    let best = saved.best.as_ref().map(|(epoch, _)| *epoch);
    Outline { settings: saved.settings.clone(), history: saved.history.clone(), best, optimizer }
}

fn entries<F: Scalar>(saved: &Checkpoint<F>) -> Vec<TensorEntry<'_>> {
    let mut entries: Vec<_> =
        saved.state.iter().map(|(name, tensor)| whole(format!("{MODEL}{name}"), tensor)).collect();
    for of in &saved.optimizer.of_parameters {
        for (i, row) in of.values.iter().enumerate() {
            // As short as possible without changing a bit.
            let double = row.iter().any(|&v| f64::from(v as f32).to_bits() != v.to_bits());
            let (name, shape) = (optimizer_name(&of.name, i), vec![row.len()]);
            entries.push(TensorEntry { name, shape, double, number: Box::new(|i| row[i]) });
        }
    }
    entries
}

/// As [`load`], but `None` if there is no such file.
///
/// # Errors
/// As [`load`].
pub fn load_if_exists<F: Scalar>(path: impl AsRef<Path>) -> Result<Option<Checkpoint<F>>, Error> {
    let path = path.as_ref();
    if path.exists() { load(path).map(Some) } else { Ok(None) }
}

/// Reads a run from a file, and its best weights, if it has some, from the file beside it.
///
/// # Errors
/// If a file cannot be read, is not a checkpoint, has another version, belongs to a model with numbers other than `F`, or is
/// damaged, or if the best weights are of another epoch.
pub fn load<F: Scalar>(path: impl AsRef<Path>) -> Result<Checkpoint<F>, Error> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    let Some(rest) = bytes.strip_prefix(CHECKPOINT) else {
        return Err(Error::content(path, "a backstitch checkpoint", "another kind of file"));
    };
    let Some((version, rest)) = rest.split_first_chunk::<4>() else {
        return Err(Error::content(path, "a version", "the end of the file"));
    };
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        let got = format!(
            "version {version}, written by another version of backstitch: start the run again from its beginning"
        );
        return Err(Error::content(path, format!("a checkpoint of version {VERSION}"), got));
    }
    let damaged = |got: &str| Error::content(path, "a whole checkpoint", got);
    let (payload, checksum) = rest.split_last_chunk::<4>().ok_or_else(|| damaged("the end of the file"))?;
    if crc32fast::hash(payload) != u32::from_le_bytes(*checksum) {
        return Err(damaged("a wrong checksum: the file is cut or damaged"));
    }
    let (mut saved, best) = decode(path, payload)?;
    if let Some(epoch) = best {
        saved.best = Some((epoch, load_best(&best_path(path), epoch)?));
    }
    Ok(saved)
}

fn load_best<F: Scalar>(path: &Path, epoch: usize) -> Result<ModelState<F>, Error> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    let header = Header::read(path, Cursor::new(&bytes), bytes.len() as u64)?;
    let saved = header.texts.get(BEST_EPOCH).cloned().unwrap_or_else(|| "none".to_owned());
    if saved != epoch.to_string() {
        return Err(Error::content(
            path,
            format!("the weights of epoch {epoch}"),
            format!("those of epoch {saved}"),
        ));
    }
    let names = header.tensors.keys();
    names.map(|name| Ok((name.clone(), header.tensor(path, Cursor::new(&bytes), name)?))).collect()
}

/// A run, and its best epoch.
fn decode<F: Scalar>(path: &Path, payload: &[u8]) -> Result<(Checkpoint<F>, Option<usize>), Error> {
    let damaged = |got: String| Error::content(path, "the outline of a checkpoint", got);
    let (length, rest) = payload.split_first_chunk().ok_or_else(|| damaged("the end of the file".into()))?;
    let length = usize::try_from(u64::from_le_bytes(*length))
        .ok()
        .filter(|&length| length <= rest.len().min(LONGEST_OUTLINE));
    let length = length.ok_or_else(|| damaged(format!("a longer one, in {} bytes", rest.len())))?;
    let (outline, payload) = rest.split_at(length);
    let (outline, read) = read_outline(outline).map_err(|error| damaged(error.to_string()))?;
    if read != length {
        return Err(damaged(format!("{} bytes after it", length - read)));
    }
    let Outline { settings, history, best, optimizer: outline } = outline;
    let header = Header::read(path, payload, payload.len() as u64)?;
    let mut state = BTreeMap::new();
    let kind = if size_of::<F>() == 8 { Floats::F64 } else { Floats::F32 };
    for name in header.tensors.keys() {
        let Some(own) = name.strip_prefix(MODEL) else { continue };
        let stored = header.numbers(path, name)?;
        if stored != kind {
            return Err(Error::content(path, format!("{own} of {kind:?}"), format!("{stored:?}")));
        }
        state.insert(own.to_owned(), header.tensor(path, Cursor::new(payload), name)?);
    }
    let mut taken = state.len();
    let mut of_parameters = Vec::new();
    for (name, steps, rows) in outline.of_parameters {
        let mut values = Vec::new();
        for i in 0..rows {
            let stored = optimizer_name(&name, i);
            if !header.tensors.contains_key(&stored) {
                return Err(Error::content(path, format!("a tensor {stored:?}"), "none"));
            }
            let row: Tensor<f64> = header.tensor(path, Cursor::new(payload), &stored)?;
            values.push(row.data().to_vec());
            taken += 1;
        }
        of_parameters.push(ParameterState { name, steps, values });
    }
    if taken != header.tensors.len() {
        let got = format!("{} tensors", header.tensors.len());
        return Err(Error::content(path, format!("{taken} tensors, which its outline has"), got));
    }
    let OptimizerOutline { kind, learning_rate, settings: of_optimizer, .. } = outline;
    let optimizer = OptimizerState { kind, learning_rate, settings: of_optimizer, of_parameters };
    Ok((Checkpoint { settings, state, optimizer, history, best: None }, best))
}

fn optimizer_name(parameter: &str, row: usize) -> String {
    format!("{OPTIMIZER}{parameter}/{row}")
}

/// An outline, and its number of bytes.
///
/// Without a limit, 30 bytes can announce a text of 4 TB, and `bincode` would take memory for it. The limit of `bincode` is a
/// constant at compile time, and counts the memory taken, which is up to 13 times the bytes read. So there are two limits: for
/// short outlines and for long ones.
fn read_outline(bytes: &[u8]) -> Result<(Outline, usize), DecodeError> {
    const SHORT: usize = 64 << 10;
    match bytes.len() {
        ..=SHORT => decode_from_slice(bytes, standard().with_limit::<{ 16 * SHORT }>()),
        _ => decode_from_slice(bytes, standard().with_limit::<{ 16 * LONGEST_OUTLINE }>()),
    }
}

#[cfg(test)]
mod tests {
    use backstitch_core::layers::{batch_norm, dense};
    use backstitch_core::optim::{Adam, Optimizer, Sgd};
    use backstitch_core::{Dataset, Model, Net, Trainer, data};
    use proptest::prelude::*;

    use super::*;

    fn model<F: Scalar>(seed: u64) -> Model<F> {
        Model::new(Net::new().push(dense(2)).push(batch_norm()), &[2], seed).unwrap()
    }

    fn samples<F: Scalar>() -> Dataset<F> {
        data::blobs(24, 2, 0.3, 1).unwrap()
    }

    /// A run of two epochs, with early stopping, and with numbers that `f32` cannot hold if `F` can.
    fn run<F: Scalar>(optimizer: impl Optimizer<F>) -> Checkpoint<F> {
        let (mut model, samples) = (model(1), samples());
        let trainer = Trainer::new(optimizer).epochs(5).batch_size(8).early_stopping(3);
        let mut run = trainer.validation(&samples).start(&mut model, &samples).unwrap();
        for _ in 0..2 {
            run.epoch().unwrap();
        }
        run.checkpoint()
    }

    fn momentum() -> Sgd {
        Sgd::new(0.1).momentum(0.9)
    }

    fn comes_back<F: Scalar>(optimizer: impl Optimizer<F>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        assert!(load_if_exists::<F>(&path).unwrap().is_none());
        let saved = run(optimizer);
        assert!(saved.best.is_some() && !saved.optimizer.of_parameters.is_empty());
        save(&path, &saved).unwrap();
        assert_eq!(load_if_exists(&path).unwrap(), Some(saved));
    }

    #[test]
    fn a_run_comes_back_with_all_bits() {
        comes_back::<f32>(momentum());
        comes_back::<f64>(momentum());
        comes_back::<f32>(Adam::new(0.1));
        comes_back::<f64>(Adam::new(0.1));
    }

    #[test]
    fn best_weights_are_written_when_they_change_and_have_to_be_those_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        let mut saved = run::<f32>(momentum());
        save(&path, &saved).unwrap();
        saved.best = saved.best.map(|(_, state)| (7, state));
        save_outline(&path, &saved).unwrap();
        let error = load::<f32>(&path).unwrap_err().to_string();
        assert!(error.contains("expected the weights of epoch 7, got those of epoch"), "{error}");
        fs::remove_file(best_path(&path)).unwrap();
        assert!(load::<f32>(&path).is_err());
        // Without early stopping there is no such file.
        let alone = Checkpoint { best: None, ..saved };
        save(&path, &alone).unwrap();
        assert!(!best_path(&path).exists());
        assert_eq!(load(&path).unwrap(), alone);
    }

    #[test]
    fn what_is_of_other_numbers_or_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        save(&path, &run::<f64>(momentum())).unwrap();
        let expected = "got a training checkpoint: checkpoint::load reads it";
        let error = crate::safetensors::load(&path, &mut model::<f64>(1)).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
        let error = crate::pytorch::load(&path, &mut model::<f64>(1), str::to_owned).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
        let error = load::<f32>(&path).unwrap_err().to_string();
        assert!(error.contains("expected batchnorm1.bias of F32, got F64"), "{error}");
        let mut bytes = fs::read(&path).unwrap();
        bytes[12] = 3;
        fs::write(&path, bytes).unwrap();
        let error = load::<f64>(&path).unwrap_err().to_string();
        assert!(error.contains("expected a checkpoint of version 4, got version 3"), "{error}");
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        save(&path, &run::<f32>(momentum())).unwrap();
        let good = fs::read(&path).unwrap();
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0x41;
            fs::write(&path, &bad).unwrap();
            load::<f32>(&path).unwrap_err();
            fs::write(&path, &good[..i]).unwrap();
            load::<f32>(&path).unwrap_err();
        }
    }

    /// The bytes between the head and the checksum of a good file.
    fn payload() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        save(&path, &run::<f32>(momentum())).unwrap();
        let bytes = fs::read(path).unwrap();
        bytes[16..bytes.len() - 4].to_vec()
    }

    #[test]
    fn lengths_that_are_not_there_are_refused() {
        let good = payload();
        let decoded = |bytes: &[u8]| decode::<f32>(Path::new("c"), bytes).map(drop);
        for end in 0..good.len() {
            decoded(&good[..end]).unwrap_err();
        }
        // A list that announces 4 TB, and nothing else: the settings of a run.
        let promise = encode_to_vec(1_u64 << 42, standard()).unwrap();
        let bytes = [&(promise.len() as u64).to_le_bytes()[..], &promise].concat();
        let error = decoded(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("c: expected the outline of a checkpoint, got "), "{error}");
        // An outline whose announced length is larger than the file.
        let long = [&(1_u64 << 42).to_le_bytes()[..], &good[8..]].concat();
        let error = decoded(&long).unwrap_err().to_string();
        assert!(error.contains("got a longer one, in "), "{error}");
        // More rows than there are tensors.
        let rows = good.windows(13).position(|bytes| bytes == b"dense1.bias\x06\x01").unwrap() + 12;
        let mut more = good;
        more[rows] = 9;
        let error = decoded(&more).unwrap_err().to_string();
        assert!(error.contains("c: expected a tensor"), "{error}");
    }

    proptest! {
        /// The checksum is right, so the later checks have to find the damage.
        #[test]
        fn no_bytes_make_it_panic(at in 0_usize..2500, noise in proptest::collection::vec(any::<u8>(), 1..12)) {
            let mut bytes = payload();
            let start = at % bytes.len();
            for (byte, noise) in bytes[start..].iter_mut().zip(&noise) {
                *byte = *noise;
            }
            if let Ok((saved, _)) = decode::<f32>(Path::new("c"), &bytes) {
                let trainer = Trainer::new(momentum()).epochs(5).batch_size(8).resume(saved);
                let _ = trainer.start(&mut model(1), &samples()).map(drop);
            }
        }
    }
}
