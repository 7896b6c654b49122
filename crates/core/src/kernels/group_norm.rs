//! Normalization of groups of channels of one sample, over all its positions: the loops of group and of instance normalization.
//!
//! They are sums over columns, one column for each channel, whose sums are then added within the groups. A sample is the work of one thread.

use crate::kernels::buffers::Buffer;
use crate::kernels::normalize;
use crate::kernels::parts::in_pieces;
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::sums;
use crate::tensor::scalar::Scalar;

/// Numbers that the statistics of a group take: x̂ = (x - mean) scale + shift. The shift is what rounding cut off the mean, in deviations.
pub(crate) const STATISTICS: usize = 3;

/// How the numbers of a sample are grouped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups {
    pub(crate) positions: usize,
    pub(crate) channels: usize,
    pub(crate) groups: usize,
}

impl Groups {
    /// Numbers of a sample.
    fn sample(self) -> usize {
        self.positions * self.channels
    }

    /// Channels of a group.
    fn width(self) -> usize {
        self.channels / self.groups
    }

    /// Numbers of a group.
    fn count(self) -> f64 {
        (self.positions * self.width()) as f64
    }

    /// Memory of each thread for `columns` numbers of each channel, and for two sums.
    fn make_room<F: Scalar>(self, columns: usize) {
        ready::<F>(&[(Buffer::Centres, columns * self.channels)]);
        ready::<f64>(&[(Buffer::Sums, 2 * self.channels)]);
    }

    /// The statistics of every group of every sample.
    #[inline(never)]
    pub(crate) fn statistics<F: Scalar>(self, x: &[F], epsilon: f64, statistics: &mut [F]) {
        self.make_room::<F>(1);
        in_pieces(statistics, STATISTICS * self.groups, &|i, statistics| {
            self.statistics_of(&x[i * self.sample()..][..self.sample()], epsilon, statistics);
        });
    }

    fn statistics_of<F: Scalar>(self, x: &[F], epsilon: f64, statistics: &mut [F]) {
        let (width, count) = (self.width(), self.count());
        let (mut scratch, mut of_columns) = (Scratch::take(Buffer::Centres), Scratch::take(Buffer::Sums));
        let centres = scratch.first(self.channels);
        let (distances, squares) = of_columns.first(2 * self.channels).split_at_mut(self.channels);
        distances.fill(0.0);
        squares.fill(0.0);
        sums::add_columns(x, distances);
        for (centres, sums) in centres.chunks_exact_mut(width).zip(distances.chunks_exact(width)) {
            centres.fill(F::from_f64(sums.iter().sum::<f64>() / count));
        }
        distances.fill(0.0);
        sums::add_distances(x, centres, distances, squares);
        let of_groups = distances.chunks_exact(width).zip(squares.chunks_exact(width));
        for (i, (distances, squares)) in of_groups.enumerate() {
            let rest = distances.iter().sum::<f64>() / count;
            let variance = squares.iter().sum::<f64>() / count - rest * rest;
            // Rounding can make it negative. A NaN stays a NaN.
            let variance = if variance < 0.0 { 0.0 } else { variance };
            let scale = 1.0 / (variance + epsilon).sqrt();
            let row = [centres[i * width], F::from_f64(scale), F::from_f64(-rest * scale)];
            statistics[i * STATISTICS..][..STATISTICS].copy_from_slice(&row);
        }
    }

    /// y = x̂ · weight + bias, with a weight and a bias for each channel if there are any.
    #[inline(never)]
    pub(crate) fn normalize<F: Scalar>(
        self,
        x: &[F],
        statistics: &[F],
        affine: Option<[&[F]; 2]>,
        y: &mut [F],
    ) {
        self.make_room::<F>(3);
        in_pieces(y, self.sample(), &|i, y| {
            let mut scratch = Scratch::take(Buffer::Centres);
            let (means, others) = scratch.first(3 * self.channels).split_at_mut(self.channels);
            let (factors, shifts) = others.split_at_mut(self.channels);
            for channel in 0..self.channels {
                let [mean, scale, shift] = self.of_channel(statistics, i, channel);
                let [weight, bias] = affine.map_or([F::one(), F::zero()], |both| both.map(|v| v[channel]));
                means[channel] = mean;
                factors[channel] = scale * weight;
                shifts[channel] = shift * weight + bias;
            }
            let x = &x[i * self.sample()..][..y.len()];
            normalize::normalize_rows(x, [means, factors, shifts], y);
        });
    }

