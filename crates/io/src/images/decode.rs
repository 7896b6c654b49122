//! One file to pixels.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use ndarray::Array3;
use png::{ColorType, Limits, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::error::Error;

/// A picture wider or higher than this is refused before it is decoded: a file of some bytes can promise gigabytes.
pub const LARGEST_SIDE: usize = 16_384;

/// A picture of more pixels than this is refused before it is decoded.
pub const MOST_PIXELS: usize = 1 << 26;

/// The pixels of a PNG or JPEG file in red, green and blue, `[height, width, 3]`, 0 to 255.
///
/// Grey becomes three equal channels, 16 bits become 8, palettes and CMYK become colours; transparency and colour profiles
/// are left out. Of an animated PNG it is the picture that programs without animation show.
///
/// # Errors
/// If the file cannot be read, is neither PNG nor JPEG, is broken or breaks off, or is larger than [`LARGEST_SIDE`] or
/// [`MOST_PIXELS`].
pub fn read(path: &Path) -> Result<Array3<u8>, Error> {
    let bytes = fs::read(path).map_err(Error::io(path, "open"))?;
    decode(&bytes).map_err(|got| Error::content(path, "a PNG or JPEG picture", got))
}

/// As [`read`]; else what was there in place of a picture.
pub(super) fn decode(bytes: &[u8]) -> Result<Array3<u8>, String> {
    match bytes {
        [] => Err("an empty file".to_owned()),
        [0x89, b'P', b'N', b'G', ..] => decode_png(bytes),
        [0xff, 0xd8, 0xff, ..] => decode_jpeg(bytes),
        [b'G', b'I', b'F', b'8', ..] => Err("a GIF file".to_owned()),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Err("a WebP file".to_owned()),
        [b'B', b'M', ..] => Err("a BMP file".to_owned()),
        _ => Err(format!("a file that begins with the bytes {:02x?}", &bytes[..bytes.len().min(4)])),
    }
}

fn check_size(height: usize, width: usize) -> Result<(), String> {
    let fits = height <= LARGEST_SIDE && width <= LARGEST_SIDE && height * width <= MOST_PIXELS;
    if fits && height > 0 && width > 0 {
        return Ok(());
    }
    Err(format!(
        "one of {height}x{width} pixels, where 1 to {LARGEST_SIDE} a side and {MOST_PIXELS} in all are read"
    ))
}

fn decode_png(bytes: &[u8]) -> Result<Array3<u8>, String> {
    let broken = |error: png::DecodingError| format!("a broken PNG: {error}");
    // Text and colour profiles are compressed too.
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: 64 << 20 });
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(broken)?;
    check_size(header.height as usize, header.width as usize)?;
    let mut reader = decoder.read_info().map_err(broken)?;
    let mut buffer = vec![0; reader.output_buffer_size().ok_or("a broken PNG: too large")?];
    let frame = reader.next_frame(&mut buffer).map_err(broken)?;
    let (height, width) = (frame.height as usize, frame.width as usize);
    let channels = match frame.color_type {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
        ColorType::Indexed => return Err("a broken PNG: a palette without colours".to_owned()),
    };
    let mut rgb = Vec::with_capacity(height * width * 3);
    for pixel in buffer[..height * width * channels].chunks_exact(channels) {
        rgb.extend(if channels < 3 { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] });
    }
    Ok(Array3::from_shape_vec((height, width, 3), rgb).expect("three numbers a pixel"))
}

/// Whether the last scan of a JPEG file has an end: the decoder fills up the last pixels of one that has none.
fn ends(bytes: &[u8]) -> bool {
    // Within a scan 0xff is never followed by one of these.
    let last = |marker: u8| bytes.windows(2).rposition(|two| two == [0xff, marker]);
    let (start_of_scan, end_of_image) = (last(0xda), last(0xd9));
    end_of_image.is_some() && end_of_image > start_of_scan
}

