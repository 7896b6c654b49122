//! Names of parameters in PyTorch: prefixes that wrappers add, and the suffixes of recurrent layers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::Error;

/// Keys under which programs save a dictionary of weights beside other things.
const DICTIONARIES: [&str; 3] = ["state_dict", "model_state_dict", "model"];
/// Prefixes that `DataParallel` and `torch.compile` add to each name.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];
/// The parameters of a recurrent layer.
const RECURRENT: [&str; 4] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];

/// The name in PyTorch of a parameter of a recurrent layer. `nn.RNN`, `nn.LSTM` and `nn.GRU` have one module for all layers and
/// directions, and say in the last word of a name which one is meant. Other names stay as they are.
///
/// | here | in PyTorch |
/// |---|---|
/// | `lstm.weight_ih` | `lstm.weight_ih_l0` |
/// | `lstm.l1.bias_hh` | `lstm.bias_hh_l1` |
/// | `lstm.reverse.weight_hh` | `lstm.weight_hh_l0_reverse` |
/// | `lstm.l1.forward.weight_ih` | `lstm.weight_ih_l1` |
///
/// ```
/// use backstitch::pytorch::recurrent_name;
/// assert_eq!(recurrent_name("lstm.l1.reverse.weight_ih"), "lstm.weight_ih_l1_reverse");
/// // With names of the other layers: the file calls the dense layer `fc`.
/// let name_in_file = |name: &str| recurrent_name(name).replace("dense1", "fc");
/// assert_eq!(name_in_file("dense1.weight"), "fc.weight");
/// ```
///
/// A recurrent layer that you name `l0`, `l1`, `forward` or `reverse` yourself loses its name.
pub fn recurrent_name(name: &str) -> String {
    let mut words: Vec<&str> = name.split('.').collect();
    let Some(kind) = words.pop_if(|word| RECURRENT.contains(word)) else { return name.to_owned() };
    let direction = words.pop_if(|word| ["forward", "reverse"].contains(word));
    let is_layer = |word: &mut &str| word.strip_prefix('l').is_some_and(|i| i.parse::<usize>().is_ok());
    let layer = words.pop_if(is_layer).unwrap_or("l0");
    let suffix = if direction == Some("reverse") { "_reverse" } else { "" };
    let last = format!("{kind}_{layer}{suffix}");
    words.push(&last);
    words.join(".")
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_recurrent_layers_end_in_the_layer_and_the_direction() {
        for (here, there) in [
            ("lstm.weight_ih", "lstm.weight_ih_l0"),
            ("a.gru1.l10.bias_hh", "a.gru1.bias_hh_l10"),
            ("rnn.forward.bias_ih", "rnn.bias_ih_l0"),
            ("rnn.l2.reverse.weight_hh", "rnn.weight_hh_l2_reverse"),
            ("l1.weight_hh", "weight_hh_l1"),
            ("reverse.weight", "reverse.weight"),
            ("lstm.l.weight_ih", "lstm.l.weight_ih_l0"),
            ("bias_ih", "bias_ih_l0"),
            ("", ""),
        ] {
            assert_eq!(recurrent_name(here), there);
        }
    }
}
