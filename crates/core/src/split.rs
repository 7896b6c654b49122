//! Splits of samples into a training set and a validation or test set.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom;

use crate::error::Error;
use crate::tensor::memory::check_size;
use crate::tensor::rng::{Purpose, stream};

/// Splits the samples `0..samples` at random into parts of the given shares, which sum to 1.
/// Every sample is in exactly one part; the remainder of rounding goes to the first part.
///
/// ```
/// let parts = backstitch::split::hold_out(70_000, &[0.8, 0.1, 0.1], 0)?;
/// assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [56_000, 7_000, 7_000]);
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// If the shares do not sum to 1, or one of them is not above 0 or gives no sample at all; or if the numbers of the samples
/// would take more than 4 GiB.
pub fn hold_out(samples: usize, shares: &[f64], seed: u64) -> Result<Vec<Vec<usize>>, Error> {
    let sum: f64 = shares.iter().sum();
    if shares.iter().any(|&share| share.is_nan() || share <= 0.0) || (sum - 1.0).abs() > 1e-9 {
        return Err(Error::argument("shares", "numbers above 0 that sum to 1", format!("{shares:?}")));
    }
    check_size("samples", samples, &[samples], size_of::<usize>())?;
    let mut counts: Vec<usize> =
        shares.iter().map(|share| (share * samples as f64 + 1e-9) as usize).collect();
    // Shares may sum to a little more than 1, and then the counts to more than the samples.
    counts[0] += samples.saturating_sub(counts.iter().sum());
    if counts.contains(&0) || counts.iter().sum::<usize>() != samples {
        return Err(Error::argument("samples", format!("enough for parts of {shares:?}"), samples));
    }
    let mut order: Vec<usize> = (0..samples).collect();
    order.shuffle(&mut stream(seed, Purpose::Split, 0, 0));
    let mut parts = Vec::new();
    for count in counts {
        let rest = order.split_off(count);
        parts.push(std::mem::replace(&mut order, rest));
    }
    Ok(parts)
}

/// One of k splits: the indices of the training samples and those of the validation samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// The training samples.
    pub train: Vec<usize>,
    /// The validation samples.
    pub validation: Vec<usize>,
}

/// k-fold cross-validation, stratified: every sample is in exactly one validation set, and every validation
/// set has nearly the same number of samples of each class.
///
/// ```
/// let folds = backstitch::split::k_fold(&[0, 0, 0, 1, 1, 1], 3, 0)?;
/// assert!(folds.iter().all(|fold| fold.train.len() == 4 && fold.validation.len() == 2));
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// If k is below 2 or larger than the number of samples, a class has fewer samples than k (then a validation set would
/// lack it), or the folds would take more than 4 GiB: each of the k lists all samples.
pub fn k_fold(labels: &[usize], k: usize, seed: u64) -> Result<Vec<Fold>, Error> {
    if k < 2 || k > labels.len() {
        let expected = format!("from 2 to {}, the number of samples", labels.len());
        return Err(Error::argument("folds", expected, k));
    }
    check_size("folds", k, &[k, labels.len()], size_of::<usize>())?;
    let mut fold_of = vec![0; labels.len()];
    let mut dealt = 0;
    for (class, samples) in shuffled_classes(labels, seed) {
        if samples.len() < k {
            let expected = format!("at least {k} samples of class {class}, one a fold");
            return Err(Error::argument("labels", expected, samples.len()));
        }
        // Each class continues with the fold after the last one, so that folds have the same size.
        for sample in samples {
            fold_of[sample] = dealt % k;
            dealt += 1;
        }
    }
    let part = |keep: &dyn Fn(usize) -> bool| (0..labels.len()).filter(|&i| keep(fold_of[i])).collect();
    let fold = |i| Fold { train: part(&|fold| fold != i), validation: part(&|fold| fold == i) };
    Ok((0..k).map(fold).collect())
}

/// Holds out a random share of every class, at least one sample of each. The indices of both parts are sorted.
///
/// ```
/// let labels = [vec![0; 80], vec![1; 20]].concat();
/// let fold = backstitch::split::stratified(&labels, 0.1, 0)?;
/// assert_eq!(fold.validation.iter().filter(|&&i| labels[i] == 1).count(), 2);
/// assert_eq!((fold.train.len(), fold.validation.len()), (90, 10));
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// If the share is not between 0 and 1, or a class has a single sample.
pub fn stratified(labels: &[usize], share: f64, seed: u64) -> Result<Fold, Error> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::argument("share", "a number between 0 and 1", share));
    }
    let mut fold = Fold { train: Vec::new(), validation: Vec::new() };
    for (class, samples) in shuffled_classes(labels, seed) {
        match samples.len() {
            1 => return Err(Error::argument("labels", format!("at least 2 samples of class {class}"), 1)),
            count => {
                let held = ((share * count as f64).round() as usize).clamp(1, count - 1);
                fold.validation.extend(&samples[..held]);
                fold.train.extend(&samples[held..]);
            }
        }
    }
    fold.train.sort_unstable();
    fold.validation.sort_unstable();
    Ok(fold)
}

/// The samples of each class, in random order. A label may be any number.
fn shuffled_classes(labels: &[usize], seed: u64) -> BTreeMap<usize, Vec<usize>> {
    let mut classes = BTreeMap::<usize, Vec<usize>>::new();
    labels.iter().enumerate().for_each(|(sample, &class)| classes.entry(class).or_default().push(sample));
    for (&class, samples) in &mut classes {
        samples.shuffle(&mut stream(seed, Purpose::Split, (class as u64).wrapping_add(1), 0));
    }
    classes
}

