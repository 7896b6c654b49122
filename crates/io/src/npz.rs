//! Arrays of NumPy by name in an `.npz` file: an archive with one `.npy` for each array, compressed or not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use backstitch_core::{MAX_AXES, Model, Shape, Tensor};
use ndarray::{ArrayD, ArrayViewD};
use zip::read::{ArchiveOffset, Config};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::atomic;
use crate::error::Error;
use crate::npy::{self, NpyHeader};
use crate::numbers::Number;

/// Writes every parameter and buffer under its full name. In Python:
/// `numpy.load(path)["dense1.weight"]`.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: impl AsRef<Path>, model: &Model) -> Result<(), Error> {
    let path = path.as_ref();
    atomic::write(path, |to| {
        let mut npz = Writer::new(to);
        model.state().into_iter().try_for_each(|(name, value)| npz.add(name, value.view()))?;
        npz.finish()
    })
}

/// Reads every array of an `.npz` file, compressed or not, into a model. Names and shapes must be those of the model. Floats of
/// any size and integers are converted if `f32` can hold them; `f64` is rounded.
///
/// Names and shapes are compared before any number is read, so a file takes no more memory than the numbers of the model.
///
/// # Errors
/// If the file cannot be read, holds something else, or does not fit the model: the message lists every name that is missing,
/// unexpected or of another shape. Then the model is not changed.
pub fn load(path: impl AsRef<Path>, model: &mut Model) -> Result<(), Error> {
    let path = path.as_ref();
    let mut archive = Archive::open(path)?;
    let mut shapes = BTreeMap::new();
    for name in archive.names() {
        let shape = archive.shape(name).unwrap_or_default();
        let shape = Shape::new(shape)
            .map_err(|_| Error::content(path, format!("at most {MAX_AXES} axes in {name:?}"), shape.len()))?;
        shapes.insert(name.to_owned(), shape);
    }
    model.check_part("*", &shapes).map_err(Error::model(path))?;
    let mut state = BTreeMap::new();
    for name in shapes.into_keys() {
        let tensor = Tensor::from_array(&archive.read(&name)?).map_err(Error::model(path))?;
        state.insert(name, tensor);
    }
    model.load_state(&state).map_err(Error::model(path))
}

/// An `.npz` file that is open for reading.
///
/// ```
/// use backstitch::npz::{Archive, Writer};
/// use backstitch::ndarray::array;
/// let path = tempfile::tempdir()?.keep().join("arrays.npz");
/// let mut writer = Writer::new(std::fs::File::create(&path)?);
/// writer.add("x", array![[1.0_f32, 2.0]].into_dyn().view())?;
/// writer.add("labels", array![3_i64].into_dyn().view())?;
/// writer.finish()?;
/// let mut archive = Archive::open(&path)?;
/// assert_eq!(archive.names().collect::<Vec<_>>(), ["labels", "x"]);
/// assert_eq!(archive.shape("x"), Some(&[1, 2][..]));
/// assert_eq!(archive.read::<f64>("x")?, array![[1.0, 2.0]].into_dyn());
/// # std::fs::remove_dir_all(path.parent().unwrap())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
    /// The position of each array by name, and its header.
    arrays: BTreeMap<String, (usize, NpyHeader)>,
}

impl Archive {
    /// Opens a file and reads the headers of its arrays, but not their numbers.
    ///
    /// # Errors
    /// If the file cannot be read, is not an `.npz` file, has a name twice, or holds anything but arrays of floats and integers.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        let npz = |got: &dyn ToString| Error::content(path, "an .npz file", got.to_string());
        // The archive begins at the start of the file. Looking for it elsewhere would be guessing.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut zip = ZipArchive::with_config(config, BufReader::new(file)).map_err(|error| npz(&error))?;
        if zip.has_duplicate_names() {
            return Err(npz(&"two arrays with the same name"));
        }
        let mut arrays = BTreeMap::new();
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).map_err(|error| npz(&error))?;
            let name = entry.name().map_err(|error| npz(&error))?.into_owned();
            let Some(array) = name.strip_suffix(".npy").map(str::to_owned) else {
                return Err(npz(&format!("an entry {name:?}, whose name does not end in .npy")));
            };
            let header = NpyHeader::read(&mut entry).map_err(|wrong| unlike(path, &array, wrong))?;
            arrays.insert(array, (index, header));
        }
        Ok(Self { path: path.to_owned(), zip, arrays })
    }

    /// The names of the arrays, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// The shape of an array, if there is one of this name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.arrays.get(name).map(|(_, header)| header.shape())
    }

    /// Reads an array. Numbers that `T` can hold exactly are converted, `f64` is rounded to `f32`. An array in Fortran order
    /// keeps that layout.
    ///
    /// Memory is taken as numbers arrive: at most that of the array and of its uncompressed bytes in the file.
    ///
    /// # Errors
    /// If there is no such array, it is shorter or longer than its shape says, it is damaged, or it has a number that `T` cannot
    /// hold.
    pub fn read<T: Number>(&mut self, name: &str) -> Result<ArrayD<T>, Error> {
        let Some((index, header)) = self.arrays.get(name) else {
            let names: Vec<_> = self.names().take(10).collect();
            return Err(Error::content(&self.path, format!("an array {name:?}"), format!("{names:?}")));
        };
        let broken = |error| Error::content(&self.path, "an .npz file", error);
        let mut entry = self.zip.by_index(*index).map_err(broken)?;
        NpyHeader::read(&mut entry)
            .and_then(|_| header.numbers(entry))
            .map_err(|wrong| unlike(&self.path, name, wrong))
    }
}

