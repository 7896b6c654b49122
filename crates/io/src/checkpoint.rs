//! Everything a training run needs to go on as if it had never stopped, in one file.
//!
//! The only file that names `bincode`, which the project means to replace one day: a magic and a
//! version stand in front, and a checksum behind, so that any other form can be told apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use backstitch_core::optim::{Optimizer, OptimizerState};
use backstitch_core::{History, Model, Tensor};
use ndarray::{ArrayD, IxDyn};
use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::error::Error;

const MAGIC: [u8; 12] = *b"backstitch\r\n";
const VERSION: u32 = 2;

/// The state of a training run between two epochs.
///
/// Random streams have no state to save: they are made from the seed and from how many epochs have
/// been (see [`backstitch_core::rng`]), both of which are here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Seed of the run: with the number of epochs, the position of every random stream.
    pub seed: u64,
    /// What the run was told: a checkpoint of another run must not be gone on with.
    pub settings: String,
    /// What came of every epoch so far.
    pub history: History,
    /// What the optimizer remembers.
    pub optimizer: OptimizerState,
    /// Parameters and buffers: name, shape, values.
    pub state: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl Checkpoint {
    /// The state of a run as it is now.
    pub fn new(
        seed: u64,
        settings: String,
        model: &Model,
        optimizer: &dyn Optimizer<f32>,
        history: &History,
    ) -> Self {
        let state = model.state().into_iter();
        let state =
            state.map(|(name, value)| (name.to_owned(), value.shape().to_vec(), value.data().to_vec()));
        Self {
            seed,
            settings,
            history: history.clone(),
            optimizer: optimizer.state(),
            state: state.collect(),
        }
    }

    /// Writes the checkpoint, atomically.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let payload = bincode::serde::encode_to_vec(self, bincode::config::standard())
            .map_err(|error| Error::content(path, "a state that can be encoded", error))?;
        atomic::write(path, |to| {
            to.write_all(&MAGIC)?;
            to.write_all(&VERSION.to_le_bytes())?;
            to.write_all(&payload)?;
            to.write_all(&crc32fast::hash(&payload).to_le_bytes())
        })
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// If the file cannot be read, is no checkpoint, is one of another version, or is damaged.
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
            return Err(Error::content(path, format!("version {VERSION}"), format!("version {version}")));
        }
        let damaged = |got: &str| Error::content(path, "a whole checkpoint", got);
        let (payload, checksum) =
            rest.split_last_chunk::<4>().ok_or_else(|| damaged("the end of the file"))?;
        if crc32fast::hash(payload) != u32::from_le_bytes(*checksum) {
            return Err(damaged("another checksum: it is cut or damaged"));
        }
        let decoded = bincode::serde::decode_from_slice(payload, bincode::config::standard());
        let (checkpoint, used): (Self, usize) = decoded.map_err(|error| damaged(&error.to_string()))?;
        if used != payload.len() {
            return Err(damaged("bytes behind its end"));
        }
        Ok(checkpoint)
    }

    /// Brings model and optimizer into the state they had, and returns the history to go on after.
    /// The path is for messages.
    ///
    /// # Errors
    /// If the checkpoint is of a run with other settings, or does not fit the model.
    pub fn restore(
        &self,
        path: &Path,
        settings: &str,
        model: &mut Model,
        optimizer: &mut dyn Optimizer<f32>,
    ) -> Result<History, Error> {
        if self.settings != settings {
            return Err(Error::content(path, format!("a run with {settings}"), &self.settings));
        }
        let mut state = BTreeMap::new();
        for (name, shape, values) in &self.state {
            let array = ArrayD::from_shape_vec(IxDyn(shape), values.clone())
                .map_err(|error| Error::content(path, format!("values for {name} {shape:?}"), error))?;
            state.insert(name.clone(), Tensor::from_array(&array).map_err(Error::model(path))?);
        }
        model.load_state(&state).map_err(Error::model(path))?;
        optimizer.load_state(&self.optimizer).map_err(Error::model(path))?;
        Ok(self.history.clone())
    }
}

#[cfg(test)]
mod tests {
    use backstitch_core::layers::dense;
    use backstitch_core::optim::Sgd;
    use backstitch_core::{Activation, Sequential};

    use super::*;

    fn model(seed: u64) -> Model {
        let net = Sequential::new().push(dense(2, Activation::Linear));
        Model::new(net, &[3], seed).unwrap()
    }

    fn sgd() -> Sgd {
        Sgd::new(0.1).unwrap().momentum(0.9).unwrap()
    }

    #[test]
    fn a_checkpoint_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.bin");
        let saved = Checkpoint::new(3, "relu".to_owned(), &model(1), &sgd(), &History::default());
        saved.save(&path).unwrap();
        let loaded = Checkpoint::load(&path).unwrap();
        assert_eq!(loaded, saved);
        let mut other = model(2);
        loaded.restore(&path, "relu", &mut other, &mut sgd()).unwrap();
        assert_eq!(other.state(), model(1).state());
        let error = loaded.restore(&path, "tanh", &mut other, &mut sgd()).unwrap_err().to_string();
        assert!(error.ends_with("expected a run with tanh, got relu"), "{error}");
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.bin");
        Checkpoint::new(3, "relu".to_owned(), &model(1), &sgd(), &History::default()).save(&path).unwrap();
        let good = fs::read(&path).unwrap();
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0x41;
            fs::write(&path, &bad).unwrap();
            Checkpoint::load(&path).unwrap_err();
            fs::write(&path, &good[..i]).unwrap();
            Checkpoint::load(&path).unwrap_err();
        }
    }
}