/// Checks that a part of the samples has every class.
///
/// # Errors
/// If one is missing, with its number and the part's name.
pub fn check_every_class(name: &str, labels: &[usize], classes: usize) -> Result<(), Error> {
    let known: BTreeSet<usize> = labels.iter().copied().collect();
    match (0..classes).find(|class| !known.contains(class)) {
        Some(class) => Err(Error::argument(
            name,
            format!("samples of all {classes} classes"),
            format!("none of class {class}"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_in_exactly_one_part() {
        let parts = hold_out(103, &[0.8, 0.1, 0.1], 5).unwrap();
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [83, 10, 10]);
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        assert_ne!(parts, hold_out(103, &[0.8, 0.1, 0.1], 6).unwrap());
        assert_eq!(parts, hold_out(103, &[0.8, 0.1, 0.1], 5).unwrap());
    }

    #[test]
    fn impossible_shares_are_refused() {
        assert!(hold_out(10, &[0.8, 0.3], 0).is_err());
        assert!(hold_out(10, &[1.5, -0.5], 0).is_err());
        assert!(hold_out(10, &[f64::NAN, 0.5], 0).is_err());
        assert!(hold_out(5, &[0.8, 0.1, 0.1], 0).is_err());
    }

    #[test]
    fn a_share_of_every_class_is_held_out() {
        let labels: Vec<usize> = (0..200).map(|i| [0, 0, 0, 1, 3][i % 5]).collect();
        let fold = stratified(&labels, 0.25, 9).unwrap();
        let held = |class| fold.validation.iter().filter(|&&i| labels[i] == class).count();
        assert_eq!([0, 1, 2, 3].map(held), [30, 10, 0, 10]);
        let mut all = [fold.train.clone(), fold.validation.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>());
        assert_ne!(fold, stratified(&labels, 0.25, 10).unwrap());
        // Even of a class of two.
        assert_eq!(stratified(&[0, 0], 0.01, 0).unwrap().validation.len(), 1);
        assert!(stratified(&[0, 0, 1], 0.5, 0).is_err() && stratified(&labels, 1.0, 0).is_err());
        assert!(stratified(&labels, f64::NAN, 0).is_err());
    }

    #[test]
    fn folds_judge_by_every_sample_once_and_by_every_class() {
        let labels: Vec<usize> =
            (0..53).map(|i| usize::from(i % 5 == 0) + usize::from(i % 10 == 0)).collect();
        let folds = k_fold(&labels, 4, 3).unwrap();
        let mut judged: Vec<usize> = folds.iter().flat_map(|fold| fold.validation.clone()).collect();
        judged.sort_unstable();
        assert_eq!(judged, (0..53).collect::<Vec<_>>());
        for fold in &folds {
            assert_eq!(fold.train.len() + fold.validation.len(), 53);
            assert!((13..=14).contains(&fold.validation.len()));
            assert!(fold.train.iter().all(|sample| !fold.validation.contains(sample)));
        }
        assert_eq!(folds, k_fold(&labels, 4, 3).unwrap());
    }

    #[test]
    fn absurd_sizes_and_labels_are_no_trouble() {
        for samples in [1 << 40, usize::MAX] {
            let error = hold_out(samples, &[0.5, 0.5], 0).unwrap_err().to_string();
            assert!(error.starts_with("samples: expected few enough for 4 GiB"), "{error}");
        }
        for k in [1 << 40, usize::MAX] {
            assert!(k_fold(&[0, 1], k, 0).is_err());
        }
        // Leaving one out of 100,000 would list each of them 100,000 times.
        let error = k_fold(&vec![0; 100_000], 100_000, 0).unwrap_err().to_string();
        assert!(error.starts_with("folds: expected few enough for 4 GiB"), "{error}");
        // A label is a name: labels need not count the classes.
        for far in [1 << 40, usize::MAX] {
            assert_eq!(k_fold(&[far, 0, far, 0], 2, 0).unwrap().len(), 2);
            assert_eq!(stratified(&[far, 0, far, 0], 0.5, 0).unwrap().train.len(), 2);
            let error = k_fold(&[far, 0, 0], 2, 0).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("labels: expected at least 2 samples of class {far}, one a fold, got 1")
            );
            assert!(check_every_class("validation", &[0, far], far).is_err());
        }
        assert!(k_fold(&[], 2, 0).is_err() && stratified(&[], 0.5, 0).unwrap().train.is_empty());
    }

    #[test]
    fn impossible_folds_are_refused() {
        let message = |labels: &[usize], k| k_fold(labels, k, 0).unwrap_err().to_string();
        assert_eq!(message(&[0, 1], 3), "folds: expected from 2 to 2, the number of samples, got 3");
        assert_eq!(message(&[0, 1], 1), "folds: expected from 2 to 2, the number of samples, got 1");
        assert_eq!(
            message(&[0, 0, 0, 1], 2),
            "labels: expected at least 2 samples of class 1, one a fold, got 1"
        );
        assert!(message(&[], 2).starts_with("folds"));
        assert_eq!(
            check_every_class("validation", &[0, 2], 3).unwrap_err().to_string(),
            "validation: expected samples of all 3 classes, got none of class 1"
        );
    }
}
