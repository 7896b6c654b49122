//! GPT-2.

use crate::chain;
use crate::layer::init::Init;
use crate::layers::{Dense, attention, dense, embedding, gelu, layer_norm, learned_positions};
use crate::net::{Net, residual};

/// The sizes of a transformer of GPT-2's kind.
///
/// ```
/// use backstitch::{Model, zoo::Gpt};
/// let gpt = Gpt { vocabulary: 65, longest: 64, width: 128, layers: 4, heads: 4, tanh_gelu: false, bias: false };
/// let model: Model = Model::new(gpt.net(), &[64], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[64, 65]");
/// assert_eq!(model.names("h.0.*"), ["h.0.attn.c_attn.weight", "h.0.attn.c_proj.weight", "h.0.ln_1.weight", "h.0.ln_2.weight",
///     "h.0.mlp.c_fc.weight", "h.0.mlp.c_proj.weight"]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gpt {
    /// The number of ids.
    pub vocabulary: usize,
    /// The longest sequence.
    pub longest: usize,
    /// Numbers of a position.
    pub width: usize,
    /// Blocks above each other.
    pub layers: usize,
    /// Heads of an attention.
    pub heads: usize,
    /// Whether GELU is the approximation by tanh, as in GPT-2.
    pub tanh_gelu: bool,
    /// Whether layers have biases.
    pub bias: bool,
}

impl Gpt {
    /// GPT-2 with 124 million parameters (Radford et al. 2019, table 2).
    pub fn gpt2() -> Self {
        Self {
            vocabulary: 50_257,
            longest: 1024,
            width: 768,
            layers: 12,
            heads: 12,
            tanh_gelu: true,
            bias: true,
        }
    }

    /// The network: ids `[n, time]` to logits `[n, time, vocabulary]`, each position of what follows it. Parameters have the names of the published weights
    /// (`h.0.attn.c_attn.weight`), and their order too. The output layer is tied to the embedding. Initial weights are normal with deviation 0.02, those
    /// at the end of a branch 0.02 / √(2 layers) (section 2.3).
    pub fn net(&self) -> Net {
        let blocks = (0..self.layers).fold(Net::new(), |blocks, i| blocks.named(i.to_string(), self.block()));
        let normal = Init::NormalOf(0.02);
        let net = chain![
            "wte" => embedding(self.vocabulary, self.width).init(normal),
            "wpe" => learned_positions(self.longest).init(normal),
            "h" => blocks,
            "ln_f" => self.norm(),
            "lm_head" => dense(self.vocabulary).transposed().init(normal),
        ];
        net.tie("lm_head.weight", "wte.weight")
    }

    /// x + attention(norm(x)), then x + mlp(norm(x)).
    fn block(&self) -> Net {
        let gelu = if self.tanh_gelu { gelu().tanh_approximation() } else { gelu() };
        let attn = chain![
            "c_attn" => self.dense(3 * self.width, 0.02),
            "heads" => attention(self.heads).causal(),
            "c_proj" => self.dense(self.width, self.last_deviation()),
        ];
        let mlp = chain![
            "c_fc" => self.dense(4 * self.width, 0.02),
            "gelu" => gelu,
            "c_proj" => self.dense(self.width, self.last_deviation()),
        ];
        let branch = |main: Net| Net::from(residual(main.inline(), Net::new())).inline();
        chain![
            branch(chain!["ln_1" => self.norm(), "attn" => attn]),
            branch(chain!["ln_2" => self.norm(), "mlp" => mlp])
        ]
    }

    fn last_deviation(&self) -> f64 {
        0.02 / (2.0 * self.layers as f64).sqrt()
    }

    fn norm(&self) -> Net {
        if self.bias { layer_norm().into() } else { layer_norm().without_bias().into() }
    }

    fn dense(&self, units: usize, deviation: f64) -> Dense {
        let dense = dense(units).init(Init::NormalOf(deviation));
        if self.bias { dense } else { dense.without_bias() }
    }
}
