//! Which files of a folder are pictures of which class.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Names that end so are those of pictures: of kinds that are read, and of kinds that are not, which are errors and not passed over.
const PICTURES: [&str; 19] = [
    "png", "apng", "jpg", "jpeg", "jpe", "jfif", "jif", "gif", "webp", "bmp", "dib", "tif", "tiff", "ppm",
    "pgm", "pbm", "heic", "avif", "jxl",
];

pub(super) struct Listing {
    pub classes: Vec<String>,
    pub files: Vec<PathBuf>,
    pub labels: Vec<usize>,
    /// What has not the name of a picture.
    pub passed_over: Vec<PathBuf>,
}

/// The pictures of a folder with one folder a class.
pub(super) fn list(folder: &Path) -> Result<Listing, Error> {
    let (classes, files, labels) = (Vec::new(), Vec::new(), Vec::new());
    let mut listing = Listing { classes, files, labels, passed_over: Vec::new() };
    for path in entries(folder)? {
        if hidden(&path) || !fs::metadata(&path).map_err(Error::io(&path, "look at"))?.is_dir() {
            listing.passed_over.push(path);
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
        let before = (self.files.len(), self.passed_over.len());
        for file in entries(folder)? {
            if hidden(&file) {
                self.passed_over.push(file);
            } else if file.is_dir() {
                // A link that leads round in a circle ends here too, as does a folder, which could hold its own parent.
                return Err(Error::content(&file, "a picture", "a folder"));
            } else if is_picture(&file) {
                self.files.push(file);
                self.labels.push(self.classes.len());
            } else {
                self.passed_over.push(file);
            }
        }
        if self.files.len() == before.0 {
            let others = self.passed_over.len() - before.1;
            let got = match others {
                0 => "an empty folder".to_owned(),
                _ => format!("a folder of {others} files that have not the name of a picture"),
            };
            return Err(Error::content(folder, "pictures of a class", got));
        }
        self.classes.push(name.to_owned());
        Ok(())
    }
}

/// Whether a name is that of a picture. One without an extension may be that of any file, and is taken for a picture: then a damaged one
/// is found.
fn is_picture(file: &Path) -> bool {
    file.extension()
        .is_none_or(|extension| PICTURES.iter().any(|picture| extension.eq_ignore_ascii_case(picture)))
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// What is in a folder, in the order of names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "open the folder"))? {
        paths.push(entry.map_err(Error::io(folder, "read the folder"))?.path());
    }
    paths.sort();
    Ok(paths)
}
