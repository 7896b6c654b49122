//! The size of figures and pictures, which is checked before memory is taken.

use crate::Error;

/// Figures and pictures have no more pixels than this: 200 MB as they are drawn.
const MOST_PIXELS: u64 = 1 << 26;

/// Width and height, if there are not too many pixels.
pub(crate) fn checked_size(width: u64, height: u64) -> Result<(u32, u32), Error> {
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(w), Ok(h)) if w > 0 && h > 0 && width.saturating_mul(height) <= MOST_PIXELS => Ok((w, h)),
        _ => Err(Error::Picture {
            expected: format!("from one to {MOST_PIXELS} pixels"),
            got: format!("{height} rows of {width}"),
        }),
    }
}
