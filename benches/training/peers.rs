//! The same workloads in PyTorch, Keras and NumPy, in the same sitting.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A program that runs workloads and prints a JSON line for each that it knows.
struct Peer {
    name: &'static str,
    /// A script of this folder, and the Python module that it needs.
    script: &'static str,
    module: &'static str,
    /// The processor type given to OpenBLAS, which may not know a new processor.
    processor: Option<&'static str>,
}

/// The number of runs of the peers, between runs of backstitch. On a shared machine the speed changes over time.
const ROUNDS: usize = 4;
/// It multiplies numbers of another type, so it has its own column.
const OTHER_ARITHMETIC: &str = "PyTorch, bf16";

fn peers() -> Vec<Peer> {
    let peer = |name, script, module| Peer { name, script, module, processor: None };
    let mut peers = vec![
        peer("PyTorch", "peer_pytorch.py", "torchvision"),
        peer("PyTorch", "peer_sequences.py", "torch"),
        peer("Keras", "peer_keras.py", "keras"),
        peer("NumPy", "peer_numpy.py", "numpy"),
    ];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        let told = Peer { processor: Some("SkylakeX"), ..peer("NumPy, told", "peer_numpy.py", "numpy") };
        peers.push(told);
    }
    peers
}

/// A line that a program printed.
struct Figure {
    peer: String,
    samples: f64,
    memory: Option<u64>,
}

/// Runs every workload here and in the peers that are installed, and prints a table in Markdown.
pub fn compare(workloads: &[&str], threads: usize, seconds: f64) -> Result<(), Box<dyn Error>> {
    let python = env::var("BACKSTITCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut there = peers();
    there.retain(|peer| {
        let import = Command::new(&python).args(["-c", &format!("import {}", peer.module)]).output();
        let installed = import.is_ok_and(|output| output.status.success());
        if !installed {
            println!(
                "{}: {python} has no module {}; BACKSTITCH_PYTHON names another",
                peer.name, peer.module
            );
        }
        installed
    });
    println!(
        "{} on {}, {threads} threads, samples/s; memory in MB.\n",
        env!("CARGO_PKG_VERSION"),
        processor()
    );
    println!(
        "| workload | backstitch | best peer | times the best | {OTHER_ARITHMETIC} | memory | memory of PyTorch |"
    );
    println!("|---|---|---|---|---|---|---|");
    for name in workloads {
        let arguments = [format!("--threads={threads}"), format!("--seconds={seconds}"), (*name).to_owned()];
        let ours = || figures(Command::new(env::current_exe()?).arg("--json").args(&arguments));
        let (mut own, mut others) = (ours()?, Vec::new());
        for _ in 0..ROUNDS {
            for peer in &there {
                others.extend(better_ways(peer.figures(&python, threads, &arguments)?));
            }
            own.extend(ours()?);
        }
        println!("{}", row(name, &own, &others));
    }
    Ok(())
}

impl Peer {
    fn figures(
        &self,
        python: &str,
        threads: usize,
        arguments: &[String],
    ) -> Result<Vec<Figure>, Box<dyn Error>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("training").join(self.script);
        let mut command = Command::new(python);
        command.arg(script).args(arguments).env("OPENBLAS_NUM_THREADS", threads.to_string());
        // Without this, the system's allocator sometimes returns the memory of a gradient and fetches it again in every
        // step. Then NumPy takes three times as long.
        command.env("MALLOC_TRIM_THRESHOLD_", "1000000000").env("MALLOC_MMAP_THRESHOLD_", "1000000000");
        if let Some(processor) = self.processor {
            command.args(["--peer", self.name]).env("OPENBLAS_CORETYPE", processor);
        }
        figures(&mut command)
    }
}

/// The fastest of the variants of a peer, with the memory of the first variant, because the later ones are measured on
/// top of it.
fn better_ways(figures: Vec<Figure>) -> Vec<Figure> {
    let mut better: Vec<Figure> = Vec::new();
    for figure in figures {
        match better.iter_mut().find(|other| other.peer == figure.peer) {
            Some(other) => other.samples = other.samples.max(figure.samples),
            None => better.push(figure),
        }
    }
    better
}

/// The output of a program, line by line.
fn figures(command: &mut Command) -> Result<Vec<Figure>, Box<dyn Error>> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let figure = |line: &str| {
        let value: Value = serde_json::from_str(line)?;
        let (Some(peer), Some(samples)) = (value["peer"].as_str(), value["samples_s"].as_f64()) else {
            return Err(format!("{command:?}: a line without peer and samples_s: {line}").into());
        };
        Ok(Figure { peer: peer.to_owned(), samples, memory: value["memory_mb"].as_u64() })
    };
    text.lines().filter(|line| line.starts_with('{')).map(figure).collect()
}

fn row(workload: &str, own: &[Figure], others: &[Figure]) -> String {
    let of =
        |name: &str| -> Vec<f64> { others.iter().filter(|f| f.peer == name).map(|f| f.samples).collect() };
    let most = |figures: &[Figure], name: &str| {
        let memory = figures.iter().filter(|f| f.peer == name).filter_map(|f| f.memory).max();
        memory.map_or("-".to_owned(), |mb| mb.to_string())
    };
    let samples: Vec<f64> = own.iter().map(|figure| figure.samples).collect();
    let mut names: Vec<&str> =
        others.iter().map(|f| f.peer.as_str()).filter(|n| *n != OTHER_ARITHMETIC).collect();
    names.dedup();
    let best = names.into_iter().max_by(|a, b| median(&of(a)).total_cmp(&median(&of(b))));
    let (best, ratio) = best.map_or(("-".to_owned(), "-".to_owned()), |name| {
        let ratio = median(&samples) / median(&of(name));
        (format!("{name} {}", spread(&of(name))), format!("{ratio:.2}"))
    });
    let other = of(OTHER_ARITHMETIC);
    format!(
        "| `{workload}` | {} | {best} | {ratio} | {} | {} | {} |",
        spread(&samples),
        if other.is_empty() { "-".to_owned() } else { whole(median(&other)) },
        most(own, "backstitch"),
        most(others, "PyTorch"),
    )
}

/// Median, smallest and largest.
fn spread(values: &[f64]) -> String {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(0.0, f64::max);
    format!("{} ({} to {})", whole(median(values)), whole(smallest), whole(largest))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.len() / 2;
    (sorted[(sorted.len() - 1) / 2] + sorted[upper]) / 2.0
}

/// A number in groups of three digits.
fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or("?")).collect();
    groups.join(",")
}

/// The name of the processor, from the system.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("an unknown processor".to_owned(), |(_, name)| name.to_owned())
}
