//! Two-dimensional convolution: y, and its gradients with respect to the kernel and to the input.
//!
//! `plan.rs` decides which algorithm computes each product, once for a shape and a batch size; `products.rs` carries that out, and `walk.rs` is
//! the part of the backward pass that reads dz. Each algorithm is a file: `im2col.rs`, `in_place.rs`, `pointwise.rs`, `winograd.rs`, `taps.rs` and
//! `sparse.rs`. `grouped.rs` and `depthwise.rs` are for channels in groups. Tests compare all of them with `naive.rs`.

pub(crate) mod depthwise;
pub mod grouped;
pub(crate) mod im2col;
pub(crate) mod in_place;
pub mod kernel;
pub mod plan;
pub(crate) mod pointwise;
mod prepare;
mod products;
pub(crate) mod rotated;
pub(crate) mod sparse;
pub(crate) mod strips;
pub(crate) mod taps;
#[cfg(test)]
mod tests;
pub mod walk;
pub(crate) mod winograd;
pub(crate) mod winograd_transform;
