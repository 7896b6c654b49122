//! Lessons: what a program looks like, each in one file that `cargo run --release --example lesson_NAME` runs in this repository.
//!
//! # A first network
//! ```no_run
#![doc = include_str!("../examples/lessons/first_network.rs")]
//! ```
//!
//! # Regression
//! ```no_run
#![doc = include_str!("../examples/lessons/regression.rs")]
//! ```
//!
//! # A table: a CSV file with categories and missing values
//! ```no_run
#![doc = include_str!("../examples/lessons/table.rs")]
//! ```
//!
//! # Saved, loaded, and predicting probabilities
//! ```no_run
#![doc = include_str!("../examples/lessons/predict.rs")]
//! ```
//!
//! # A layer of your own, proved
//! ```no_run
#![doc = include_str!("../examples/lessons/custom_layer.rs")]
//! ```
//!
//! # A loss of your own
//! ```no_run
#![doc = include_str!("../examples/lessons/custom_loss.rs")]
//! ```
//!
//! # An autograder for layers
//! ```no_run
#![doc = include_str!("../examples/lessons/autograder.rs")]
//! ```
//!
//! # Cross-validation
//! ```no_run
#![doc = include_str!("../examples/lessons/k_fold.rs")]
//! ```
//!
//! # Images from a folder
//! ```no_run
#![doc = include_str!("../examples/lessons/image_folder.rs")]
//! ```
//!
//! # Transfer
//! ```no_run
#![doc = include_str!("../examples/lessons/transfer.rs")]
//! ```
//!
//! # An autoencoder
//! ```no_run
#![doc = include_str!("../examples/lessons/autoencoder.rs")]
//! ```
//!
//! # A network that writes
//! ```no_run
#![doc = include_str!("../examples/lessons/characters.rs")]
//! ```
//!
//! # Interrupted and resumed
//! ```no_run
#![doc = include_str!("../examples/lessons/resume.rs")]
//! ```
//!
//! # Training by hand
//! ```no_run
#![doc = include_str!("../examples/lessons/by_hand.rs")]
//! ```

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_lesson_is_shown_and_short() {
        let (shown, root) = (include_str!("lessons.rs"), Path::new(env!("CARGO_MANIFEST_DIR")));
        let mut lessons = 0;
        for entry in fs::read_dir(root.join("examples/lessons")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(
                shown.contains(&format!("#![doc = include_str!(\"../examples/lessons/{name}\")]")),
                "{name}"
            );
            assert!(fs::read_to_string(&path).unwrap().lines().count() <= 60, "{name}: more than 60 lines");
            lessons += 1;
        }
        assert!(lessons >= 12, "{lessons} lessons");
    }
}
