//! Lists which files of a folder are pictures of which class.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::Error;

/// The endings of picture names: formats that can be read, and formats that cannot. A file of the second kind is an error; it is
/// not skipped.
const PICTURES: [&str; 19] = [
    "png", "apng", "jpg", "jpeg", "jpe", "jfif", "jif", "gif", "webp", "bmp", "dib", "tif", "tiff", "ppm",
    "pgm", "pbm", "heic", "avif", "jxl",
];

pub(super) struct Listing {
    pub classes: Vec<String>,
    pub pictures: Vec<Listed>,
    /// Files whose names are not those of pictures.
    pub ignored: Vec<PathBuf>,
}

/// A file with the name of a picture.
#[derive(Debug)]
pub(super) struct Listed {
    pub file: PathBuf,
    pub label: usize,
    /// Its number in the listing. It stays the same when other files are left out.
    pub place: usize,
    /// `None` if the file could not be examined: then reading it is an error.
    pub stamp: Option<Stamp>,
}

/// The length of the file, and its modification time if the file system records it. They show whether the file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub length: u64,
    pub written: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self { length: file.len(), written: file.modified().ok() }
    }
}

impl Listed {
    /// The bytes of the file. It must not have changed since it was listed.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        let mut file = File::open(&self.file).map_err(Error::io(&self.file, "open"))?;
        let stamp = Stamp::of(&file.metadata().map_err(Error::io(&self.file, "look at"))?);
        if Some(stamp) != self.stamp {
            let expected = "a picture that has not changed since the folder was opened";
            return Err(Error::content(&self.file, expected, "one that was written later"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::io(&self.file, "read"))?;
        Ok(bytes)
    }
}

/// The pictures of a folder with one folder a class.
pub(super) fn list(folder: &Path) -> Result<Listing, Error> {
    let mut listing = Listing { classes: Vec::new(), pictures: Vec::new(), ignored: Vec::new() };
    for path in entries(folder)? {
        if hidden(&path) || !fs::metadata(&path).map_err(Error::io(&path, "look at"))?.is_dir() {
            listing.ignored.push(path);
        } else {
            listing.add_class(&path)?;
        }
    }
    if listing.classes.is_empty() {
        return Err(Error::content(folder, "a folder for each class", "none"));
    }
    Ok(listing)
}

impl Listing {
    fn add_class(&mut self, folder: &Path) -> Result<(), Error> {
        let name = folder.file_name().and_then(OsStr::to_str);
        let name =
            name.ok_or_else(|| Error::content(folder, "the name of a class in UTF-8", "another name"))?;
        let (before, label) = ((self.pictures.len(), self.ignored.len()), self.classes.len());
        for file in entries(folder)? {
            let found = fs::metadata(&file).ok();
            if hidden(&file) {
                self.ignored.push(file);
            } else if found.as_ref().is_some_and(Metadata::is_dir) {
                // A link that leads back to itself ends here too, and so does a folder, which could contain its own parent
                // through a link.
                return Err(Error::content(&file, "a picture", not_a_picture(folder)));
            } else if is_picture(&file) {
                let stamp = found.as_ref().map(Stamp::of);
                self.pictures.push(Listed { file, label, place: self.pictures.len(), stamp });
            } else {
                self.ignored.push(file);
            }
        }
        if self.pictures.len() == before.0 {
            let others = self.ignored.len() - before.1;
            let got = match others {
                0 => "an empty folder".to_owned(),
                _ => format!("a folder with {others} files and no picture by its name"),
            };
            return Err(Error::content(folder, "pictures of a class", got));
        }
        self.classes.push(name.to_owned());
        Ok(())
    }
}

/// The message about a folder inside the folder of a class, and what would help.
fn not_a_picture(class: &Path) -> &'static str {
    let named = |name: &str| class.file_name().is_some_and(|own| own == name);
    let has = |name: &str| class.with_file_name(name).is_dir();
    if (named("train") || named("val")) && has("train") && has("val") {
        "a folder: open a folder that has train and val by ImageFolder::open_parts or images::read_parts"
    } else {
        "a folder: open the folder that holds the folders of the classes, and these hold pictures alone"
    }
}

/// Whether a name is that of a picture. A name without an extension may be that of any file. It counts as a picture, so that a
/// damaged picture is noticed.
fn is_picture(file: &Path) -> bool {
    file.extension()
        .is_none_or(|extension| PICTURES.iter().any(|picture| extension.eq_ignore_ascii_case(picture)))
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The entries of a folder, in the order of their names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "open the folder"))? {
        paths.push(entry.map_err(Error::io(folder, "read the folder"))?.path());
    }
    paths.sort();
    Ok(paths)
}
