//! The filters of a kernel in panels: some side by side, whose products with a piece of work stay in the cache.

use rayon::prelude::*;

use crate::kernels::Accumulate;
use crate::kernels::gemm::Matrix;
use crate::kernels::parts::in_parts;
use crate::kernels::tile;
use crate::scalar::Scalar;
use crate::scratch::{Purpose, Scratch};

/// Filters in a panel: a whole number of tiles of a matrix product.
pub(super) const FILTERS: usize = 48;
/// The same number of filters in every processor's vectors.
const GRAIN: usize = 16;

/// The number of panels.
pub(super) fn panels(filters: usize) -> usize {
    filters.div_ceil(FILTERS)
}

/// The first filter of panel `i`; they are as even as can be.
pub(super) fn panel_edge(filters: usize, i: usize) -> usize {
    ((filters.div_ceil(GRAIN) * i).div_ceil(panels(filters)) * GRAIN).min(filters)
}

/// A kernel, one filter a column, panel by panel: each can be read from its beginning to its end.
pub(super) fn lay_out<F: Scalar>(weights: &[F], filters: usize) -> Vec<F> {
    let of_panel = |panel| {
        let columns = panel_edge(filters, panel)..panel_edge(filters, panel + 1);
        weights.chunks_exact(filters).flat_map(move |row| row[columns.clone()].iter().copied())
    };
    (0..panels(filters)).flat_map(of_panel).collect()
}

/// `c = a b`, where `b` is what [`lay_out`] made of a kernel.
pub(super) fn multiply<F: Scalar>(a: Matrix<'_, F>, b: &[F], filters: usize, c: &mut [F]) {
    tile::get_ready::<F>();
    let mut scratch = Scratch::take(Purpose::Shared);
    let products = scratch.first(c.len());
    let edge = |panel: usize| panel_edge(filters, panel) * a.rows;
    in_parts(0..panels(filters), 1, &edge, products, &|panel, products: &mut [F]| {
        let width = products.len() / a.rows;
        let b = &b[panel_edge(filters, panel.start) * a.columns..][..width * a.columns];
        tile::multiply(a, Matrix::new(b, a.columns, width), Accumulate::Overwrite, products);
    });
    let products = &*products;
    c.par_chunks_mut(filters).enumerate().with_min_len(16).for_each(|(row, to)| {
        side_by_side(products, a.rows, row, to);
    });
}

/// Row `row` of a matrix of so many rows whose columns are in panels.
pub(super) fn side_by_side<F: Scalar>(panels_of_rows: &[F], rows: usize, row: usize, to: &mut [F]) {
    let filters = to.len();
    for panel in 0..panels(filters) {
        let (first, last) = (panel_edge(filters, panel), panel_edge(filters, panel + 1));
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
    use crate::rng;

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
