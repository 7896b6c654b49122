//! Nets from the settings of Python's classes. The kinds are the names of the library's functions.

use backstitch::layers::{
    Recurrent, Sides, Standardize, activation, adaptive_avg_pool, attention, avg_pool, batch_norm, conv1d,
    conv2d, dense, depthwise_conv2d, dropout, embedding, flatten, gelu, global_avg_pool, group_norm, gru,
    hard_swish, instance_norm, last_position, layer_norm, learned_positions, lstm, max_pool, pad, prelu,
    rms_norm, rnn, silu, sinusoidal_positions, transposed_conv2d, upsample,
};
use backstitch::{Activation, Init, concat, input, residual};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{caught, exception};
use crate::settings::Settings;

/// A net without numbers: `backstitch::Net`.
#[pyclass(frozen, module = "backstitch._core")]
pub struct Net(pub backstitch::Net);

#[pymethods]
impl Net {
    fn __str__(&self) -> String {
        self.0.to_string()
    }
}

/// The net of a layer of this kind.
#[pyfunction]
pub fn net(kind: &str, settings: &Bound<'_, PyDict>) -> PyResult<Net> {
    let settings = Settings::new(kind, settings);
    for group in [one_layer, convolution, pooling, normalization, sequence, combination] {
        if let Some(net) = group(kind, &settings)? {
            return Ok(Net(net));
        }
    }
    Err(PyValueError::new_err(format!("layer: expected the name of one, got {kind:?}")))
}

/// Layers one after the other, each with a name of its own or `None`, and parameters that are tied: (the one that uses numbers, whose).
#[pyfunction]
pub fn chain(layers: Vec<(Option<String>, Py<Net>)>, ties: Vec<(String, String)>) -> PyResult<Net> {
    caught(|| {
        let mut net = backstitch::Net::new();
        for (name, layer) in &layers {
            let layer = layer.get().0.clone();
            net = match name {
                Some(name) => net.named(name, layer),
                None => net.push(layer),
            };
        }
        Ok(Net(ties.iter().fold(net, |net, (name, with)| net.tie(name, with))))
    })
}

type Made = PyResult<Option<backstitch::Net>>;

/// Applies a setting where it is not `None`.
fn with_init<L>(layer: L, init: Option<Init>, set: fn(L, Init) -> L) -> L {
    match init {
        Some(init) => set(layer, init),
        None => layer,
    }
}

/// Applies a setting where it is wanted.
fn when<L>(wanted: bool, layer: L, set: fn(L) -> L) -> L {
    if wanted { set(layer) } else { layer }
}

fn one_layer(kind: &str, s: &Settings<'_>) -> Made {
    Ok(Some(match kind {
        "dense" => {
            let layer = dense(s.count("units")?).activation(s.activation("activation")?);
            let layer = with_init(layer, s.init("init")?, backstitch::layers::Dense::init);
            let layer = when(!s.flag("bias")?, layer, backstitch::layers::Dense::without_bias);
            when(s.flag("transposed")?, layer, backstitch::layers::Dense::transposed).into()
        }
        "flatten" => flatten().into(),
        "dropout" => dropout(s.number("rate")?).into(),
        "activation" => activation(s.activation("activation")?).into(),
        "gelu" => {
            when(s.flag("tanh_approximation")?, gelu(), backstitch::layers::Gelu::tanh_approximation).into()
        }
        "silu" => silu().into(),
        "hard_swish" => hard_swish().into(),
        "prelu" => when(s.flag("per_channel")?, prelu(), backstitch::layers::Prelu::per_channel).into(),
        "standardize" => {
            let constants = match (s.numbers("mean")?, s.numbers("deviation")?) {
                (None, None) => Standardize::unfitted(),
                (mean, deviation) => {
                    let (mean, deviation) = (mean.unwrap_or_default(), deviation.unwrap_or_default());
                    Standardize::new(&mean, &deviation).map_err(|error| exception(&error))?
                }
            };
            when(s.flag("inverse")?, constants, Standardize::inverse).into()
        }
        _ => return Ok(None),
    }))
}

