//! The filters of a kernel in panels: a few filters side by side, whose products with a piece of the left factor stay in the cache.

use rayon::prelude::*;

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::tile;
use crate::kernels::parts::in_parts;
use crate::kernels::scratch::Scratch;
use crate::tensor::scalar::Scalar;

/// Filters in a panel: a whole number of tiles of a matrix product.
pub(crate) const PANEL_FILTERS: usize = 48;
/// The same number of filters in every processor's vectors.
const GRAIN: usize = 16;

/// The number of panels.
pub(crate) fn count(filters: usize) -> usize {
    filters.div_ceil(PANEL_FILTERS)
}

/// The first filter of panel `i`; they are as even as can be.
pub(crate) fn first_filter(filters: usize, i: usize) -> usize {
    ((filters.div_ceil(GRAIN) * i).div_ceil(count(filters)) * GRAIN).min(filters)
}

/// A kernel, one filter a column, panel by panel: each can be read from its beginning to its end.
pub(crate) fn lay_out<F: Scalar>(weights: &[F], filters: usize) -> Vec<F> {
    let of_panel = |panel| {
        let columns = first_filter(filters, panel)..first_filter(filters, panel + 1);
        weights.chunks_exact(filters).flat_map(move |row| row[columns.clone()].iter().copied())
    };
    (0..count(filters)).flat_map(of_panel).collect()
}

/// `c = a b`, where `b` is what [`lay_out`] made of a kernel.
pub(crate) fn multiply<F: Scalar>(a: Matrix<'_, F>, b: &[F], filters: usize, c: &mut [F]) {
    tile::get_ready::<F>();
    let mut scratch = Scratch::take(Buffer::Shared);
    let products = scratch.first(c.len());
    let edge = |panel: usize| first_filter(filters, panel) * a.rows;
    in_parts(0..count(filters), 1, &edge, products, &|panel, products: &mut [F]| {
        let width = products.len() / a.rows;
        let b = &b[first_filter(filters, panel.start) * a.columns..][..width * a.columns];
        tile::multiply(a, Matrix::new(b, a.columns, width), Accumulate::Overwrite, products);
    });
    let products = &*products;
    c.par_chunks_mut(filters).enumerate().with_min_len(16).for_each(|(row, to)| {
        side_by_side(products, a.rows, row, to);
    });
}

/// Row `row` of a matrix with this number of rows, whose columns are in panels.
pub(crate) fn side_by_side<F: Scalar>(panels_of_rows: &[F], rows: usize, row: usize, to: &mut [F]) {
    let filters = to.len();
    for panel in 0..count(filters) {
        let (first, last) = (first_filter(filters, panel), first_filter(filters, panel + 1));
        let from = first * rows + row * (last - first);
        to[first..last].copy_from_slice(&panels_of_rows[from..][..last - first]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::Rng;

    use super::*;
    use crate::kernels::naive;
    use crate::tensor::rng;

    proptest! {
        #[test]
        fn a_product_by_panels_is_the_product(
            (rows, depth, filters) in (1_usize..40, 1_usize..60, 1_usize..200),
            seed in 0_u64..1000,
        ) {
            let mut rng = rng::stream(seed, rng::Purpose::GradientCheck, 0, 0);
            let mut random = |count: usize| -> Vec<f64> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
            let (a, b) = (random(rows * depth), random(depth * filters));
            let (mut got, mut expected) = (vec![f64::NAN; rows * filters], vec![0.0; rows * filters]);
            let a = Matrix::new(&a, rows, depth);
            multiply(a, &lay_out(&b, filters), filters, &mut got);
            naive::matmul(a, Matrix::new(&b, depth, filters), &mut expected);
            prop_assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + depth as f64)));
        }
    }
}
