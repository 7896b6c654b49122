//! Grouped convolution: channels and filters are cut into groups, and the filters of a group read its channels alone (A. Krizhevsky, I. Sutskever and
//! G. Hinton 2012, section 3.5). The kernel is `[kernel height, kernel width, channels / groups, filters]`.
//!
//! One group is the plan of `plan.rs`, as many groups as channels are `depthwise.rs`. Otherwise the numbers of a group are copied, for some maps at a
//! time, and the products of a group are those of a convolution.

use std::ops::Range;

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::conv::depthwise;
use crate::kernels::conv::kernel::ConvKernel;
use crate::kernels::conv::plan::{Algorithm, ConvPlan};
use crate::kernels::conv::walk::ParameterGradients;
use crate::kernels::parts::in_pieces;
use crate::kernels::scratch::Scratch;
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

/// Numbers of a group that are copied at a time, where a map does not have more.
const MOST_NUMBERS: usize = 1 << 20;

/// How the products of a convolution in groups are computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupedPlan {
    /// Over all channels. Its products are used if there is one group.
    all: ConvPlan,
    way: Way,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    OneGroup,
    Depthwise,
    Groups(Box<Groups>),
}

impl GroupedPlan {
    /// `plan` makes the plan of a convolution: of windows, a number of maps, and a number of filters.
    pub fn new(
        windows: Windows,
        maps: usize,
        (filters, groups): (usize, usize),
        algorithm: Algorithm,
        plan: impl Fn(Windows, usize, usize, Algorithm) -> ConvPlan,
    ) -> Self {
        let way = match groups {
            1 => return Self { all: plan(windows, maps, filters, algorithm), way: Way::OneGroup },
            _ if groups == windows.channels => Way::Depthwise,
            _ => Way::Groups(Box::new(Groups::new(windows, maps, (filters, groups), algorithm))),
        };
        // Its products are not used: this algorithm is chosen without counting anything.
        Self { all: ConvPlan::new(windows, maps, filters, Algorithm::Im2col), way }
    }

    /// Whether the plan is one for a batch `[maps, height, width, channels]`.
    pub fn is_for(&self, batch: &[usize]) -> bool {
        self.all.is_for(batch)
    }

    /// As [`ConvPlan::forward`].
    pub fn forward<F: Scalar>(
        &self,
        x: &[F],
        kernel: ConvKernel<'_, F>,
        y: &mut [F],
        finish: impl Fn(&mut [F]) + Sync,
    ) {
        match &self.way {
            Way::OneGroup => self.all.forward(x, kernel, y, finish),
            Way::Depthwise => depthwise::forward(x, &self.all.windows, kernel.weights, y, &finish),
            Way::Groups(groups) => {
                groups.forward(x, kernel.weights, y);
                finish(y);
            }
        }
    }

    /// As [`ConvPlan::parameter_gradients`].
    pub fn parameter_gradients<F: Scalar>(
        &self,
        x: &[F],
        dz: &mut [F],
        differentiate: impl Fn(Range<usize>, &mut [F]) + Sync,
        gradients: ParameterGradients<'_, F>,
    ) -> usize {
        if self.way == Way::OneGroup {
            return self.all.parameter_gradients(x, dz, differentiate, gradients);
        }
        let ParameterGradients { bias, kernel } = gradients;
        let of_bias = ParameterGradients { bias, kernel: None };
        let nonzeros = self.all.parameter_gradients(x, dz, differentiate, of_bias);
        if let Some((how, gradient)) = kernel {
            match &self.way {
                Way::Groups(groups) => groups.weight_gradient(x, dz, how, gradient),
                _ => depthwise::weight_gradient(x, &self.all.windows, dz, how, gradient),
            }
        }
        nonzeros
    }

    /// As [`ConvPlan::input_gradient_of`].
    pub fn input_gradient_of<F: Scalar>(&self, (dz, nonzeros): (&[F], usize), kernel: &[F], dx: &mut [F]) {
        match &self.way {
            Way::OneGroup => self.all.input_gradient_of((dz, nonzeros), kernel, dx),
            Way::Depthwise => depthwise::input_gradient(dz, &self.all.windows, kernel, dx),
            Way::Groups(groups) => groups.input_gradient(dz, kernel, dx),
        }
    }
}

/// The most numbers in the scratch memory of a convolution in groups.
pub(crate) fn scratch(windows: &Windows, filters: usize, groups: usize) -> usize {
    if groups == 1 {
        return windows.scratch(filters);
    }
    if groups == windows.channels {
        let map = if filters == groups { 0 } else { windows.map().saturating_mul(filters / groups) };
        return map.saturating_add(windows.window().saturating_mul(filters / groups));
    }
    let of_group = Windows { channels: windows.channels / groups, ..*windows };
    let filters = filters / groups;
    let copied = of_group.map() + windows.positions().saturating_mul(filters);
    of_group.scratch(filters).saturating_add(copied).saturating_add(of_group.window().saturating_mul(filters))
}

/// Groups of several channels.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Groups {
    groups: usize,
    /// Maps that are copied at a time.
    maps: usize,
    /// Of a group.
    channels: usize,
    /// Of a group.
    filters: usize,
    /// For a group, and that many maps.
    plan: ConvPlan,
}

