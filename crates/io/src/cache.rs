//! The folder where files are kept between runs.

use std::path::{Path, PathBuf};

use etcetera::{BaseStrategy, choose_base_strategy};

use crate::error::Error;

/// A folder in this user's cache. It may not exist yet.
pub(crate) fn folder(name: &str) -> Result<PathBuf, Error> {
    let strategy = choose_base_strategy()
        .map_err(|error| Error::content(Path::new("cache folder"), "a home folder", error))?;
    Ok(strategy.cache_dir().join("backstitch").join(name))
}
