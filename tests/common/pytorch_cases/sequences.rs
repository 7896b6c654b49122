//! The nets of fixtures/pytorch/sequences.py.

use backstitch::prelude::*;
use backstitch::zoo::Gpt;

use super::{Cases, one};

pub fn cases() -> Cases {
    let heads = |causal: bool| if causal { attention(2).causal() } else { attention(2) };
    let with_projections = |causal| chain!["qkv" => dense(24), heads(causal), "out" => dense(8)];
    let gpt2 =
        Gpt { vocabulary: 13, longest: 9, width: 12, layers: 2, heads: 3, tanh_gelu: true, bias: true }.net();
    vec![
        ("rnn", one(rnn(3))),
        ("lstm", one(lstm(3))),
        ("gru", one(gru(3))),
        ("lstm_two_layers_both_directions", one(lstm(5).layers(2).bidirectional())),
        ("gru_two_layers", one(gru(4).layers(2))),
        ("lstm_many_samples", one(lstm(17))),
        ("embedding", one(embedding(7, 3))),
        ("dense_over_time", one(dense(3))),
        ("dense_transposed", one(dense(3).transposed())),
        ("learned_positions", one(learned_positions(6))),
        ("attention", one(attention(2))),
        ("attention_causal", one(attention(4).causal())),
        ("multi_head_attention", with_projections(false)),
        ("multi_head_attention_causal", with_projections(true)),
        ("gpt2", gpt2),
    ]
}