fn unlike(path: &Path, name: &str, wrong: npy::Mismatch) -> Error {
    Error::content(path, format!("{} in {name:?}", wrong.expected), wrong.got)
}

/// Writes arrays to an `.npz` file, one after the other, uncompressed.
#[derive(Debug)]
pub struct Writer<W: Write + Seek>(ZipWriter<W>);

impl<W: Write + Seek> Writer<W> {
    /// Starts a file without arrays.
    pub fn new(to: W) -> Self {
        Self(ZipWriter::new(to))
    }

    /// Adds an array under a name, in C order.
    ///
    /// # Errors
    /// If it cannot be written, or the name exists already.
    pub fn add<T: Number>(&mut self, name: &str, array: ArrayViewD<'_, T>) -> io::Result<()> {
        // From 4 GB on, zip needs larger headers, and has to know this before it writes.
        let large = npy::written_size(&array) > u64::from(u32::MAX);
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        self.0.start_file(format!("{name}.npy"), options)?;
        npy::write(&mut self.0, &array)
    }

    /// Writes the table of contents, without which the file cannot be read.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> io::Result<()> {
        self.0.finish()?.flush()
    }
}

#[cfg(test)]
mod tests {
    use backstitch_core::Net;
    use backstitch_core::layers::dense;
    use ndarray::{Array1, array};
    use proptest::prelude::*;

    use super::*;

    fn model(hidden: usize, seed: u64) -> Model {
        let net = Net::new().push(dense(hidden).relu()).push(dense(2));
        Model::new(net, &[3], seed).unwrap()
    }

