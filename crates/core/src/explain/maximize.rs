//! Activation maximization: pictures that a class or a filter responds to most.

use ndarray::{Array3, ArrayView3, Axis, Slice};
use rand::Rng;

use crate::error::{Error, above_zero, below_one, in_range};
use crate::explain::resize::{blur, check_deviation};
use crate::explain::{Look, MOST_PASSES, check_maps, checked};
use crate::layer::{Context, ReluRule};
use crate::net::model::Model;
use crate::tensor::finite;
use crate::tensor::rng::{Purpose, stream};
use crate::tensor::scalar::Scalar;

/// What is maximized.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Goal {
    /// The logit of a class.
    Class(usize),
    /// The mean of a channel of a layer.
    Filter {
        /// The layer's path.
        layer: String,
        /// Which channel.
        channel: usize,
    },
}

/// Gradient ascent on the pixels with the regularizers of J. Yosinski et al., "Understanding neural networks through deep
/// visualization", 2015, section 3, and with jitter (A. Mordvintsev, "Inceptionism", 2015). Every regularizer is off by default.
///
/// ```
/// use backstitch::{Model, explain::{Goal, Maximizer}, zoo};
/// let model: Model = Model::new(zoo::lenet_fashion(10), &[28, 28, 1], 0)?;
/// let maximizer = Maximizer::new(30, 0.1)?.decay(0.01)?.blur(0.5, 4)?;
/// let start = maximizer.noise(&model, 0.5, 0.1)?;
/// let result = maximizer.run(&model, &Goal::Class(3), start.view())?;
/// assert!(result.responses[29] > result.responses[0]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Maximizer {
    iterations: usize,
    rate: f64,
    decay: f64,
    blur: f64,
    blur_every: usize,
    small_norm: f64,
    small_contribution: f64,
    jitter: usize,
    range: Option<(f64, f64)>,
    seed: u64,
}

/// A picture, and the response before each step.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Maximized<F> {
    /// `[height, width, channels]`.
    pub picture: Array3<F>,
    /// The goal's value before each step.
    pub responses: Vec<F>,
    /// Whether the gradient was zero everywhere in every step: the picture is then only decayed and blurred.
    pub no_gradient: bool,
}

impl Maximizer {
    /// Sets the number of steps. In each, pixels change by `rate` times the gradient divided by its root mean square.
    ///
    /// # Errors
    /// If there are no iterations or more than a million, or the rate is not above 0 and finite.
    pub fn new(iterations: usize, rate: f64) -> Result<Self, Error> {
        Ok(Self {
            iterations: in_range("iterations", iterations, MOST_PASSES)?,
            rate: above_zero("rate", rate)?,
            decay: 0.0,
            blur: 0.0,
            blur_every: 1,
            small_norm: 0.0,
            small_contribution: 0.0,
            jitter: 0,
            range: None,
            seed: 0,
        })
    }

    /// Reduces every number by this share in each step (L2 decay).
    ///
    /// # Errors
    /// If it is not in [0, 1).
    pub fn decay(mut self, share: f64) -> Result<Self, Error> {
        self.decay = below_one("decay", share)?;
        Ok(self)
    }

    /// Blurs with this standard deviation in pixels, every `every` steps: high frequencies excite filters but show little.
    ///
    /// # Errors
    /// If the deviation is not above 0, or `every` is 0.
    pub fn blur(mut self, deviation: f64, every: usize) -> Result<Self, Error> {
        if every == 0 {
            return Err(Error::argument("every", "at least 1", 0));
        }
        (self.blur, self.blur_every) = (above_zero("blur", deviation)?, every);
        Ok(self)
    }

    /// Sets the share of pixels with the smallest norm to 0 in each step.
    ///
    /// # Errors
    /// If it is not in [0, 1).
    pub fn clip_small_norm(mut self, share: f64) -> Result<Self, Error> {
        self.small_norm = below_one("clip_small_norm", share)?;
        Ok(self)
    }

