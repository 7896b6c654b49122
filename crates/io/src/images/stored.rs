//! A decoded picture, and the largest size of one.

use ndarray::Array3;

/// A wider or higher picture is an error before it is decoded, because a file of some bytes can announce gigabytes.
pub const MAX_SIDE: usize = 16_384;

/// A picture with more pixels is an error before it is decoded.
pub const MAX_PIXELS: usize = 1 << 26;

/// The picture in a file.
pub(super) struct Stored {
    /// `[height, width, 1 or 3]`.
    pub pixels: Array3<u8>,
    pub exif: Option<Vec<u8>>,
}

/// Refuses sizes that would take too much memory, and sizes of 0.
pub(super) fn check_size(height: usize, width: usize) -> Result<(), String> {
    let fits = height <= MAX_SIDE && width <= MAX_SIDE && height * width <= MAX_PIXELS;
    if fits && height > 0 && width > 0 {
        return Ok(());
    }
    Err(format!(
        "one of {height}x{width} pixels; a side may have 1 to {MAX_SIDE} pixels, a picture {MAX_PIXELS}"
    ))
}
