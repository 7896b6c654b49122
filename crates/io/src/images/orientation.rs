//! The orientation in the EXIF data of a picture: how the camera was held.

use exif::{In, Reader, Tag};
use ndarray::{Array3, Axis};

/// Turns the picture upright, if the EXIF data of the file have an orientation. The eight orientations are those of EXIF 2.32,
/// 4.6.4 A.
///
/// The error says what is wrong with the EXIF data.
pub(super) fn turned(mut picture: Array3<u8>, exif: Option<&[u8]>) -> Result<Array3<u8>, String> {
    let (rows, columns) = (Axis(0), Axis(1));
    let (transpose, flip, mirror) = match exif.map_or(Ok(1), orientation)? {
        2 => (false, false, true),
        3 => (false, true, true),
        4 => (false, true, false),
        5 => (true, false, false),
        6 => (true, false, true),
        7 => (true, true, true),
        8 => (true, true, false),
        // 0 and numbers above 8 have no meaning. Cameras that do not know the orientation write them.
        _ => return Ok(picture),
    };
    if transpose {
        picture.swap_axes(0, 1);
    }
    if flip {
        picture.invert_axis(rows);
    }
    if mirror {
        picture.invert_axis(columns);
    }
    Ok(picture.as_standard_layout().into_owned())
}

/// The number of the orientation; 1, which is upright, if there is none.
fn orientation(exif: &[u8]) -> Result<u32, String> {
    let broken = |error: exif::Error| format!("broken EXIF data: {error}");
    let mut reader = Reader::new();
    // Camera makers write invalid notes of their own after valid fields.
    reader.continue_on_error(true);
    let fields = match reader.read_raw(exif.to_vec()) {
        Err(error) => error.distill_partial_result(|_| {}).map_err(broken)?,
        Ok(fields) => fields,
    };
    let field = fields.get_field(Tag::Orientation, In::PRIMARY);
    Ok(field.and_then(|field| field.value.get_uint(0)).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Axis, array};

    use super::*;

    /// EXIF data with one field, the orientation.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut bytes = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        bytes.extend([orientation, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn each_orientation_is_pillows() {
        // The results of `PIL.ImageOps.exif_transpose` for the picture [[1, 2, 3], [4, 5, 6]].
        let upright = array![[1, 2, 3], [4, 5, 6]];
        let expected = [
            upright.clone(),
            array![[3, 2, 1], [6, 5, 4]],
            array![[6, 5, 4], [3, 2, 1]],
            array![[4, 5, 6], [1, 2, 3]],
            array![[1, 4], [2, 5], [3, 6]],
            array![[4, 1], [5, 2], [6, 3]],
            array![[6, 3], [5, 2], [4, 1]],
            array![[3, 6], [2, 5], [1, 4]],
        ];
        let stored: Array3<u8> = upright.clone().insert_axis(Axis(2));
        for (expected, number) in expected.into_iter().zip(1..) {
            let picture = turned(stored.clone(), Some(&exif(number))).unwrap();
            assert_eq!(picture, expected.insert_axis(Axis(2)), "{number}");
            assert!(picture.is_standard_layout());
        }
        for nothing in [Some(exif(0)), Some(exif(9)), None] {
            assert_eq!(turned(stored.clone(), nothing.as_deref()).unwrap(), stored);
        }
        let error = turned(stored, Some(b"no TIFF")).unwrap_err();
        assert!(error.starts_with("broken EXIF data"), "{error}");
    }
}
