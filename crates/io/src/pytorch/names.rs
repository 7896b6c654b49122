//! Prefixes that wrappers add to the names of parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::Error;

/// Keys under which programs save a dictionary of weights beside other things.
const DICTIONARIES: [&str; 3] = ["state_dict", "model_state_dict", "model"];
/// Prefixes that `DataParallel` and `torch.compile` add to each name.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

/// The prefix of all names in a file, if the file has the model's names only with this prefix: nothing, or known words, each with
/// its dot.
///
/// # Errors
/// If there are several such prefixes, or one that is not known.
pub(super) fn beginning(
    path: &Path,
    there: &BTreeMap<String, Vec<usize>>,
    theirs: &BTreeMap<String, String>,
) -> Result<String, Error> {
    if theirs.values().any(|name| there.contains_key(name)) {
        return Ok(String::new());
    }
    let fits =
        |beginning: &&str| theirs.values().all(|name| there.contains_key(&format!("{beginning}{name}")));
    let known: BTreeSet<&str> =
        there.keys().map(|name| known_words(name)).filter(|words| !words.is_empty()).collect();
    let known: Vec<&str> = known.into_iter().filter(fits).collect();
    let expected = "the names that name_in_file gives";
    match known[..] {
        [beginning] => return Ok(beginning.to_owned()),
        [] => {}
        [..] => {
            let got = format!("them with each of the prefixes {known:?}: let name_in_file add one of them");
            return Err(Error::content(path, expected, got));
        }
    }
    // An unknown prefix is named in the message, but not removed.
    let one = theirs.values().next().map(|name| format!(".{name}"));
    let other = one.and_then(|one| there.keys().filter_map(|name| name.strip_suffix(&one)).next());
    match other.map(|other| format!("{other}.")) {
        Some(other) if fits(&&*other) => {
            let got = format!("them with the prefix {other:?}: let name_in_file add it");
            Err(Error::content(path, expected, got))
        }
        _ => Ok(String::new()),
    }
}

/// Whether the names with this prefix are in a dictionary that may be beside others.
pub(super) fn is_dictionary(beginning: &str) -> bool {
    beginning.split('.').next().is_some_and(|word| DICTIONARIES.contains(&word))
}

/// The known words at the beginning of a name.
fn known_words(name: &str) -> &str {
    let mut end = 0;
    for word in name.split_inclusive('.') {
        let known = word
            .strip_suffix('.')
            .is_some_and(|word| DICTIONARIES.contains(&word) || WRAPPERS.contains(&word));
        if !known {
            break;
        }
        end += word.len();
    }
    &name[..end]
}
