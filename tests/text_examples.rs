//! Runs the examples with texts on little data.

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::path::Path;

use example::{example, run, summary};
use serde_json::Value;

/// Runs an example with `--quick` on its generated text, and returns its summary and report.
fn quick(name: &str, flags: &[&str], folder: &Path) -> (Value, String) {
    let mut command = example(name);
    command.arg("--quick").args(flags).arg("--out").arg(folder).env_remove("BACKSTITCH_DATA");
    let (ok, output) = run(&mut command);
    assert!(ok, "{output}");
    let report = fs::read_to_string(folder.join("report.html")).unwrap();
    (summary(folder), report)
}

/// Runs an example that must fail with this message, without a panic and before it trains.
fn fails(name: &str, flags: &[&str], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = example(name);
    let (ok, output) = run(command.arg("--quick").args(flags).arg("--out").arg(folder.path()));
    assert!(!ok && output.contains(expected), "{name} {flags:?}: {output}");
    assert!(!output.contains("panicked") && !output.contains("epoch 1/"), "{name} {flags:?}: {output}");
}

/// A folder of data sets with one text.
fn with_text(name: &str, text: impl AsRef<[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("text")).unwrap();
    fs::write(folder.path().join("text").join(name), text).unwrap();
    folder
}

#[test]
fn char_lm_writes_with_both_networks() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, report) = quick("char_lm", &[], folder.path());
    let runs = summary["runs"].as_array().unwrap();
    let names: Vec<_> = runs.iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["lstm", "transformer"]);
    for run in runs {
        assert!(run["validation_loss"].is_f64() && run["train_loss"].is_f64(), "{run}");
    }
    assert!(summary["dataset"]["name"].to_string().contains("GENERATED SAMPLE"), "{summary}");
    for part in ["What the lstm writes", "What single cells", "What the heads attend to", "Not the real data"]
    {
        assert!(report.contains(part), "{part}");
    }
    for file in ["attention.png", "validation_loss.svg", "history.csv"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
}

#[test]
fn char_lm_reads_a_text_without_line_ends() {
    let (text, out) =
        (with_text("tinyshakespeare.txt", "to be or not ".repeat(1000)), tempfile::tempdir().unwrap());
    let flags = ["--network", "lstm", "--data", text.path().to_str().unwrap()];
    let mut command = example("char_lm");
    let (ok, output) = run(command.arg("--quick").args(flags).arg("--out").arg(out.path()));
    assert!(ok && output.contains("data: tinyshakespeare.txt from"), "{output}");
}

#[test]
fn names_gets_better_with_more_letters() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, report) = quick("names", &[], folder.path());
    let runs = summary["runs"].as_array().unwrap();
    let names: Vec<_> = runs.iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["pairs", "perceptron", "lstm"]);
    assert_eq!(runs[0]["parameters"], 27 * 27);
    let loss = |i: usize| runs[i]["validation_loss"].as_f64().unwrap();
    assert!(loss(1) < loss(0), "{summary}");
    for part in ["counted pairs", "New names", "Not the real data"] {
        assert!(report.contains(part), "{part}");
    }
}

#[test]
fn gpt2_goes_on_step_by_step_as_in_one_pass() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, report) = quick("gpt2", &["--ids", "3,1,4", "--length", "5"], folder.path());
    let run = &summary["runs"][0];
    let ids: Vec<u64> = run["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    assert!(ids.len() == 8 && ids[..3] == [3, 1, 4] && ids.iter().all(|&id| id < 1000), "{run}");
    assert!(run["difference"].as_f64().unwrap() < 1e-4, "{run}");
    assert!(report.contains("Random weights: what is written means nothing"), "{report}");
}

