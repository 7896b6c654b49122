//! Recurrent layers: their settings, and the net that they make.

pub(crate) mod cell;
pub(crate) mod direction;
pub(crate) mod gru;
pub(crate) mod lstm;
pub(crate) mod rnn;

pub use cell::Cell;
pub use direction::Direction;
pub use gru::{GruCell, gru};
pub use lstm::{LstmCell, lstm};
pub use rnn::{RnnCell, rnn};

/// A recurrent layer over sequences: [`lstm`], [`gru`] or [`rnn`]. Its step is described at its cell: [`LstmCell`], [`GruCell`], [`RnnCell`].
///
/// # Shapes
/// x `[n, time, features]`, y `[n, time, units]`: the state h after every position. Both directions side by side give `[n, time, 2 units]`.
///
/// # Parameters
/// Of a single layer: `weight_ih` `[features, gates · units]`, `weight_hh` `[units, gates · units]`, `bias_ih` and `bias_hh` `[gates · units]`: those of
/// PyTorch, whose weights are the transposes. Several layers are a chain of `l0`, `l1`, ...; both directions are the branches `forward` and `reverse`.
///
/// # State
/// A pass begins with zeros, or with the state after the last one ([`Memory::Continue`](crate::Memory)). Back-propagation ends where the pass began
/// (R. Williams and J. Peng 1990: truncated back-propagation through time).
///
/// ```
/// use backstitch::{Model, chain, layers::{dense, embedding, lstm}};
/// // The next character of 64, for an alphabet of 65.
/// let net = chain![embedding(65, 32), "lstm" => lstm(64).layers(2).dropout(0.2), dense(65)];
/// let model: Model = Model::new(net, &[64], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[64, 65]");
/// assert_eq!(model.names("lstm.*weight_hh"), ["lstm.l0.weight_hh", "lstm.l1.weight_hh"]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Recurrent<C> {
    pub(crate) cell: C,
    pub(crate) units: usize,
    pub(crate) layers: usize,
    pub(crate) both_directions: bool,
    pub(crate) dropout: f64,
    /// The name of the named input that has the mask.
    pub(crate) mask: Option<String>,
}

impl<C: Cell> Recurrent<C> {
    pub(crate) fn new(cell: C, units: usize) -> Self {
        Self { cell, units, layers: 1, both_directions: false, dropout: 0.0, mask: None }
    }

    /// Stacks this number of layers: each reads the states of the one below.
    #[must_use]
    pub fn layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// Adds to every layer another that reads the sequence from its end (Schuster and Paliwal 1997). Such a net needs the whole sequence at once.
    #[must_use]
    pub fn bidirectional(mut self) -> Self {
        self.both_directions = true;
        self
    }

    /// Sets the rate of a dropout between the layers, not behind the last one (Zaremba et al. 2014). The default is 0.
    #[must_use]
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// Reads a mask `[n, time]` from the named input of the model ([`input`](crate::input)): 1 where the sequence has a position, and 0 where it is filled
    /// up. There y is 0, and the state stays as it is.
    #[must_use]
    pub fn mask(mut self, input: &str) -> Self {
        self.mask = Some(input.to_owned());
        self
    }
}