    /// Sets the share of pixels with the smallest contribution, |Σ over channels of x dS/dx|, to 0 in each step.
    ///
    /// # Errors
    /// If it is not in [0, 1).
    pub fn clip_small_contribution(mut self, share: f64) -> Result<Self, Error> {
        self.small_contribution = below_one("clip_small_contribution", share)?;
        Ok(self)
    }

    /// Shifts the picture cyclically by up to `pixels` pixels before each step, and back after it. [`run`](Self::run) refuses more than
    /// the length of a side.
    #[must_use]
    pub fn jitter(mut self, pixels: usize) -> Self {
        self.jitter = pixels;
        self
    }

    /// Keeps every number in a range, such as that of the training pictures.
    ///
    /// # Errors
    /// If the range is empty.
    pub fn range(mut self, low: f64, high: f64) -> Result<Self, Error> {
        if low.is_nan() || high.is_nan() || low >= high {
            return Err(Error::argument(
                "range",
                "from a number to a larger one",
                format!("{low} to {high}"),
            ));
        }
        self.range = Some((low, high));
        Ok(self)
    }

    /// Sets the seed of the jitter and of [`noise`](Self::noise).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// An initial picture: uniform noise around a mean.
    ///
    /// # Errors
    /// If the model's inputs are not maps, or mean or width is not finite.
    pub fn noise<F: Scalar>(&self, model: &Model<F>, mean: f64, width: f64) -> Result<Array3<F>, Error> {
        let [height, wide, channels] = check_maps(model)?;
        for (name, value) in [("mean", mean), ("width", width)] {
            if !value.is_finite() {
                return Err(Error::argument(name, "a finite number", value));
            }
        }
        let mut rng = stream(self.seed, Purpose::Noise, u64::MAX, 0);
        Ok(Array3::from_shape_fn((height, wide, channels), |_| {
            F::from_f64(mean + width * rng.random_range(-1.0..1.0))
        }))
    }

    /// Runs gradient ascent from this picture, `[height, width, channels]`.
    ///
    /// # Errors
    /// If the picture is not one of the model's inputs; the class, layer or channel does not exist; jitter or blur is wider than the
    /// picture; or a number of the picture, of the response or of its gradient is not finite, at the start or in a later step.
    pub fn run<F: Scalar>(
        &self,
        model: &Model<F>,
        goal: &Goal,
        start: ArrayView3<'_, F>,
    ) -> Result<Maximized<F>, Error> {
        let [height, width, channels] = check_maps(model)?;
        if start.dim() != (height, width, channels) {
            let got = format!("{:?}", start.shape());
            return Err(Error::argument("picture", model.input_shape().to_string(), got));
        }
        let side = height.min(width);
        if self.jitter > side {
            return Err(Error::argument(
                "jitter",
                format!("at most {side}, a side of the picture"),
                self.jitter,
            ));
        }
        check_deviation(self.blur, height, width)?;
        let mut picture = start.to_owned();
        let (mut responses, mut no_gradient, mut look) = (Vec::new(), true, Look::new());
        for step in 0..self.iterations {
            let shift = self.shift(step);
            roll(&mut picture, shift);
            let (response, gradient) = response(model, goal, &picture, &mut look)?;
            finite::check(|| format!("response in step {}", step + 1), &[response], &[])?;
            responses.push(response);
            let squares = gradient.iter().map(|g| g.as_f64().powi(2)).sum::<f64>();
            let root = (squares / gradient.len() as f64).sqrt();
            finite::check(|| format!("gradient in step {}", step + 1), &[root], &[])?;
            if root > 0.0 {
                no_gradient = false;
                picture.scaled_add(F::from_f64(self.rate / root), &gradient);
            }
            self.regularize(&mut picture, &gradient, step);
            roll(&mut picture, shift.map(|by| -by));
        }
        Ok(Maximized { picture, responses, no_gradient })
    }

    fn shift(&self, step: usize) -> [isize; 2] {
        let mut rng = stream(self.seed, Purpose::Noise, step as u64, 1);
        let most = self.jitter as isize;
        [0, 1].map(|_| rng.random_range(0..=2 * self.jitter) as isize - most)
    }

