//! Decodes one file to pixels.

use std::fs;
use std::path::Path;

use ndarray::Array3;

use super::orientation::turned;
use super::{jpeg, png};
use crate::error::Error;

/// The pixels of a PNG or JPEG file in red, green and blue, `[height, width, 3]`, 0 to 255.
///
/// Grey becomes three equal channels, 16 bits become 8, palettes and CMYK become colours. Transparency, colour profiles and the
/// orientation are ignored ([`super::Options::upright`] uses the orientation for the pictures of a folder). An animated PNG gives
/// the picture that programs without animation show. The pixels of a JPEG are those of libjpeg-turbo, and so of Pillow, within 3
/// of 255. A JPEG that has an end mark but lacks blocks before it cannot be distinguished from a whole one; the missing blocks
/// are grey, as in libjpeg-turbo.
///
/// # Errors
/// If the file cannot be read, is neither PNG nor JPEG, is damaged or cut, or is larger than [`super::MAX_SIDE`] or [`super::MAX_PIXELS`].
pub fn read(path: impl AsRef<Path>) -> Result<Array3<u8>, Error> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(Error::io(path, "open"))?;
    Ok(coloured(decode_file(path, &bytes, false)?))
}

/// The pixels of a file with these bytes, `[height, width, 1 or 3]`, with the channels of the file, turned upright if `upright`
/// is set. Errors as in [`read`].
pub(super) fn decode_file(path: &Path, bytes: &[u8], upright: bool) -> Result<Array3<u8>, Error> {
    decode(bytes, upright).map_err(|got| Error::content(path, "a PNG or JPEG picture", got))
}

/// Makes three channels from one or three.
pub(super) fn coloured(picture: Array3<u8>) -> Array3<u8> {
    if picture.dim().2 == 3 {
        return picture;
    }
    let (height, width, _) = picture.dim();
    Array3::from_shape_fn((height, width, 3), |(i, j, _)| picture[[i, j, 0]])
}

/// Makes one channel from one or three, in units of 2^-16, as Pillow does.
pub(super) fn grey(picture: Array3<u8>) -> Array3<u8> {
    if picture.dim().2 == 1 {
        return picture;
    }
    let (height, width, _) = picture.dim();
    Array3::from_shape_fn((height, width, 1), |(i, j, _)| {
        let [r, g, b] = [0, 1, 2].map(|channel| u32::from(picture[[i, j, channel]]));
        ((19_595 * r + 38_470 * g + 7_471 * b + (1 << 15)) >> 16) as u8
    })
}

/// As [`decode_file`]; the error is a description of what was found instead of a picture.
pub(super) fn decode(bytes: &[u8], upright: bool) -> Result<Array3<u8>, String> {
    let stored = match bytes {
        [] => return Err("an empty file".to_owned()),
        [0x89, b'P', b'N', b'G', ..] => png::decode(bytes, upright)?,
        [0xff, 0xd8, 0xff, ..] => jpeg::decode(bytes)?,
        _ => return Err(other(bytes)),
    };
    if upright { turned(stored.pixels, stored.exif.as_deref()) } else { Ok(stored.pixels) }
}

