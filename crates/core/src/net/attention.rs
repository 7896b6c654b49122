//! The node of an attention: with its mask, and with the net that gives its keys and values.

use std::sync::Arc;

use crate::layer::MASK;
use crate::layers::Attention;
use crate::layers::attention::CONTEXT;
use crate::net::{Child, Net, Node, input};

impl From<Attention> for Net {
    #[inline(never)]
    fn from(settings: Attention) -> Self {
        let child = |name: &str, net| Child { name: name.to_owned(), net };
        let context = settings.context.clone().map(|net| child(CONTEXT, net));
        let mask = settings.mask.as_deref().map(|name| child(MASK, input(name)));
        let others: Vec<Child> = context.into_iter().chain(mask).collect();
        let layer = Arc::new(settings);
        Self::of(if others.is_empty() { Node::Layer(layer) } else { Node::With(layer, others) })
    }
}
