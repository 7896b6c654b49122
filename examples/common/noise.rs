//! Random numbers of a normal distribution.

use std::f64::consts::TAU;

use backstitch::prelude::Scalar;
use rand::{Rng, RngCore};

/// Fills with numbers of N(0, 1): √(-2 ln u) cos(2π v) for u and v uniform in (0, 1] and [0, 1) (Box and Muller 1958).
pub fn fill_normal<F: Scalar>(to: &mut [F], rng: &mut impl RngCore) {
    for number in to {
        let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
        *number = F::from_f64((-2.0 * u.ln()).sqrt() * (TAU * v).cos());
    }
}