impl Groups {
    fn new(windows: Windows, maps: usize, (filters, groups): (usize, usize), algorithm: Algorithm) -> Self {
        let (channels, filters) = (windows.channels / groups, filters / groups);
        let windows = Windows { channels, ..windows };
        let of_map = windows.map() + windows.positions() * filters;
        let maps = (MOST_NUMBERS / of_map).clamp(1, maps.max(1));
        Self { groups, maps, channels, filters, plan: ConvPlan::new(windows, maps, filters, algorithm) }
    }

    fn forward<F: Scalar>(&self, x: &[F], kernel: &[F], y: &mut [F]) {
        let [mut of_x, mut of_y, mut of_kernel] = buffers();
        for group in 0..self.groups {
            let kernel = self.kernel(kernel, group, &mut of_kernel);
            for (x, y) in self.some_maps(x).zip(self.some_maps_out(y)) {
                let part = of_y.first(y.len() / self.groups);
                self.plan.forward(self.channels(x, group, &mut of_x), ConvKernel::new(kernel), part, |_| {});
                paste(part, self.filters, y, group);
            }
        }
    }

    fn weight_gradient<F: Scalar>(&self, x: &[F], dz: &[F], how: Accumulate, gradient: &mut [F]) {
        let [mut of_x, mut of_dz, mut of_kernel] = buffers();
        let of_group = of_kernel.first(gradient.len() / self.groups);
        let rows = self.plan.windows.positions() * self.maps * self.filters * self.groups;
        for group in 0..self.groups {
            let mut how_now = Accumulate::Overwrite;
            for (x, dz) in self.some_maps(x).zip(dz.chunks(rows)) {
                let (x, dz) = (self.channels(x, group, &mut of_x), self.outputs(dz, group, &mut of_dz));
                self.plan.weight_gradient(x, dz, how_now, of_group);
                how_now = Accumulate::Add;
            }
            match how {
                Accumulate::Overwrite => paste(of_group, self.filters, gradient, group),
                Accumulate::Add => {
                    let rows = gradient.chunks_exact_mut(self.filters * self.groups);
                    for (to, from) in rows.zip(of_group.chunks_exact(self.filters)) {
                        let to = to[group * self.filters..].iter_mut();
                        to.zip(from).for_each(|(to, &from)| *to += from);
                    }
                }
            }
        }
    }

    fn input_gradient<F: Scalar>(&self, dz: &[F], kernel: &[F], dx: &mut [F]) {
        let [mut of_dx, mut of_dz, mut of_kernel] = buffers();
        let rows = self.plan.windows.positions() * self.maps * self.filters * self.groups;
        for group in 0..self.groups {
            let kernel = self.kernel(kernel, group, &mut of_kernel);
            let maps = dx.chunks_mut(self.maps * self.plan.windows.map() * self.groups);
            for (dx, dz) in maps.zip(dz.chunks(rows)) {
                let part = of_dx.first(dx.len() / self.groups);
                self.plan.input_gradient(self.outputs(dz, group, &mut of_dz), kernel, part);
                paste(part, self.channels, dx, group);
            }
        }
    }

    fn some_maps<'a, F>(&self, x: &'a [F]) -> impl Iterator<Item = &'a [F]> {
        x.chunks(self.maps * self.plan.windows.map() * self.groups)
    }

    fn some_maps_out<'a, F>(&self, y: &'a mut [F]) -> impl Iterator<Item = &'a mut [F]> {
        y.chunks_mut(self.maps * self.plan.windows.positions() * self.filters * self.groups)
    }

    fn channels<'a, F: Scalar>(&self, x: &[F], group: usize, to: &'a mut Scratch<F>) -> &'a [F] {
        cut(x, self.channels, self.groups, group, to)
    }

    fn outputs<'a, F: Scalar>(&self, dz: &[F], group: usize, to: &'a mut Scratch<F>) -> &'a [F] {
        cut(dz, self.filters, self.groups, group, to)
    }

    fn kernel<'a, F: Scalar>(&self, kernel: &[F], group: usize, to: &'a mut Scratch<F>) -> &'a [F] {
        cut(kernel, self.filters, self.groups, group, to)
    }
}

/// For the numbers of a group: of the input, of the output and of the kernel.
fn buffers<F: Scalar>() -> [Scratch<F>; 3] {
    [Buffer::GroupInput, Buffer::GroupOutput, Buffer::GroupKernel].map(Scratch::take)
}

/// Rows that are copied at a time.
const ROWS: usize = 1024;

/// The numbers of a group, `width` of each row.
fn cut<'a, F: Scalar>(
    from: &[F],
    width: usize,
    groups: usize,
    group: usize,
    to: &'a mut Scratch<F>,
) -> &'a [F] {
    let to = to.first(from.len() / groups);
    in_pieces(to, ROWS * width, &|i, to| {
        let rows = from[i * ROWS * width * groups..].chunks_exact(width * groups);
        for (to, from) in to.chunks_exact_mut(width).zip(rows) {
            to.copy_from_slice(&from[group * width..][..width]);
        }
    });
    to
}

/// The reverse of [`cut`].
fn paste<F: Scalar>(from: &[F], width: usize, to: &mut [F], group: usize) {
    let all = to.len() / (from.len() / width);
    in_pieces(to, ROWS * all, &|i, to| {
        for (to, from) in to.chunks_exact_mut(all).zip(from[i * ROWS * width..].chunks_exact(width)) {
            to[group * width..][..width].copy_from_slice(from);
        }
    });
}