    fn regularize<F: Scalar>(&self, picture: &mut Array3<F>, gradient: &Array3<F>, step: usize) {
        let kept = F::from_f64(1.0 - self.decay);
        picture.mapv_inplace(|value| value * kept);
        if self.blur > 0.0 && (step + 1).is_multiple_of(self.blur_every) {
            blur(picture.view_mut(), self.blur);
        }
        let contributions = &*picture * gradient;
        clip_smallest(picture, self.small_contribution, &contributions, |pixel| pixel.sum().abs().as_f64());
        let values = picture.clone();
        clip_smallest(picture, self.small_norm, &values, |pixel| {
            pixel.iter().map(|value| value.as_f64().powi(2)).sum()
        });
        if let Some((low, high)) = self.range {
            let (low, high) = (F::from_f64(low), F::from_f64(high));
            picture.mapv_inplace(|value| value.max(low).min(high));
        }
    }
}

/// Sets the share of pixels with the smallest measure to 0.
fn clip_smallest<F: Scalar>(
    picture: &mut Array3<F>,
    share: f64,
    of: &Array3<F>,
    measure: impl Fn(ndarray::ArrayView1<'_, F>) -> f64,
) {
    if share == 0.0 {
        return;
    }
    let measures: Vec<f64> = of.lanes(Axis(2)).into_iter().map(measure).collect();
    let mut sorted = measures.clone();
    sorted.sort_by(f64::total_cmp);
    let threshold = sorted[(share * sorted.len() as f64) as usize];
    for (mut pixel, measure) in picture.lanes_mut(Axis(2)).into_iter().zip(measures) {
        if measure < threshold {
            pixel.fill(F::zero());
        }
    }
}

/// Shifts a picture cyclically: pixels that leave at one side enter at the other.
fn roll<F: Scalar>(picture: &mut Array3<F>, shift: [isize; 2]) {
    for (axis, by) in shift.into_iter().enumerate() {
        let length = picture.len_of(Axis(axis));
        let by = by.rem_euclid(length as isize) as usize;
        if by > 0 {
            let old = picture.clone();
            let part = |from: usize, to: usize| Slice::from(from..to);
            picture
                .slice_axis_mut(Axis(axis), part(by, length))
                .assign(&old.slice_axis(Axis(axis), part(0, length - by)));
            picture
                .slice_axis_mut(Axis(axis), part(0, by))
                .assign(&old.slice_axis(Axis(axis), part(length - by, length)));
        }
    }
}

/// The goal's value, and its gradient with respect to the picture.
fn response<F: Scalar>(
    model: &Model<F>,
    goal: &Goal,
    picture: &Array3<F>,
    look: &mut Look<F>,
) -> Result<(F, Array3<F>), Error> {
    let x = picture.view().insert_axis(Axis(0)).into_dyn();
    let value = match goal {
        Goal::Class(class) => {
            look.again(model, &x, &[*class], ReluRule::Plain)?;
            look.trace.output().data()[*class]
        }
        Goal::Filter { layer, channel } => {
            let (x, ctx) = (checked(&x)?, Context::evaluate());
            model.forward(&x, &mut look.trace, &ctx)?;
            let value = look.trace.value(layer)?;
            let (y, dy) = look.trace.value_and_gradient(value);
            let channels = y.width();
            if *channel >= channels {
                let expected = format!("from 0 to {}, a channel of {layer}", channels.saturating_sub(1));
                return Err(Error::argument("channel", expected, channel));
            }
            let places = y.data().len() / channels;
            let share = F::one() / F::from_f64(places as f64);
            dy.resize(&y.shape());
            dy.fill(F::zero());
            dy.data_mut().iter_mut().skip(*channel).step_by(channels).for_each(|d| *d = share);
            let outputs = y.data().iter().skip(*channel).step_by(channels);
            let mean = outputs.map(|y| y.as_f64()).sum::<f64>() / places as f64;
            model.differentiate(value, &x, &mut look.trace, Some(&mut look.dx), None, &ctx)?;
            F::from_f64(mean)
        }
    };
    let gradient = look.dx.to_array().remove_axis(Axis(0));
    Ok((value, gradient.into_dimensionality().expect("the picture's own axes")))
}