fn decode_jpeg(bytes: &[u8]) -> Result<Array3<u8>, String> {
    let broken = |error| format!("a broken JPEG: {error}");
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(LARGEST_SIDE)
        .set_max_height(LARGEST_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let info = decoder.info().ok_or("a broken JPEG: no header")?;
    let (height, width) = (usize::from(info.height), usize::from(info.width));
    check_size(height, width)?;
    if !ends(bytes) {
        return Err("a broken JPEG: it breaks off".to_owned());
    }
    let rgb = decoder.decode().map_err(broken)?;
    let got = rgb.len();
    Array3::from_shape_vec((height, width, 3), rgb)
        .map_err(|_| format!("a broken JPEG: {got} numbers for {height}x{width} pixels in colour"))
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
        let mut npz = Archive::open(&fixture("expected.npz")).unwrap();
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
            assert_eq!(read(&fixture(name)).unwrap(), by_pillow(name), "{name}");
        }
        // Decoders may round a cosine transform each in its own way, and enlarge halved colours each in its own.
        for (name, most) in [("rgb.jpg", 2), ("grey.jpg", 1), ("cmyk.jpg", 3), ("progressive.jpg", 12)] {
            let difference = largest_difference(&read(&fixture(name)).unwrap(), &by_pillow(name));
            assert!(difference <= most, "{name}: {difference}");
        }
    }

    #[test]
    fn resized_pixels_are_those_of_pillow() {
        let picture = read(&fixture("rgb.png")).unwrap();
        for (height, width) in [(7, 9), (26, 40), (13, 5), (1, 1)] {
            let resized = resize(picture.view(), height, width).unwrap();
            assert_eq!(resized, by_pillow(&format!("{height}x{width}")), "{height}x{width}");
        }
        assert_eq!(resize(picture.view(), 13, 20).unwrap(), picture);
        assert!(resize(picture.view(), 0, 20).is_err());
        assert!(resize(Array3::zeros((2, 2, 1)).view(), 4, 4).is_err());
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
            let error = decode(bytes).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        let error = read(&fixture("animated.gif")).unwrap_err().to_string();
        assert!(error.ends_with("animated.gif: expected a PNG or JPEG picture, got a GIF file"), "{error}");
        assert!(read(&fixture("none.png")).unwrap_err().to_string().contains("could not open"));
    }

    #[test]
    fn a_file_that_breaks_off_is_broken() {
        for name in ["rgb.png", "palette.png", "rgb.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"] {
            let bytes = fs::read(fixture(name)).unwrap();
            // The last bytes of a PNG say only that it ends.
            let needed = bytes.len() - if name.ends_with("png") { 16 } else { 0 };
            for length in 0..needed {
                assert!(decode(&bytes[..length]).is_err(), "{name}: {length} of {} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn a_small_file_that_promises_gigabytes_is_refused_before_memory_is_taken() {
        let mut bytes = fs::read(fixture("rgb.png")).unwrap();
        bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let header: Vec<u8> = bytes[12..29].to_vec();
        bytes[29..33].copy_from_slice(&crc32fast::hash(&header).to_be_bytes());
        let error = decode(&bytes).unwrap_err();
        assert!(error.starts_with("one of 65536x65536 pixels"), "{error}");
        // 16,000 a side is within the limit, their product is not.
        bytes[16..24].copy_from_slice(&[0, 0, 0x3e, 0x80, 0, 0, 0x3e, 0x80]);
        let header: Vec<u8> = bytes[12..29].to_vec();
        bytes[29..33].copy_from_slice(&crc32fast::hash(&header).to_be_bytes());
        assert!(decode(&bytes).unwrap_err().starts_with("one of 16000x16000 pixels"));
        let mut bytes = fs::read(fixture("rgb.jpg")).unwrap();
        let frame = bytes.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        bytes[frame + 5..frame + 9].fill(0xff);
        assert!(decode(&bytes).is_err());
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
            if let Ok(picture) = decode(&bytes) {
                prop_assert_eq!(picture.dim().2, 3);
            }
        }
    }
}