#[test]
fn files_that_are_no_texts_are_named() {
    for (name, file, text, expected) in [
        (
            "char_lm",
            "tinyshakespeare.txt",
            &b""[..],
            "tinyshakespeare.txt: expected at least 11000 characters, got 0",
        ),
        ("char_lm", "tinyshakespeare.txt", b"To be", "expected at least 11000 characters, got 5"),
        (
            "char_lm",
            "tinyshakespeare.txt",
            b"\xff\xfe",
            "tinyshakespeare.txt: stream did not contain valid UTF-8",
        ),
        ("names", "names.txt", b"", "names.txt: expected at least 30 names, got 0"),
        ("names", "names.txt", b"anna\nben\n", "names.txt: expected at least 30 names, got 2"),
        ("names", "names.txt", b"anna\n\nb3n\n", "names.txt, line 3: expected letters from a to z, got '3'"),
    ] {
        let folder = with_text(file, text);
        fails(name, &["--data", folder.path().to_str().unwrap()], expected);
    }
}

#[test]
fn flags_that_do_not_fit_are_named() {
    fails("char_lm", &["--network", "gru"], "[possible values: lstm, transformer]");
    fails("char_lm", &["--epochs", "0"], "expected at least 1, got 0");
    fails("names", &["--threads", "0"], "expected at least 1, got 0");
    fails("gpt2", &["--epochs", "2"], "because gpt2 trains nothing");
    fails("gpt2", &["--ids", "999,1000"], "--ids: expected ids below 1000, got 1000");
    fails("gpt2", &["--ids", "1,x"], "invalid value 'x'");
    let together = "--ids and --length: expected at least 1 each and at most 128 together, got 32 and";
    fails("gpt2", &["--length", "97"], together);
    fails("gpt2", &["--length", "0"], together);
}

#[test]
fn weights_of_another_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let flags = ["--weights", path.to_str().unwrap()];
    fails("gpt2", &flags, "model.safetensors: could not open");
    fs::write(&path, "no weights").unwrap();
    fails("gpt2", &flags, "model.safetensors");
    let net = backstitch::chain![backstitch::layers::dense(2)];
    backstitch::safetensors::save(&path, &backstitch::Model::<f32>::new(net, &[3], 0).unwrap()).unwrap();
    fails("gpt2", &flags, "one of backstitch, with the axes in another order");
    fs::write(&path, published(&[("wte.weight", &[3, 2])])).unwrap();
    fails("gpt2", &flags, "state does not fit the model");
}

/// A safetensors file as PyTorch writes it, with random-looking numbers.
fn published(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut header = serde_json::json!({ "__metadata__": { "format": "pt" } });
    let mut numbers = Vec::new();
    for (name, shape) in tensors {
        let (from, count) = (numbers.len(), shape.iter().product::<usize>());
        numbers.extend((0..count).flat_map(|i| ((i as f32 * 1.7).sin() * 0.1).to_le_bytes()));
        header[name] =
            serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [from, numbers.len()] });
    }
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &numbers].concat()
}

#[test]
fn gpt2_reads_weights_in_the_published_order_and_leaves_out_the_masks() {
    let mut tensors: Vec<(String, Vec<usize>)> =
        vec![("wte.weight".into(), vec![1000, 96]), ("wpe.weight".into(), vec![128, 96])];
    for norm in ["h.0.ln_1", "h.0.ln_2", "h.1.ln_1", "h.1.ln_2", "ln_f"] {
        tensors.extend(["weight", "bias"].map(|of| (format!("{norm}.{of}"), vec![96])));
    }
    for block in ["h.0", "h.1"] {
        for (layer, inputs, outputs) in [
            ("attn.c_attn", 96, 288),
            ("attn.c_proj", 96, 96),
            ("mlp.c_fc", 96, 384),
            ("mlp.c_proj", 384, 96),
        ] {
            tensors.push((format!("{block}.{layer}.weight"), vec![inputs, outputs]));
            tensors.push((format!("{block}.{layer}.bias"), vec![outputs]));
        }
        tensors.push((format!("{block}.attn.bias"), vec![1, 1, 128, 128]));
    }
    let tensors: Vec<(&str, &[usize])> = tensors.iter().map(|(name, shape)| (&**name, &**shape)).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, published(&tensors)).unwrap();
    let flags = ["--weights", path.to_str().unwrap()];
    let (summary, report) = quick("gpt2", &flags, &folder.path().join("out"));
    assert!(summary["runs"][0]["difference"].as_f64().unwrap() < 1e-4, "{summary}");
    assert!(report.contains("Weights from"), "{report}");
}