fn convolution(kind: &str, s: &Settings<'_>) -> Made {
    use backstitch::layers::{Conv1d, Conv2d, DepthwiseConv2d, TransposedConv2d};
    Ok(Some(match kind {
        "conv2d" => {
            let layer = conv2d(s.count("filters")?, s.pair("kernel_size")?).stride(s.pair("stride")?);
            let layer = layer.padding(s.padding("padding")?).dilation(s.pair("dilation")?);
            let layer = layer.groups(s.count("groups")?).activation(s.activation("activation")?);
            let layer = with_init(layer, s.init("init")?, Conv2d::init);
            when(!s.flag("bias")?, layer, Conv2d::without_bias).into()
        }
        "conv1d" => {
            let layer = conv1d(s.count("filters")?, s.count("kernel_size")?).stride(s.count("stride")?);
            let layer = layer.dilation(s.count("dilation")?).groups(s.count("groups")?);
            let layer = conv1d_padding(layer, s)?.activation(s.activation("activation")?);
            let layer = with_init(layer, s.init("init")?, Conv1d::init);
            when(!s.flag("bias")?, layer, Conv1d::without_bias).into()
        }
        "depthwise_conv2d" => {
            let layer = depthwise_conv2d(s.pair("kernel_size")?).multiplier(s.count("multiplier")?);
            let layer = layer.stride(s.pair("stride")?).padding(s.padding("padding")?);
            let layer = layer.dilation(s.pair("dilation")?).activation(s.activation("activation")?);
            let layer = with_init(layer, s.init("init")?, DepthwiseConv2d::init);
            when(!s.flag("bias")?, layer, DepthwiseConv2d::without_bias).into()
        }
        "transposed_conv2d" => {
            let layer = transposed_conv2d(s.count("filters")?, s.pair("kernel_size")?);
            let layer = layer.stride(s.pair("stride")?).padding(s.pair("padding")?);
            let layer = layer.output_padding(s.pair("output_padding")?).dilation(s.pair("dilation")?);
            let layer = layer.activation(s.activation("activation")?);
            let layer = with_init(layer, s.init("init")?, TransposedConv2d::init);
            when(!s.flag("bias")?, layer, TransposedConv2d::without_bias).into()
        }
        _ => return Ok(None),
    }))
}

/// `"causal"` beside what other paddings are.
fn conv1d_padding(
    layer: backstitch::layers::Conv1d,
    s: &Settings<'_>,
) -> PyResult<backstitch::layers::Conv1d> {
    match s.optional_text("padding").ok().flatten().as_deref() {
        Some("valid") => Ok(layer),
        Some("same") => Ok(layer.same()),
        Some("causal") => Ok(layer.causal()),
        Some(other) => {
            let expected = "\"valid\", \"same\", \"causal\" or a whole number";
            Err(PyValueError::new_err(format!("padding of conv1d: expected {expected}, got '{other}'")))
        }
        None => Ok(layer.padding(s.count("padding")?)),
    }
}

fn pooling(kind: &str, s: &Settings<'_>) -> Made {
    use backstitch::layers::{AvgPool, MaxPool, Upsample};
    Ok(Some(match kind {
        "max_pool" => {
            let layer = max_pool(s.pair("kernel_size")?).padding(s.padding("padding")?);
            let layer = layer.dilation(s.pair("dilation")?);
            let layer = match s.optional_pair("stride")? {
                Some(stride) => layer.stride(stride),
                None => layer,
            };
            when(s.flag("ceil_mode")?, layer, MaxPool::ceil).into()
        }
        "avg_pool" => {
            let layer = avg_pool(s.pair("kernel_size")?).padding(s.padding("padding")?);
            let layer = match s.optional_pair("stride")? {
                Some(stride) => layer.stride(stride),
                None => layer,
            };
            when(s.flag("ceil_mode")?, layer, AvgPool::ceil).into()
        }
        "adaptive_avg_pool" => adaptive_avg_pool(s.pair("output_size")?).into(),
        "global_avg_pool" => global_avg_pool().into(),
        "upsample" => when(s.flag("bilinear")?, upsample(s.pair("factor")?), Upsample::bilinear).into(),
        "pad" => {
            let layer = pad(sides(s)?);
            match s.text("mode")?.as_str() {
                "constant" => layer.constant(s.number("value")?),
                "reflect" => layer.reflect(),
                "replicate" => layer.replicate(),
                other => {
                    let expected = "\"constant\", \"reflect\" or \"replicate\"";
                    return Err(PyValueError::new_err(format!(
                        "mode of pad: expected {expected}, got '{other}'"
                    )));
                }
            }
            .into()
        }
        _ => return Ok(None),
    }))
}