/// The format of a file that is no PNG and no JPEG.
fn other(bytes: &[u8]) -> String {
    let name = match bytes {
        [b'G', b'I', b'F', b'8', ..] => "a GIF file",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "a WebP file",
        [b'B', b'M', ..] => "a BMP file",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF file",
        _ => return format!("a file that begins with the bytes {:02x?}", &bytes[..bytes.len().min(4)]),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ndarray::Ix3;
    use proptest::prelude::*;

    use super::super::resize;
    use super::*;
    use crate::npz::Archive;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images").join(name)
    }

    fn by_pillow(name: &str) -> Array3<u8> {
        let mut npz = Archive::open(fixture("expected.npz")).unwrap();
        npz.read(name).unwrap().into_dimensionality::<Ix3>().unwrap()
    }

    fn largest_difference(a: &Array3<u8>, b: &Array3<u8>) -> u8 {
        assert_eq!(a.dim(), b.dim());
        a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn pixels_are_those_of_pillow() {
        let exact = ["rgb.png", "grey.png", "grey16.png", "palette.png", "rgba.png", "animated.png"];
        for name in exact {
            assert_eq!(read(fixture(name)).unwrap(), by_pillow(name), "{name}");
        }
        // Each decoder may round a cosine transform in its own way.
        for (name, most) in [("rgb.jpg", 2), ("grey.jpg", 1), ("cmyk.jpg", 1), ("progressive.jpg", 2)] {
            let difference = largest_difference(&read(fixture(name)).unwrap(), &by_pillow(name));
            assert!(difference <= most, "{name}: {difference}");
        }
    }

    #[test]
    fn resized_pixels_are_those_of_pillow() {
        let picture = read(fixture("rgb.png")).unwrap();
        for (height, width) in [(7, 9), (26, 40), (13, 5), (1, 1)] {
            let resized = resize(picture.view(), height, width).unwrap();
            assert_eq!(resized, by_pillow(&format!("{height}x{width}")), "{height}x{width}");
        }
        assert_eq!(resize(picture.view(), 13, 20).unwrap(), picture);
        assert!(resize(picture.view(), 0, 20).is_err());
        assert!(resize(Array3::zeros((2, 2, 2)).view(), 4, 4).is_err());
        let small = grey(by_pillow("7x9"));
        let difference = largest_difference(&resize(grey(picture).view(), 7, 9).unwrap(), &small);
        assert!(difference <= 1, "grey before or after: {difference}");
    }

    #[test]
    fn grey_is_that_of_pillow() {
        // In Pillow: Image.fromarray(numpy.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]])).convert("L")
        let colours = ndarray::array![[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]];
        assert_eq!(grey(colours), ndarray::array![[[76], [150], [29], [18]]]);
        let picture = ndarray::array![[[7_u8], [9]]];
        assert_eq!(coloured(picture.clone()), ndarray::array![[[7, 7, 7], [9, 9, 9]]]);
        assert_eq!(grey(picture.clone()), picture);
    }

    #[test]
    fn what_is_no_picture_is_named() {
        for (bytes, what) in [
            (&b""[..], "an empty file"),
            (b"GIF89a", "a GIF file"),
            (b"not a picture", "begins with the bytes [6e, 6f, 74, 20]"),
            (b"\x89PNG\r\n\x1a\n", "a broken PNG"),
            (b"\xff\xd8\xff", "a broken JPEG"),
        ] {
            let error = decode(bytes, false).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        let error = read(fixture("animated.gif")).unwrap_err().to_string();
        assert!(error.ends_with("animated.gif: expected a PNG or JPEG picture, got a GIF file"), "{error}");
        assert!(read(fixture("none.png")).unwrap_err().to_string().contains("could not open"));
    }

    #[test]
    fn a_file_that_breaks_off_is_broken() {
        for name in ["rgb.png", "palette.png", "rgb.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"] {
            let bytes = fs::read(fixture(name)).unwrap();
            // The last bytes of a PNG are only its end mark.
            let needed = bytes.len() - if name.ends_with("png") { 16 } else { 0 };
            for length in 0..needed {
                assert!(
                    decode(&bytes[..length], false).is_err(),
                    "{name}: {length} of {} bytes",
                    bytes.len()
                );
            }
        }
    }

    #[test]
    fn a_small_file_that_promises_gigabytes_is_refused_before_memory_is_taken() {
        let mut bytes = fs::read(fixture("rgb.png")).unwrap();
        bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let header: Vec<u8> = bytes[12..29].to_vec();
        bytes[29..33].copy_from_slice(&crc32fast::hash(&header).to_be_bytes());
        let error = decode(&bytes, false).unwrap_err();
        assert!(error.starts_with("one of 65536x65536 pixels"), "{error}");
        // A side of 16,000 is within the limit, the product of two is not.
        bytes[16..24].copy_from_slice(&[0, 0, 0x3e, 0x80, 0, 0, 0x3e, 0x80]);
        let header: Vec<u8> = bytes[12..29].to_vec();
        bytes[29..33].copy_from_slice(&crc32fast::hash(&header).to_be_bytes());
        assert!(decode(&bytes, false).unwrap_err().starts_with("one of 16000x16000 pixels"));
        let mut bytes = fs::read(fixture("rgb.jpg")).unwrap();
        let frame = bytes.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        bytes[frame + 5..frame + 9].fill(0xff);
        assert!(decode(&bytes, false).is_err());
    }

    proptest! {
        #[test]
        fn damage_is_an_error_or_another_picture_but_no_panic(
            which in 0..4_usize,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let name = ["progressive.jpg", "cmyk.jpg", "palette.png", "animated.png"][which];
            let mut bytes = fs::read(fixture(name)).unwrap();
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            if let Ok(picture) = decode(&bytes, false) {
                prop_assert_eq!(picture.dim().2, 3);
            }
        }
    }
}
