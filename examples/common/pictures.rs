//! Pictures of what a network computes.

use backstitch::explain::{self, activations};
use backstitch::prelude::*;
use backstitch::{ColourBar, ColourMap, Picture, PictureGrid};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewD, Axis};

use super::AnyError;

/// How strongly a map covers the picture below it.
pub const COVER: f64 = 0.55;

/// A map from 0 to its own largest number; all dark where it is empty.
pub fn heat(map: ArrayView2<'_, f32>) -> Result<Picture, AnyError> {
    heat_to(map, map.iter().fold(0.0_f32, |most, v| most.max(*v)))
}

/// A map from 0 to the number that one pixel in a hundred exceeds: the few largest gradients would leave the rest dark.
pub fn heat_of_most(map: ArrayView2<'_, f32>) -> Result<Picture, AnyError> {
    let mut values: Vec<f32> = map.iter().copied().collect();
    values.sort_by(f32::total_cmp);
    heat_to(map, values[values.len() * 99 / 100])
}

/// Square pictures of `side` pixels, from 0 to 1, as one picture: `columns` of them in a row, with a white line between two.
pub fn mosaic(pixels: &[f32], side: usize, columns: usize) -> Result<Picture, AnyError> {
    let count = pixels.len() / (side * side);
    let length = |pictures: usize| pictures * (side + 1) - 1;
    let picture = Array2::from_shape_fn((length(count.div_ceil(columns)), length(columns)), |(i, j)| {
        let (row, column) = (i / (side + 1), j / (side + 1));
        let (i, j, number) = (i % (side + 1), j % (side + 1), row * columns + column);
        if i == side || j == side || number >= count { 1.0 } else { pixels[(number * side + i) * side + j] }
    });
    Ok(Picture::grey(picture.view())?)
}

fn heat_to(map: ArrayView2<'_, f32>, most: f32) -> Result<Picture, AnyError> {
    Ok(Picture::mapped(map, 0.0, if most > 0.0 { most } else { 1.0 }, ColourMap::Viridis)?)
}

/// The bar of pictures that go each from 0 to its own largest number.
pub fn heat_bar() -> Option<ColourBar> {
    Some(ColourBar { map: ColourMap::Viridis, low: 0.0, high: 1.0 })
}

/// Blue, green and red from 0 to 255 less their means, as a picture.
pub fn blue_green_red(x: ArrayView3<'_, f32>, means: [f32; 3]) -> Result<Picture, AnyError> {
    let colour = |(i, j, c): (usize, usize, usize)| (x[[i, j, 2 - c]] + means[2 - c]) / 255.0;
    Ok(Picture::colour(Array3::from_shape_fn(x.dim(), colour).view())?)
}

/// The filters of a convolution, on one scale; those of three channels as colours, from the smallest weight to the largest.
pub fn filters(model: &Model, layer: &str, columns: usize, enlarge: usize) -> Result<PictureGrid, AnyError> {
    let filters = explain::filters(model, layer)?;
    let most = filters.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
    let map = ColourMap::BlueRed;
    let colours = filters.dim().3 == 3;
    let mut pictures = Vec::new();
    for (i, filter) in filters.outer_iter().enumerate() {
        let picture = if colours {
            Picture::colour(filter.mapv(|w| 0.5 + 0.5 * w / most).view())?
        } else {
            Picture::mapped(filter.index_axis(Axis(2), 0), -most, most, map)?
        };
        pictures.push(((i + 1).to_string(), picture));
    }
    let bar = (!colours).then_some(ColourBar { map, low: -most, high: most });
    Ok(PictureGrid { title: format!("Filters of {layer}"), columns, enlarge, bar, pictures })
}

/// All maps of a layer for one picture, each from 0 to its own largest value; and how many are zero everywhere.
pub fn maps(
    model: &Model,
    x: &ArrayViewD<'_, f32>,
    layer: &str,
    (columns, enlarge): (usize, usize),
) -> Result<(PictureGrid, usize), AnyError> {
    let maps = activations(model, x, layer)?;
    let (mut pictures, mut silent) = (Vec::new(), 0);
    for (channel, map) in maps.index_axis(Axis(0), 0).axis_iter(Axis(2)).enumerate() {
        silent += usize::from(map.iter().all(|&value| value <= 0.0));
        pictures.push(((channel + 1).to_string(), heat(map)?));
    }
    let title = format!("Maps of {layer}");
    Ok((PictureGrid { title, columns, enlarge, bar: heat_bar(), pictures }, silent))
}
