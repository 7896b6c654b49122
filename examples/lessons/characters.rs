//! A network that writes: it learns the next character of a rhyme, and continues a beginning. `cargo run --release --example lesson_characters`

use backstitch::ndarray::{Array2, array};
use backstitch::prelude::*;

const RHYME: &str = "This is the house that Jack built.
This is the malt that lay in the house that Jack built.
This is the rat that ate the malt that lay in the house that Jack built.
This is the cat that killed the rat that ate the malt that lay in the house that Jack built.
This is the dog that worried the cat that killed the rat that ate the malt that lay in the house that Jack built.
";

fn main() -> Result<()> {
    // Each character is an id. Save the vocabulary beside the weights: both are needed to write.
    let letters = Vocabulary::characters(RHYME)?;
    let ids = letters.encode(RHYME)?;
    // Windows of 24 characters. The class at each position is the next character.
    let data: Dataset = Dataset::windows(&ids, 24)?;
    println!("{data}, of {} different characters", letters.size());

    let net = chain![embedding(letters.size(), 16), lstm(64), dense(letters.size())];
    let mut model = Model::new(net, &data.input_shape(), 0)?;
    let history = Trainer::new(Adam::new(5e-3)).clip_norm(1.0).epochs(12).fit(&mut model, &data)?;
    println!("{history}");

    for (temperature, seed) in [(0.3, 1), (1.0, 2)] {
        let text = write(&model, &letters, temperature, seed)?;
        println!("temperature {temperature}: {text}");
    }
    Ok(())
}

/// Continues a text by 100 characters. The state of the LSTM stays in the stream, so each step reads one character.
fn write(model: &Model, letters: &Vocabulary, temperature: f32, mut seed: u64) -> Result<String> {
    let mut ids = letters.encode("This is the c")?;
    let mut stream = model.stream();
    let first = Array2::from_shape_fn((1, ids.len()), |(_, i)| ids[i] as f32);
    let mut logits = stream.next(first)?.to_array();
    for _ in 0..100 {
        // A linear congruential generator (Knuth): its upper bits as a number from 0 to 1.
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let chance = (seed >> 40) as f32 / (1 << 24) as f32;
        // The last position says what may follow: softmax of logits / temperature.
        let last = logits.iter().skip(logits.len() - letters.size());
        let weights: Vec<f32> = last.map(|z| (z / temperature).exp()).collect();
        let mut left = chance * weights.iter().sum::<f32>();
        let drawn = weights.iter().position(|w| {
            left -= w;
            left < 0.0
        });
        ids.push(drawn.unwrap_or(weights.len() - 1));
        logits = stream.next(array![[ids[ids.len() - 1] as f32]])?.to_array();
    }
    letters.decode(&ids)
}
