//! Everything a training run needs to go on as if it had never stopped, in one file.
//!
//! A magic and a version stand in front, and a checksum behind. Between them lie the settings and the history of the run, as `bincode` writes it,
//! and a safetensors file with the numbers. This is the only file that names `bincode`, so that it can be replaced.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Seek as _, Write as _};
use std::path::Path;

use backstitch_core::optim::{Optimizer, OptimizerState, ParameterState};
use backstitch_core::{History, Model, Scalar, Tensor};
use bincode::config::standard;
use bincode::error::DecodeError;
use bincode::serde::{decode_from_slice, encode_to_vec};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::atomic;
use crate::error::Error;
use crate::floats::Floats;
use crate::safetensors::file::{self, Entry, Header};
use crate::safetensors::whole;

const MAGIC: [u8; 12] = *b"backstitch\r\n";
const VERSION: u32 = 3;
/// The most bytes of an outline: some 50,000 epochs.
const LONGEST_OUTLINE: usize = 4 << 20;
/// What the names of the model's tensors begin with in the file, and those of the optimizer's.
const MODEL: &str = "model/";
const OPTIMIZER: &str = "optimizer/";

/// What a run was told, beside its optimizer. A checkpoint of another run must not be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSettings {
    /// Seed of the run: with the number of epochs, the position of every random stream.
    pub seed: u64,
    /// Samples a step: with the number of epochs, the position of a schedule.
    pub batch_size: usize,
    /// All else that a run to be resumed must agree in, as a text.
    pub settings: String,
}

/// The state of a training run between two epochs.
///
/// Random streams have no state to save: they are made from the seed and from how many epochs have
/// been (see [`backstitch_core::rng`]), both of which are here.
#[derive(Debug, PartialEq)]
pub struct Checkpoint<F: Scalar = f32> {
    /// What the run was told.
    pub run: RunSettings,
    /// The records of all epochs so far.
    pub history: History,
    /// What the optimizer remembers, its kind, its learning rate and its settings.
    pub optimizer: OptimizerState,
    /// Parameters and buffers by name.
    pub state: BTreeMap<String, Tensor<F>>,
}

/// A checkpoint without its numbers, which are tensors of the file.
#[derive(Serialize, Deserialize)]
struct Outline {
    run: RunSettings,
    history: History,
    optimizer: OptimizerOutline,
}

#[derive(Serialize, Deserialize)]
struct OptimizerOutline {
    kind: String,
    learning_rate: f64,
    settings: Vec<(String, f64)>,
    /// Of each parameter its name, its steps, and how many rows of numbers are remembered.
    of_parameters: Vec<(String, u64, usize)>,
}

impl<F: Scalar> Checkpoint<F> {
    /// The state of a run as it is now.
    pub fn new(run: RunSettings, model: &Model<F>, optimizer: &dyn Optimizer<F>, history: &History) -> Self {
        let copy = |(name, value): (&str, &Tensor<F>)| {
            let mut copy = Tensor::default();
            copy.copy_from(value);
            (name.to_owned(), copy)
        };
        let state = model.state().into_iter().map(copy).collect();
        Self { run, history: history.clone(), optimizer: optimizer.state(), state }
    }

