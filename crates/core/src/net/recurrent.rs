//! The nets that the settings of recurrent layers make: layers above each other, in one direction or in both.

use std::sync::Arc;

use crate::layer::MASK;
use crate::layers::recurrent::{Cell, Direction, GruCell, LstmCell, Recurrent, RnnCell};
use crate::layers::{Dropout, dropout};
use crate::net::{Child, Net, Node, input};

impl From<Recurrent<LstmCell>> for Net {
    #[inline(never)]
    fn from(settings: Recurrent<LstmCell>) -> Self {
        net(&settings, "lstm")
    }
}

impl From<Recurrent<GruCell>> for Net {
    #[inline(never)]
    fn from(settings: Recurrent<GruCell>) -> Self {
        net(&settings, "gru")
    }
}

impl From<Recurrent<RnnCell>> for Net {
    #[inline(never)]
    fn from(settings: Recurrent<RnnCell>) -> Self {
        net(&settings, "rnn")
    }
}

fn net<C: Cell>(settings: &Recurrent<C>, kind: &'static str) -> Net {
    let between: Option<Dropout> = (settings.dropout != 0.0).then(|| dropout(settings.dropout));
    let mut net = match settings.layers {
        0 | 1 => one(settings),
        layers => {
            let mut chain = Net::new();
            for i in 0..layers {
                chain = chain.named(format!("l{i}"), one(settings));
                if let Some(dropout) = between.clone().filter(|_| i + 1 < layers) {
                    chain = chain.named(format!("dropout{i}"), dropout);
                }
            }
            chain
        }
    };
    net.kind = Some(kind);
    net
}

/// One layer, in one direction or in both.
fn one<C: Cell>(settings: &Recurrent<C>) -> Net {
    let direction = |reversed| {
        let layer = Arc::new(Direction {
            cell: settings.cell,
            units: settings.units,
            reversed,
            layers: settings.layers,
        });
        Net::of(match &settings.mask {
            None => Node::Layer(layer),
            Some(name) => Node::With(layer, vec![Child { name: MASK.to_owned(), net: input(name) }]),
        })
    };
    if !settings.both_directions {
        return direction(false);
    }
    let child = |name: &str, reversed| Child { name: name.to_owned(), net: direction(reversed) };
    Net::of(Node::Concat(vec![child("forward", false), child("reverse", true)]))
}
