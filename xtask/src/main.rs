//! `cargo xtask check`: all checks of continuous integration, the cheapest first.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// The commands that must pass before a push, with their environment variables.
const CHECKS: [(&str, &[(&str, &str)]); 6] = [
    ("cargo fmt --all --check", &[]),
    // What would be published is complete. What is not committed yet is checked, too.
    ("cargo package --workspace --no-verify --allow-dirty --quiet", &[]),
    // Builds the library without a C compiler. It has its own target folder, so that everything is compiled.
    ("cargo check --package backstitch --target-dir target/no-c", &NO_C),
    (
        "cargo clippy --workspace --all-targets --features backstitch-benches/bench-internals -- -D warnings",
        &[],
    ),
    ("cargo doc --workspace --no-deps", &[("RUSTDOCFLAGS", "-D warnings")]),
    ("cargo test --workspace", &[]),
];

/// Compilers that fail.
const NO_C: [(&str, &str); 2] = [("CC", "false"), ("CXX", "false")];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments != ["check"] {
        eprintln!("usage: cargo xtask check");
        return ExitCode::from(2);
    }
    let checks = CHECKS.map(|(command, environment)| (command.to_owned(), environment));
    let runs = examples().into_iter().chain(lessons()).map(|command| (command, &[][..]));
    let all = checks.into_iter().chain(runs);
    for (command, environment) in all {
        println!("\n==> {command}");
        let start = Instant::now();
        if !run(&command, environment) {
            eprintln!("xtask: failed: {command}");
            return ExitCode::FAILURE;
        }
        println!("==> passed in {:.0} s", start.elapsed().as_secs_f64());
    }
    ExitCode::SUCCESS
}

/// Every example of the workspace with `--quick`, so that a new one is checked without being listed.
fn examples() -> Vec<String> {
    let command = |name: &String| format!("cargo run --example {name} -- --quick --out target/quick/{name}");
    sources("examples").iter().map(command).collect()
}

/// Every lesson.
fn lessons() -> Vec<String> {
    let command = |name: &String| format!("cargo run --example lesson_{name}");
    sources("examples/lessons").iter().map(command).collect()
}

/// The names of the Rust files of a folder, and of the folders in it that have a main.rs.
fn sources(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("").join(folder);
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let is_source = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists()
    };
    let sources = entries.map(|entry| entry.path()).filter(is_source);
    let mut names: Vec<_> = sources.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

fn run(command: &str, environment: &[(&str, &str)]) -> bool {
    let mut words = command.split(' ');
    let status = Command::new(words.next().unwrap_or_default())
        .args(words)
        .envs(environment.iter().copied())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(""))
        .status();
    status.is_ok_and(|status| status.success())
}