    /// Writes the checkpoint, atomically.
    ///
    /// # Errors
    /// If the file cannot be written, or history and settings take more than 4 MiB.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let wrong = |got: String| Error::content(path, "a history and settings of at most 4 MiB", got);
        let outline = encode_to_vec(self.outline(), standard()).map_err(|error| wrong(error.to_string()))?;
        if outline.len() > LONGEST_OUTLINE {
            return Err(wrong(format!("{} bytes", outline.len())));
        }
        let mut payload = Cursor::new((outline.len() as u64).to_le_bytes().to_vec());
        payload
            .seek_relative(8)
            .and_then(|()| payload.write_all(&outline))
            .map_err(Error::io(path, "write"))?;
        file::write(&mut payload, &Map::new(), &self.entries()).map_err(Error::io(path, "write"))?;
        let payload = payload.into_inner();
        atomic::write(path, |to| {
            to.write_all(&MAGIC)?;
            to.write_all(&VERSION.to_le_bytes())?;
            to.write_all(&payload)?;
            to.write_all(&crc32fast::hash(&payload).to_le_bytes())
        })
    }

    fn outline(&self) -> Outline {
        let optimizer = OptimizerOutline {
            kind: self.optimizer.kind.clone(),
            learning_rate: self.optimizer.learning_rate,
            settings: self.optimizer.settings.clone(),
            of_parameters: self
                .optimizer
                .of_parameters
                .iter()
                .map(|of| (of.name.clone(), of.steps, of.values.len()))
                .collect(),
        };
        Outline { run: self.run.clone(), history: self.history.clone(), optimizer }
    }

    fn entries(&self) -> Vec<Entry<'_>> {
        let mut entries: Vec<_> =
            self.state.iter().map(|(name, tensor)| whole(format!("{MODEL}{name}"), tensor)).collect();
        for of in &self.optimizer.of_parameters {
            for (i, row) in of.values.iter().enumerate() {
                // As short as it can be without another bit.
                let double = row.iter().any(|&v| f64::from(v as f32).to_bits() != v.to_bits());
                let (name, shape) = (optimizer_name(&of.name, i), vec![row.len()]);
                entries.push(Entry { name, shape, double, number: Box::new(|i| row[i]) });
            }
        }
        entries
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// If the file cannot be read, is no checkpoint, is one of another version or of a model with other numbers than `F`, or is damaged.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
        let Some(rest) = bytes.strip_prefix(&MAGIC) else {
            return Err(Error::content(path, "a backstitch checkpoint", "another kind of file"));
        };
        let Some((version, rest)) = rest.split_first_chunk::<4>() else {
            return Err(Error::content(path, "a version", "the end of the file"));
        };
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            let got = format!("version {version}, of another backstitch: its run has to start anew");
            return Err(Error::content(path, format!("a checkpoint of version {VERSION}"), got));
        }
        let damaged = |got: &str| Error::content(path, "a whole checkpoint", got);
        let (payload, checksum) =
            rest.split_last_chunk::<4>().ok_or_else(|| damaged("the end of the file"))?;
        if crc32fast::hash(payload) != u32::from_le_bytes(*checksum) {
            return Err(damaged("another checksum: it is cut or damaged"));
        }
        Self::decode(path, payload)
    }

    fn decode(path: &Path, payload: &[u8]) -> Result<Self, Error> {
        let damaged = |got: String| Error::content(path, "the outline of a checkpoint", got);
        let (length, rest) =
            payload.split_first_chunk().ok_or_else(|| damaged("the end of the file".into()))?;
        let length = usize::try_from(u64::from_le_bytes(*length))
            .ok()
            .filter(|&length| length <= rest.len().min(LONGEST_OUTLINE));
        let length = length.ok_or_else(|| damaged(format!("a longer one, in {} bytes", rest.len())))?;
        let (outline, payload) = rest.split_at(length);
        let (outline, read) = read_outline(outline).map_err(|error| damaged(error.to_string()))?;
        if read != length {
            return Err(damaged(format!("{} bytes behind it", length - read)));
        }
        let Outline { run, history, optimizer: outline } = outline;
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
        let OptimizerOutline { kind, learning_rate, settings, .. } = outline;
        Ok(Self {
            run,
            history,
            optimizer: OptimizerState { kind, learning_rate, settings, of_parameters },
            state,
        })
    }

    /// Brings model and optimizer into the state they had, and returns the history to go on after. The optimizer gets back its learning rate,
    /// too. Everything is checked before anything is changed. The path is for messages.
    ///
    /// # Errors
    /// If the checkpoint is of a run with another seed, batch size or other settings, or does not fit the model or the optimizer.
    pub fn restore(
        &self,
        path: &Path,
        run: &RunSettings,
        model: &mut Model<F>,
        optimizer: &mut dyn Optimizer<F>,
    ) -> Result<History, Error> {
        let differs = |what: &str, expected: &dyn ToString, got: &dyn ToString| {
            Err(Error::content(path, format!("a run with {what} {}", expected.to_string()), got.to_string()))
        };
        if self.run.seed != run.seed {
            return differs("seed", &run.seed, &self.run.seed);
        }
        if self.run.batch_size != run.batch_size {
            return differs("batch size", &run.batch_size, &self.run.batch_size);
        }
        if self.run.settings != run.settings {
            return differs("settings", &run.settings, &self.run.settings);
        }
        let shapes = self.state.iter().map(|(name, value)| (name.clone(), value.shape())).collect();
        model.check_part("*", &shapes).map_err(Error::model(path))?;
        optimizer.load_state(&self.optimizer, model).map_err(Error::model(path))?;
        model.load_state(&self.state).map_err(Error::model(path))?;
        Ok(self.history.clone())
    }
}

fn optimizer_name(parameter: &str, row: usize) -> String {
    format!("{OPTIMIZER}{parameter}/{row}")
}

