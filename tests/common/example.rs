//! Runs the program of an example.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program of an example. `cargo test` builds it beside the tests.
pub fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program: PathBuf = tests.parent().unwrap().parent().unwrap().join("examples").join(name);
    let mut command = Command::new(program);
    // No cache and no server: without BACKSTITCH_DATA, the example uses the drawn sample.
    let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-cache");
    command.env("XDG_CACHE_HOME", nowhere);
    for variable in ["BACKSTITCH_FASHION_MNIST_URL", "BACKSTITCH_PRETRAINED_URL"] {
        command.env(variable, "http://127.0.0.1:9");
    }
    command
}

/// Whether it succeeded, and all its output.
pub fn run(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

/// The summary that it wrote.
pub fn summary(folder: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(folder.join("summary.json")).unwrap()).unwrap()
}
