//! Decodes JPEG to pixels.
//!
//! `zune-jpeg` reads the file and makes a plane of each component. Colours with half the samples are enlarged here: zune-jpeg
//! itself uses the padding of the last block as a neighbour of the last column and row, which gives colours that are not in the
//! picture.

mod colour;
mod segments;

use zune_jpeg::JpegDecoder;
use zune_jpeg::PlaneInfo;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::stored::{MAX_SIDE, Stored, check_size};

/// The pixels, grey or in colour. The error says what is wrong.
pub(super) fn decode(bytes: &[u8]) -> Result<Stored, String> {
    let broken = |error| format!("a broken JPEG: {error}");
    let bytes = segments::without_junk(bytes).map_err(|what| format!("a broken JPEG: {what}"))?;
    let options =
        DecoderOptions::default().set_strict_mode(true).set_max_width(MAX_SIDE).set_max_height(MAX_SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&bytes[..]), options);
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder.dimensions().ok_or("a broken JPEG: no header")?;
    check_size(height, width)?;
    // Each block of each component has a code of at least one bit.
    if height.div_ceil(8) * width.div_ceil(8) > bytes.len() * 8 {
        return Err("a broken JPEG: it breaks off".to_owned());
    }
    let colours = decoder.input_colorspace().unwrap_or(ColorSpace::Unknown);
    let exif = decoder.exif().cloned();
    let planes = planes(&mut decoder)?;
    let pixels = colour::pixels(&planes, colours, (height, width))?;
    Ok(Stored { pixels, exif })
}

/// The samples of one component, row by row, and the factors by which it is enlarged.
struct Plane {
    samples: Vec<u8>,
    /// The distance from row to row.
    stride: usize,
    height: usize,
    width: usize,
    /// Down and to the right.
    factors: (usize, usize),
}

fn planes(decoder: &mut JpegDecoder<ZCursor<&[u8]>>) -> Result<Vec<Plane>, String> {
    let mut raw = decoder.raw_output();
    let layout = raw.layout().zip(raw.num_components());
    let (layout, count) = layout.ok_or("a broken JPEG: no components")?;
    let layout = &layout[..count];
    let most = |factor: fn(&PlaneInfo) -> usize| layout.iter().map(factor).max().unwrap_or(1);
    let (down, right) =
        (most(|plane| plane.vertical_sampling_factor), most(|plane| plane.horizontal_sampling_factor));
    let plane = |info: &PlaneInfo| {
        let (v, h) = (info.vertical_sampling_factor, info.horizontal_sampling_factor);
        if v == 0 || h == 0 || !down.is_multiple_of(v) || !right.is_multiple_of(h) {
            return Err(format!("a JPEG whose component has {v}x{h} samples for {down}x{right} pixels"));
        }
        Ok(Plane {
            samples: vec![0; info.byte_size],
            stride: info.stride,
            height: info.height,
            width: info.width,
            factors: (down / v, right / h),
        })
    };
    let mut planes = layout.iter().map(plane).collect::<Result<Vec<_>, _>>()?;
    let mut samples: Vec<&mut [u8]> = planes.iter_mut().map(|plane| &mut plane.samples[..]).collect();
    raw.decode_into_planes(&mut samples).map_err(|error| format!("a broken JPEG: {error}"))?;
    Ok(planes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use ndarray::Array3;
    use proptest::prelude::*;

    use super::super::decode;
    use crate::npz::Archive;

    /// Files and their pixels by Pillow, of `fixtures/images/jpegs.py`.
    fn files() -> BTreeMap<String, (Vec<u8>, Array3<u8>)> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images/jpegs.npz");
        let mut npz = Archive::open(&path).unwrap();
        let names: Vec<String> = npz.names().map(str::to_owned).collect();
        let files = names.into_iter().filter(|name| !name.ends_with(" pixels"));
        files
            .map(|name| {
                let bytes = npz.read::<u8>(&name).unwrap();
                let pixels = npz.read(&format!("{name} pixels")).unwrap().into_dimensionality().unwrap();
                (name, (bytes.iter().copied().collect(), pixels))
            })
            .collect()
    }

    fn largest_difference(bytes: &[u8], upright: bool, expected: &Array3<u8>) -> u8 {
        let picture = decode::coloured(decode::decode(bytes, upright).unwrap());
        assert_eq!(picture.dim(), expected.dim());
        picture.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn pixels_of_every_kind_and_size_are_those_of_pillow() {
        let files = files();
        assert_eq!(files.len(), 5 * 22 + 16 + 5);
        for (name, (bytes, expected)) in &files {
            // zune-jpeg rounds a cosine transform differently from libjpeg-turbo, by 1. In colours this can become 3.
            let difference = largest_difference(bytes, name.contains("orientation"), expected);
            assert!(difference <= 3, "{name}: {difference}");
        }
    }

    #[test]
    fn orientation_is_left_out_unless_asked_for() {
        let files = files();
        for kind in ["JPEG", "PNG"] {
            let (_, upright) = &files[&format!("orientation 1 {kind}")];
            let (bytes, turned) = &files[&format!("orientation 6 {kind}")];
            assert_ne!(upright.dim(), turned.dim());
            assert!(largest_difference(bytes, false, upright) <= 3);
        }
    }

    #[test]
    fn channels_are_those_of_the_file() {
        for (name, (bytes, _)) in files() {
            let channels = if name.starts_with("grey") { 1 } else { 3 };
            assert_eq!(decode::decode(&bytes, false).unwrap().dim().2, channels, "{name}");
        }
    }

    #[test]
    fn what_breaks_off_or_is_no_jpeg_that_is_read_is_an_error() {
        let files = files();
        for name in ["420 5x6", "420 apart 5x6", "420 restarts 18x20", "junk bytes", "progressive 422 5x6"] {
            let (bytes, _) = &files[name];
            for length in 0..bytes.len() {
                assert!(
                    decode::decode(&bytes[..length], false).is_err(),
                    "{name}: {length} of {}",
                    bytes.len()
                );
            }
        }
        let (bytes, _) = &files["422 8x4"];
        let frame = bytes.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        let with = |at: usize, values: &[u8]| {
            let mut bytes = bytes.clone();
            bytes[frame + at..frame + at + values.len()].copy_from_slice(values);
            decode::decode(&bytes, false).unwrap_err()
        };
        assert!(
            with(5, &[0x20, 0, 0x20, 0]).ends_with("it breaks off"),
            "8192x8192 pixels in {} bytes",
            bytes.len()
        );
        assert!(with(5, &[0, 0]).starts_with("one of 0x4 pixels"));
        // Two and a half pixels per sample; lossless; arithmetic coding.
        for (at, value) in [(11, 0x32), (1, 0xc3), (1, 0xc9)] {
            assert!(with(at, &[value]).contains("JPEG"), "{at}");
        }
        let mut twice = bytes[..frame].to_vec();
        twice.extend([0xff, 0xd8]);
        twice.extend(&bytes[frame..]);
        assert!(decode::decode(&twice, false).unwrap_err().contains("another picture begins"));
    }

    proptest! {
        #[test]
        fn damage_is_an_error_or_another_picture_but_no_panic(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            upright in any::<bool>(),
        ) {
            let files = files();
            let (bytes, _) = files.values().nth(which.index(files.len())).unwrap();
            let mut bytes = bytes.clone();
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            if let Ok(picture) = decode::decode(&bytes, upright) {
                prop_assert!([1, 3].contains(&picture.dim().2));
            }
        }
    }
}
