//! Matrix products. `multiply.rs` cuts a product into pieces for threads, `tile.rs` computes a piece in tiles that stay in registers,
//! `stream.rs` one with few rows, and `pack.rs` copies factors into the order in which tiles read them.

pub(crate) mod filter_panels;
pub mod matrix;
pub mod multiply;
pub(crate) mod pack;
pub(crate) mod stream;
pub(crate) mod tile;
pub(crate) mod transpose;
