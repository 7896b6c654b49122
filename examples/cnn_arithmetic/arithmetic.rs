//! The second and the third part of `cnn_arithmetic`.

use backstitch::prelude::*;
use backstitch::{Block, Report};
use backstitch::{Summary, SummaryLine};
use backstitch_examples::AnyError;
use ndarray::{Array3, Array4};
use serde_json::{Value, json};

/// A network's table.
pub fn summary(net: Net, input: &[usize]) -> Result<Summary, AnyError> {
    Ok(Model::<f32>::new(net, input, 0)?.summary())
}

/// Output shape, parameters and multiply-adds of a layer.
fn cells(line: &SummaryLine) -> Vec<String> {
    vec![line.output.to_string(), line.trainable.to_string(), line.multiply_adds.to_string()]
}

/// 200x300 in colour, three 3x3 convolutions with stride 2 and same padding.
pub fn three_layers(report: &mut Report) -> Result<Value, AnyError> {
    let conv = |filters| conv2d(filters, 3).relu().stride(2).same();
    let s = summary(Net::new().push(conv(100)).push(conv(200)).push(conv(400)), &[200, 300, 3])?;
    report.heading("Three 3x3 convolutions with stride 2 on 200x300 in colour");
    report.block(Block::Preformatted(s.to_string()));
    let mb = |bytes: usize| format!("{:.1} MB", bytes as f64 / 1e6);
    let training = 50 * s.training_bytes_per_sample + 2 * s.parameter_bytes;
    let rows = [
        ("one prediction, a map given up once it has been read", s.live_bytes_per_sample + s.parameter_bytes),
        ("one prediction, all maps kept", s.all_bytes_per_sample + s.parameter_bytes),
        ("training on 50 pictures: maps and their gradients, parameters and theirs", training),
    ];
    let memory = rows.map(|(what, bytes)| vec![what.to_owned(), mb(bytes)]);
    report.paragraph(format!("{} parameters: {} in f32.", s.parameters(), mb(s.parameter_bytes)));
    report.table("Memory in f32, parameters included", &["", "bytes"], memory.to_vec());
    let pool = summary(Net::new().push(max_pool(2)), &[100, 150, 100])?;
    let strided = conv2d(100, 2).stride(2);
    let strided = summary(Net::new().push(strided), &[100, 150, 100])?;
    let row = |name: &str, s: &Summary| [vec![name.to_owned()], cells(&s.lines[0])].concat();
    let head = ["halving a map of 100x150x100", "output", "parameters", "multiply-adds"];
    report.table(
        "Why a max pooling: it has nothing to learn and nothing to multiply",
        &head,
        vec![row("max pooling 2x2", &pool), row("convolution 2x2, stride 2", &strided)],
    );
    Ok(
        json!({ "name": "200x300, three 3x3 with stride 2", "parameters": s.parameters(), "bytes": rows.map(|r| r.1) }),
    )
}

/// 28x28x192 to 32 maps by 5x5, with and without a 1x1 to 16 maps first.
pub fn bottleneck(report: &mut Report) -> Result<Value, AnyError> {
    let wide = || conv2d(32, 5).same();
    let direct = summary(Net::new().push(wide()), &[28, 28, 192])?;
    let narrow = summary(Net::new().push(conv2d(16, 1)).push(wide()), &[28, 28, 192])?;
    report.heading("A 1x1 convolution before a 5x5 one");
    let mut rows = Vec::new();
    for (name, s) in [("5x5 alone", &direct), ("1x1, then 5x5", &narrow)] {
        for line in &s.lines {
            rows.push([vec![name.to_owned(), line.layer.clone()], cells(line)].concat());
        }
    }
    report.table("From shapes alone", &["network", "layer", "output", "parameters", "multiply-adds"], rows);
    let counted = [counted(192, 5, 32), counted(192, 1, 16), counted(16, 5, 32)];
    let agree = counted[0] == direct.multiply_adds() && counted[1] + counted[2] == narrow.multiply_adds();
    report.paragraph(format!(
        "Multiplications counted in the plain loops over a padded map: {}, {} and {}: {} the table. {:.1} times fewer with the 1x1 first.",
        counted[0], counted[1], counted[2], if agree { "as in" } else { "NOT as in" },
        direct.multiply_adds() as f64 / narrow.multiply_adds() as f64,
    ));
    report.paragraph(format!(
        "The assignment's key gives maps of 26x26 for same padding; same padding keeps the size: {}. It adds up \"12 million parameters\"; \
         those are multiply-adds, the parameters are {} and {}.",
        direct.lines[0].output, direct.parameters(), narrow.parameters(),
    ));
    Ok(
        json!({ "name": "5x5 with and without 1x1", "multiply_adds": [direct.multiply_adds(), narrow.multiply_adds()], "counted": counted }),
    )
}

/// Multiplications of the plain loops over a map of 28x28 with the zeros of its padding around it: each is made, and counted.
fn counted(channels: usize, kernel: usize, filters: usize) -> u64 {
    let side = 28 + kernel - 1;
    let x = Array3::<f32>::ones((side, side, channels));
    let weights = Array4::<f32>::ones((filters, kernel, kernel, channels));
    let (mut count, mut y) = (0, 0.0);
    for weights in weights.outer_iter() {
        for window in x.windows((kernel, kernel, channels)) {
            for (x, weight) in window.iter().zip(&weights) {
                y += x * weight;
                count += 1;
            }
        }
    }
    std::hint::black_box(y);
    count
}