    /// A model for the files that NumPy wrote.
    fn one_layer() -> Model {
        Model::new(Net::new().push(dense(2)), &[3], 1).unwrap()
    }

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fixtures/npz/{name}.npz"))
    }

    fn write_file(path: &Path, arrays: &[(&str, ArrayD<f32>)]) {
        let mut npz = Writer::new(File::create(path).unwrap());
        arrays.iter().for_each(|(name, array)| npz.add(name, array.view()).unwrap());
        npz.finish().unwrap();
    }

    /// An archive of these entries, unchanged.
    fn archive(path: &Path, entries: &[(&str, &[u8])]) {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        for (name, content) in entries {
            zip.start_file(
                *name,
                SimpleFileOptions::default().compression_method(CompressionMethod::Deflated),
            )
            .unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
    }

    #[test]
    fn a_model_comes_back_with_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.npz");
        let (saved, mut loaded) = (model(4, 1), model(4, 2));
        save(&path, &saved).unwrap();
        load(&path, &mut loaded).unwrap();
        assert_eq!(saved.state(), loaded.state());
    }

    #[test]
    fn another_model_is_refused_with_every_difference() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.npz");
        save(&path, &model(4, 1)).unwrap();
        let mut other = model(5, 2);
        let error = load(&path, &mut other).unwrap_err().to_string();
        for expected in
            ["dense1.weight: expected [3, 5], got [3, 4]", "dense2.weight: expected [5, 2], got [4, 2]"]
        {
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(other.state(), model(5, 2).state());
    }

    #[test]
    fn files_of_numpy_are_read_whatever_their_numbers_are() {
        let weight = Array1::range(-2.0, 4.0, 1.0).into_shape_with_order((3, 2)).unwrap().into_dyn();
        for name in ["plain", "compressed", "f2", "f8", "i4", "big_endian", "fortran"] {
            let mut model = one_layer();
            load(fixture(name), &mut model).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(model.state()["dense1.weight"].view(), weight, "{name}");
            assert_eq!(model.state()["dense1.bias"].view(), array![0.5_f32, -8.0].into_dyn(), "{name}");
        }
        let refused = |name: &str| {
            let mut model = one_layer();
            let error = load(fixture(name), &mut model).unwrap_err().to_string();
            assert_eq!(model.state(), one_layer().state());
            error
        };
        let object = refused("object");
        assert!(object.contains("floats of 2 to 8 bytes or integers in \"dense1.weight\""), "{object}");
        let large = refused("too_large");
        assert!(
            large.contains("numbers that can be converted in \"dense1.bias\", got the number 1"),
            "{large}"
        );
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.npz");
        let error = || load(&path, &mut one_layer()).unwrap_err().to_string();
        std::fs::write(&path, "no zip").unwrap();
        assert!(error().contains("model.npz: expected an .npz file"), "{}", error());
        archive(&path, &[("dense1.weight", b"")]);
        assert!(
            error().ends_with("got an entry \"dense1.weight\", whose name does not end in .npy"),
            "{}",
            error()
        );
        archive(&path, &[("a.npy", b"no array at all")]);
        assert!(error().contains("expected an array, which begins with NUMPY in \"a\""), "{}", error());
        let zeros = |shape: &[usize]| ArrayD::<f32>::zeros(shape);
        write_file(&path, &[("dense1.weight", zeros(&[1; 7])), ("dense1.bias", zeros(&[2]))]);
        assert!(error().ends_with("expected at most 6 axes in \"dense1.weight\", got 7"), "{}", error());
        write_file(&path, &[("dense1.weight", zeros(&[3, 2]))]);
        assert!(error().contains("missing [\"dense1.bias\"]"), "{}", error());
        // Only the ending of a name is removed.
        write_file(&path, &[("dense1.weight", zeros(&[3, 2])), ("dense1.bias.npy", zeros(&[2]))]);
        assert!(error().contains("unexpected [\"dense1.bias.npy\"]"), "{}", error());
    }

    #[test]
    fn two_arrays_of_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.npz");
        write_file(&path, &[("aa", array![1.0].into_dyn()), ("ab", array![2.0].into_dyn())]);
        let mut bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() - 6 {
            if &bytes[at..at + 6] == b"ab.npy" {
                bytes[at + 1] = b'a';
            }
        }
        std::fs::write(&path, bytes).unwrap();
        let error = Archive::open(&path).unwrap_err().to_string();
        assert!(error.ends_with("expected an .npz file, got two arrays with the same name"), "{error}");
    }

    #[test]
    fn a_promise_takes_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.npz");
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }\n";
        let header = [b"\x93NUMPY\x01\x00", &[text.len() as u8, 0][..], text.as_bytes(), &[0; 8]].concat();
        archive(&path, &[("dense1.weight.npy", &header), ("dense1.bias.npy", &header)]);
        let error = load(&path, &mut one_layer()).unwrap_err().to_string();
        assert!(error.contains("dense1.weight: expected [3, 2], got [1099511627776]"), "{error}");
        let error = Archive::open(&path).unwrap().read::<f32>("dense1.weight").unwrap_err().to_string();
        assert!(error.ends_with("in \"dense1.weight\", got 8, then the end of the file"), "{error}");
    }

    #[test]
    fn a_name_of_any_length_leaves_the_archive_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.npz");
        for length in 0..60 {
            let name = "w".repeat(length);
            write_file(&path, &[(&name, array![1.5].into_dyn())]);
            assert_eq!(Archive::open(&path).unwrap().read::<f32>(&name).unwrap(), array![1.5].into_dyn());
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error_and_no_damage_is_taken_for_weights() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.npz");
        for name in ["plain", "compressed"] {
            let good = std::fs::read(fixture(name)).unwrap();
            for end in 0..good.len() {
                std::fs::write(&path, &good[..end]).unwrap();
                assert!(load(&path, &mut one_layer()).is_err(), "{name} cut at {end}");
            }
            let mut right = one_layer();
            load(fixture(name), &mut right).unwrap();
            for at in 0..good.len() {
                let mut bytes = good.clone();
                bytes[at] ^= 0x40;
                std::fs::write(&path, &bytes).unwrap();
                // Dates, for example, may differ.
                let mut model = one_layer();
                if load(&path, &mut model).is_ok() {
                    assert_eq!(model.state(), right.state(), "{name} with another byte {at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_change_to_a_file_makes_it_panic(
            compressed in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = std::fs::read(fixture(if compressed { "compressed" } else { "plain" })).unwrap();
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            let _ = load(file.path(), &mut one_layer());
        }
    }
}