/// An outline, and how many bytes it has.
///
/// Without a limit, 30 bytes can promise a text of 4 TB, for which memory would be taken. `bincode` has its limit from the compiler, and counts
/// what it takes, up to 13 times what it reads: so there are two, for short outlines and for long ones.
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
    use backstitch_core::optim::{Adam, Sgd};
    use backstitch_core::{EpochRecord, Net};
    use proptest::prelude::*;

    use super::*;

    fn model<F: Scalar>(units: usize, seed: u64) -> Model<F> {
        let net = Net::new().push(dense(units)).push(batch_norm());
        Model::new(net, &[3], seed).unwrap()
    }

    fn sgd<F: Scalar>() -> Sgd<F> {
        Sgd::new(0.1).unwrap().momentum(0.9).unwrap()
    }

    fn run() -> RunSettings {
        RunSettings { seed: 3, batch_size: 32, settings: "relu".to_owned() }
    }

    fn history() -> History {
        let record = |epoch| EpochRecord {
            epoch,
            // No decimal fraction of 16 digits is this number.
            train_loss: 0.1 + 0.2 + epoch as f64 * 1e-17,
            penalty: 1e-300,
            train_accuracy: 1.0 / 3.0,
            validation_loss: (epoch == 1).then_some(2.0 / 7.0),
            validation_accuracy: None,
        };
        History { epochs: vec![record(1), record(2)], restored: Some(1) }
    }

    /// What an optimizer may remember of the model, with numbers that are no `f32`.
    fn remembered<F: Scalar>(model: &Model<F>, optimizer: &mut dyn Optimizer<F>, rows: usize) {
        let mut state = optimizer.state();
        for name in ["dense1.weight", "dense1.bias", "batchnorm1.weight", "batchnorm1.bias"] {
            let count = model.state()[name].data().len();
            let number = |row, i| F::from_f64(0.1 + (i + row) as f64).as_f64();
            let row = |row| (0..count).map(|i| number(row, i)).collect();
            let values = (0..rows).map(row).collect();
            state.of_parameters.push(ParameterState { name: name.to_owned(), steps: 7, values });
        }
        state.of_parameters.sort_by(|a, b| a.name.cmp(&b.name));
        optimizer.load_state(&state, model).unwrap();
    }

    fn comes_back<F: Scalar>(optimizer: impl Fn() -> Box<dyn Optimizer<F>>, rows: usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.bin");
        let trained: Model<F> = model(2, 1);
        let mut its = optimizer();
        remembered(&trained, its.as_mut(), rows);
        its.set_learning_rate(0.012_345_678_912_345_678);
        let saved = Checkpoint::new(run(), &trained, its.as_ref(), &history());
        saved.save(&path).unwrap();
        let loaded = Checkpoint::load(&path).unwrap();
        assert_eq!(loaded, saved);
        let (mut other, mut others) = (model::<F>(2, 2), optimizer());
        assert_eq!(loaded.restore(&path, &run(), &mut other, others.as_mut()).unwrap(), history());
        assert_eq!(other.state(), trained.state());
        assert_eq!(others.state(), its.state());
    }

    #[test]
    fn a_checkpoint_comes_back_with_all_bits() {
        comes_back::<f32>(|| Box::new(sgd()), 1);
        comes_back::<f64>(|| Box::new(sgd()), 1);
        comes_back::<f32>(|| Box::new(Adam::new(0.1).unwrap()), 2);
        comes_back::<f64>(|| Box::new(Adam::new(0.1).unwrap()), 2);
    }

    #[test]
    fn what_is_of_another_run_is_refused_by_name_and_nothing_is_changed() {
        let path = Path::new("c");
        let trained: Model = model(2, 1);
        let mut its = sgd();
        remembered(&trained, &mut its, 1);
        let refused = |spoil: &dyn Fn(&mut Checkpoint), expected: &str| {
            let mut checkpoint = Checkpoint::new(run(), &trained, &its, &history());
            spoil(&mut checkpoint);
            let (mut other, mut others) = (model(2, 2), sgd());
            let error = checkpoint.restore(path, &run(), &mut other, &mut others).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(other.state(), model::<f32>(2, 2).state(), "{expected}");
            assert_eq!(others.state(), sgd::<f32>().state(), "{expected}");
        };
        refused(&|c| c.run.seed = 4, "c: expected a run with seed 3, got 4");
        refused(&|c| c.run.batch_size = 64, "expected a run with batch size 32, got 64");
        refused(&|c| c.run.settings = "tanh".to_owned(), "expected a run with settings relu, got tanh");
        refused(&|c| drop(c.state.remove("dense1.bias")), "missing [\"dense1.bias\"]");
        let larger =
            |c: &mut Checkpoint| drop(c.state.insert("dense1.bias".to_owned(), Tensor::zeros(&[3]).unwrap()));
        refused(&larger, "dense1.bias: expected [2], got [3]");
        refused(&|c| c.optimizer.kind = "adam".to_owned(), "optimizer state: expected sgd, got adam");
        refused(&|c| c.optimizer.settings[0].1 = 0.5, "momentum of sgd: expected 0.9, got 0.5");
        refused(
            &|c| c.optimizer.of_parameters[1].values[0].truncate(1),
            "batchnorm1.weight: expected rows of 2",
        );
        let twice = |c: &mut Checkpoint| c.optimizer.of_parameters[1] = c.optimizer.of_parameters[0].clone();
        refused(&twice, "optimizer state of batchnorm1.bias: expected every name once");
    }

    #[test]
    fn what_is_of_other_numbers_or_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.bin");
        Checkpoint::new(run(), &model::<f64>(2, 1), &sgd(), &History::default()).save(&path).unwrap();
        let error = Checkpoint::<f32>::load(&path).unwrap_err().to_string();
        assert!(error.contains("expected batchnorm1.bias of F32, got F64"), "{error}");
        let mut bytes = fs::read(&path).unwrap();
        bytes[12] = 2;
        fs::write(&path, bytes).unwrap();
        let error = Checkpoint::<f64>::load(&path).unwrap_err().to_string();
        assert!(error.contains("expected a checkpoint of version 3, got version 2"), "{error}");
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.bin");
        Checkpoint::new(run(), &model::<f32>(2, 1), &sgd(), &History::default()).save(&path).unwrap();
        let good = fs::read(&path).unwrap();
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0x41;
            fs::write(&path, &bad).unwrap();
            Checkpoint::<f32>::load(&path).unwrap_err();
            fs::write(&path, &good[..i]).unwrap();
            Checkpoint::<f32>::load(&path).unwrap_err();
        }
    }

    /// The bytes between the head and the checksum of a good file.
    fn payload() -> Vec<u8> {
        let mut its = sgd();
        remembered(&model(2, 1), &mut its, 1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        Checkpoint::new(run(), &model::<f32>(2, 1), &its, &history()).save(&path).unwrap();
        let bytes = fs::read(path).unwrap();
        bytes[16..bytes.len() - 4].to_vec()
    }

    #[test]
    fn lengths_that_are_not_there_are_refused() {
        let good = payload();
        for end in 0..good.len() {
            Checkpoint::<f32>::decode(Path::new("c"), &good[..end]).unwrap_err();
        }
        // A text that promises 4 TB, and nothing else: the settings of a run.
        let promise = encode_to_vec((3_u64, 32_usize, 1_u64 << 42), standard()).unwrap();
        let bytes = [&(promise.len() as u64).to_le_bytes()[..], &promise].concat();
        let error = Checkpoint::<f32>::decode(Path::new("c"), &bytes).unwrap_err().to_string();
        assert!(error.starts_with("c: expected the outline of a checkpoint, got "), "{error}");
        // An outline that is said to be longer than the file.
        let long = [&(1_u64 << 42).to_le_bytes()[..], &good[8..]].concat();
        let error = Checkpoint::<f32>::decode(Path::new("c"), &long).unwrap_err().to_string();
        assert!(error.contains("got a longer one, in "), "{error}");
        // More rows than there are tensors.
        let rows = good.windows(13).position(|bytes| bytes == b"dense1.bias\x07\x01").unwrap() + 12;
        let mut more = good;
        more[rows] = 9;
        let error = Checkpoint::<f32>::decode(Path::new("c"), &more).unwrap_err().to_string();
        assert!(error.contains("c: expected a tensor"), "{error}");
    }

    proptest! {
        /// With a checksum that is right, what is wrong is found further in.
        #[test]
        fn no_bytes_make_it_panic(at in 0_usize..2500, noise in proptest::collection::vec(any::<u8>(), 1..12)) {
            let mut bytes = payload();
            let start = at % bytes.len();
            for (byte, noise) in bytes[start..].iter_mut().zip(&noise) {
                *byte = *noise;
            }
            if let Ok(checkpoint) = Checkpoint::<f32>::decode(Path::new("c"), &bytes) {
                let _ = checkpoint.restore(Path::new("c"), &run(), &mut model(2, 1), &mut sgd());
            }
        }
    }
}
