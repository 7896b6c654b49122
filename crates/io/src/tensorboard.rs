//! Event files of TensorBoard: scalars, images and hyperparameters of a run. Weights & Biases reads them, too (`wandb sync FOLDER`).
//!
//! A file is a sequence of records: the length in eight bytes, its checksum, the event, its checksum. A checksum is the CRC-32C, rotated,
//! plus a constant (TensorFlow, `core/lib/io/record_writer.cc`); an event is a protobuf message (`core/util/event.proto`).

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use backstitch_core::Scalar;
use backstitch_core::train::{Callback, CallbackError, Run};
use prost::Message;

use crate::error::Error;

/// Writes one event file. As a callback of a trainer, it writes the loss and the metrics of every epoch.
///
/// ```
/// use backstitch::tensorboard::{EventWriter, Hyperparameter};
/// let folder = tempfile::tempdir()?;
/// let mut events = EventWriter::create(folder.path())?;
/// events.hyperparameters(&[("learning rate", Hyperparameter::Number(0.001))])?;
/// events.scalar("loss/training", 1, 0.5)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

/// What a hyperparameter is set to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Hyperparameter {
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
}

impl EventWriter {
    /// A new file in a folder, which is made if need be. It is named as TensorFlow names its own, `events.out.tfevents` with the seconds
    /// since 1970, the machine, the process and a number, and is never one that was there before. Each run needs a folder of its own,
    /// else TensorBoard shows the curves of both as one.
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
        let (path, file) = new_file(folder)?;
        let mut writer = Self { path, file: BufWriter::new(file) };
        writer.event(Event { file_version: Some("brain.Event:2".to_owned()), ..Event::default() })?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number at a step; the part of the tag before a slash is the group it is shown in.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) -> Result<(), Error> {
        self.value(step, Value { simple_value: Some(value as f32), ..Value::tagged(tag) })
    }

    /// A picture at a step, as the bytes of a PNG file of this height and width.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn png(
        &mut self,
        tag: &str,
        step: u64,
        png: &[u8],
        (height, width): (u32, u32),
    ) -> Result<(), Error> {
        let image =
            Image { height: height as i32, width: width as i32, colorspace: 3, encoded: png.to_vec() };
        let metadata = Metadata { plugin: Some(Plugin { name: "images".to_owned(), content: Vec::new() }) };
        self.value(step, Value { image: Some(image), metadata: Some(metadata), ..Value::tagged(tag) })
    }

    /// What the run was started with, for TensorBoard's table of hyperparameters.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn hyperparameters(&mut self, list: &[(&str, Hyperparameter)]) -> Result<(), Error> {
        let setting = |(name, value): &(&str, Hyperparameter)| {
            let value = match value {
                Hyperparameter::Number(number) => Setting { number: Some(*number), text: None },
                Hyperparameter::Text(text) => Setting { number: None, text: Some(text.clone()) },
            };
            ((*name).to_owned(), value)
        };
        let start = SessionStart { settings: list.iter().map(setting).collect(), started: seconds() };
        // How the run ended is not known yet, and so not written.
        let data = HyperparameterData { version: 0, start: Some(start) };
        let plugin = Plugin { name: "hparams".to_owned(), content: data.encode_to_vec() };
        let metadata = Some(Metadata { plugin: Some(plugin) });
        self.value(0, Value { metadata, ..Value::tagged("_hparams_/session_start_info") })
    }

    fn value(&mut self, step: u64, value: Value) -> Result<(), Error> {
        let summary = Some(Summary { values: vec![value] });
        self.event(Event { step: step as i64, summary, ..Event::default() })
    }

    /// One record, on the disk when this returns: a run that is watched, or breaks off, has all its events.
    fn event(&mut self, event: Event) -> Result<(), Error> {
        let event = Event { wall_time: seconds(), ..event }.encode_to_vec();
        let length = (event.len() as u64).to_le_bytes();
        let parts = [&length[..], &checksum(&length), &event, &checksum(&event)];
        let written = parts.into_iter().try_for_each(|part| self.file.write_all(part));
        written.and_then(|()| self.file.flush()).map_err(Error::io(&self.path, "write"))
    }
}