    /// The statistics of the group of a channel.
    fn of_channel<F: Scalar>(self, statistics: &[F], sample: usize, channel: usize) -> [F; STATISTICS] {
        statistics.as_chunks().0[sample * self.groups + channel / self.width()]
    }

    /// For every channel of every sample Σ dy and, after those of a sample's channels, Σ dy x̂.
    #[inline(never)]
    pub(crate) fn gradient_sums<'a, F: Scalar>(
        self,
        [x, dy, statistics]: [&[F]; 3],
        scratch: &'a mut Scratch<f64>,
    ) -> &'a mut [f64] {
        self.make_room::<F>(4);
        let all = scratch.first(dy.len() / self.sample() * 2 * self.channels);
        all.fill(0.0);
        in_pieces(all, 2 * self.channels, &|i, sums| {
            let mut scratch = Scratch::take(Buffer::Centres);
            let means = scratch.first(self.channels);
            for (channel, to) in means.iter_mut().enumerate() {
                [*to, ..] = self.of_channel(statistics, i, channel);
            }
            let (plain, weighted) = sums.split_at_mut(self.channels);
            let sample = i * self.sample()..(i + 1) * self.sample();
            sums::add_products(&x[sample.clone()], &dy[sample], means, plain, weighted);
            for (channel, (plain, weighted)) in plain.iter().zip(weighted).enumerate() {
                let [_, scale, shift] = self.of_channel(statistics, i, channel);
                *weighted = *weighted * scale.as_f64() + plain * shift.as_f64();
            }
        });
        all
    }

    /// dx = scale · (g - Σ g / m - x̂ Σ g x̂ / m) in every group of m numbers, with g = dy · weight and the sums of [`gradient_sums`](Self::gradient_sums).
    #[inline(never)]
    pub(crate) fn input_gradient<F: Scalar>(
        self,
        [x, dy, statistics]: [&[F]; 3],
        sums: &[f64],
        weight: Option<&[F]>,
        dx: &mut [F],
    ) {
        let (channels, width, count) = (self.channels, self.width(), self.count());
        self.make_room::<F>(4);
        in_pieces(dx, self.sample(), &|i, dx| {
            let mut scratch = Scratch::take(Buffer::Centres);
            let (means, others) = scratch.first(4 * channels).split_at_mut(channels);
            let (factors, others) = others.split_at_mut(channels);
            let (slopes, offsets) = others.split_at_mut(channels);
            let (plain, weighted) = sums[2 * i * channels..][..2 * channels].split_at(channels);
            let weight_of = |channel: usize| weight.map_or(F::one(), |weight| weight[channel]);
            for group in 0..self.groups {
                let of_group = group * width..(group + 1) * width;
                let mean_of = |sums: &[f64]| {
                    of_group.clone().map(|c| sums[c] * weight_of(c).as_f64()).sum::<f64>() / count
                };
                let (plain, weighted) = (mean_of(plain), mean_of(weighted));
                let [mean, scale, shift] = self.of_channel(statistics, i, of_group.start);
                let slope = weighted * scale.as_f64();
                let offset = scale.as_f64() * (plain + shift.as_f64() * weighted);
                means[of_group.clone()].fill(mean);
                slopes[of_group.clone()].fill(F::from_f64(slope * scale.as_f64()));
                offsets[of_group.clone()].fill(F::from_f64(offset));
                of_group.for_each(|channel| factors[channel] = scale * weight_of(channel));
            }
            let sample = i * self.sample()..(i + 1) * self.sample();
            let columns = [&*means, &*factors, &*slopes, &*offsets];
            normalize::input_gradient_rows(&x[sample.clone()], &dy[sample], columns, dx);
        });
    }
}