/// A number, (height, width), or ((above, below), (left, right)).
fn sides(s: &Settings<'_>) -> PyResult<Sides> {
    if let Some(value) = s.get("sides")?
        && let Ok(((above, below), (left, right))) = value.extract::<((usize, usize), (usize, usize))>()
    {
        return Ok([[above, below], [left, right]].into());
    }
    s.pair("sides").map(|pair| [pair.height, pair.width].into())
}

fn normalization(kind: &str, s: &Settings<'_>) -> Made {
    use backstitch::layers::{InstanceNorm, LayerNorm};
    Ok(Some(match kind {
        "batch_norm" => {
            let layer = batch_norm().epsilon(s.number("epsilon")?).momentum(s.number("momentum")?);
            layer.activation(s.activation("activation")?).into()
        }
        "layer_norm" => {
            let layer = layer_norm().epsilon(s.number("epsilon")?);
            when(!s.flag("bias")?, layer, LayerNorm::without_bias).into()
        }
        "group_norm" => group_norm(s.count("groups")?).epsilon(s.number("epsilon")?).into(),
        "instance_norm" => {
            let layer = instance_norm().epsilon(s.number("epsilon")?);
            when(s.flag("affine")?, layer, InstanceNorm::affine).into()
        }
        "rms_norm" => match s.optional_number("epsilon")? {
            Some(epsilon) => rms_norm().epsilon(epsilon).into(),
            None => rms_norm().into(),
        },
        _ => return Ok(None),
    }))
}

fn sequence(kind: &str, s: &Settings<'_>) -> Made {
    use backstitch::layers::{Attention, Embedding, LearnedPositions};
    Ok(Some(match kind {
        "embedding" => {
            let layer = embedding(s.count("ids")?, s.count("width")?);
            with_init(layer, s.init("init")?, Embedding::init).into()
        }
        "learned_positions" => {
            let layer = learned_positions(s.count("longest")?);
            with_init(layer, s.init("init")?, LearnedPositions::init).into()
        }
        "sinusoidal_positions" => sinusoidal_positions().into(),
        "last_position" => last_position().into(),
        "lstm" => recurrent(lstm(s.count("units")?), s)?.into(),
        "gru" => recurrent(gru(s.count("units")?), s)?.into(),
        "rnn" => recurrent(rnn(s.count("units")?), s)?.into(),
        "attention" => {
            let layer = when(s.flag("causal")?, attention(s.count("heads")?), Attention::causal);
            let layer = match s.optional_text("mask")? {
                Some(input) => layer.mask(&input),
                None => layer,
            };
            match s.get("over")? {
                Some(context) => layer.over(net_of("over of attention", &context)?).into(),
                None => layer.into(),
            }
        }
        _ => return Ok(None),
    }))
}

fn recurrent<C: backstitch::layers::Cell>(layer: Recurrent<C>, s: &Settings<'_>) -> PyResult<Recurrent<C>> {
    let layer = layer.layers(s.count("layers")?).dropout(s.number("dropout")?);
    let layer = when(s.flag("bidirectional")?, layer, Recurrent::bidirectional);
    Ok(match s.optional_text("mask")? {
        Some(input) => layer.mask(&input),
        None => layer,
    })
}

fn combination(kind: &str, s: &Settings<'_>) -> Made {
    let branch = |name: &str| match s.get(name)? {
        Some(value) => net_of(&format!("{name} of {kind}"), &value),
        None => Ok(backstitch::Net::new()),
    };
    Ok(Some(match kind {
        "residual" => {
            let activation: Activation = s.activation("activation")?;
            residual(branch("main")?, branch("shortcut")?).activation(activation).into()
        }
        "concat" => {
            let branches = s.get("branches")?.map(|list| list.extract::<Vec<Py<Net>>>()).transpose()?;
            concat(branches.unwrap_or_default().iter().map(|net| net.get().0.clone()))
        }
        "input" => input(&s.text("input")?),
        _ => return Ok(None),
    }))
}

fn net_of(name: &str, value: &Bound<'_, PyAny>) -> PyResult<backstitch::Net> {
    match value.cast::<Net>() {
        Ok(net) => Ok(net.get().0.clone()),
        Err(_) => Err(PyTypeError::new_err(format!("{name}: expected a layer, got {value}"))),
    }
}