impl<F: Scalar> Callback<F> for EventWriter {
    fn epoch(&mut self, run: &Run<'_, F>) -> Result<ControlFlow<()>, CallbackError> {
        let Some(epoch) = run.history().epochs.last() else { return Ok(ControlFlow::Continue(())) };
        for (name, value) in epoch.figures.iter() {
            // `train_loss` is shown as `loss/training`, beside `loss/validation`.
            let tag = match name.split_once('_') {
                Some(("train", figure)) => format!("{figure}/training"),
                Some(("validation", figure)) => format!("{figure}/validation"),
                _ => name.to_owned(),
            };
            self.scalar(&tag, epoch.epoch as u64, value)?;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Makes a file of a name that nothing in the folder has.
fn new_file(folder: &Path) -> Result<(PathBuf, File), Error> {
    static FILES: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let (seconds, process) = (seconds() as u64, std::process::id());
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.{}.{process}.{number}", machine()));
        match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(&path, "create")(error)),
            Ok(file) => return Ok((path, file)),
        }
    }
}

/// The machine's name where the system tells, with no letters but those that any file's name may have.
fn machine() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("COMPUTERNAME").ok()).unwrap_or_default();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let name: String =
        name.trim().chars().take(63).map(|letter| if plain(letter) { letter } else { '-' }).collect();
    if name.is_empty() { "backstitch".to_owned() } else { name }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

// The messages, with the fields that are written. Numbers are those of TensorFlow's and TensorBoard's .proto files.

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<Image>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
}

impl Value {
    fn tagged(tag: &str) -> Self {
        Self { tag: tag.to_owned(), ..Self::default() }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin: Option<Plugin>,
}

#[derive(Clone, PartialEq, Message)]
struct Plugin {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    content: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct HyperparameterData {
    #[prost(int32, tag = "1")]
    version: i32,
    #[prost(message, optional, tag = "3")]
    start: Option<SessionStart>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    settings: std::collections::BTreeMap<String, Setting>,
    #[prost(double, tag = "5")]
    started: f64,
}

/// google.protobuf.Value.
#[derive(Clone, PartialEq, Message)]
struct Setting {
    #[prost(double, optional, tag = "2")]
    number: Option<f64>,
    #[prost(string, optional, tag = "3")]
    text: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_of_the_same_second_have_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let create = || {
            let mut writer = EventWriter::create(folder.path()).unwrap();
            writer.scalar("loss", 1, 0.5).unwrap();
            fs::read(writer.path()).unwrap().len()
        };
        let lengths: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .chain((0..20).map(|_| create()))
                .collect()
        });
        let sizes: Vec<u64> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 24);
        assert!(sizes.iter().all(|&size| size == lengths[0] as u64), "{sizes:?}");
        let name = EventWriter::create(folder.path())
            .unwrap()
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let parts: Vec<&str> = name.split('.').collect();
        assert_eq!(parts[..3], ["events", "out", "tfevents"]);
        assert_eq!((parts.len(), parts[3].len(), parts[5]), (7, 10, std::process::id().to_string().as_str()));
    }

    #[test]
    fn records_have_lengths_and_checksums() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path().join("new")).unwrap();
        writer.scalar("loss/training", 3, 0.25).unwrap();
        let bytes = fs::read(writer.path()).unwrap();
        let (mut rest, mut events) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], checksum(&rest[..8]));
            let event = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], checksum(event));
            events.push(Event::decode(event).unwrap());
            rest = &rest[16 + length..];
        }
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        let value = &events[1].summary.as_ref().unwrap().values[0];
        assert_eq!(
            (events[1].step, value.tag.as_str(), value.simple_value),
            (3, "loss/training", Some(0.25))
        );
        // RFC 3720, section B.4: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let error = EventWriter::create(writer.path().join("below")).unwrap_err().to_string();
        assert!(error.contains("could not create the folder"), "{error}");
    }
}
