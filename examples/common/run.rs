//! One run of an example: its flags, data and results.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use backstitch::atomic::{self, FolderLock};
use backstitch::mnist::{DATA_VARIABLE, DownloadProgress, FashionMnist, MnistImages, Origin};
use backstitch::{ConfusionChart, LineChart, PictureGrid, Report};
use backstitch::{history, images};
use clap::Args;
use serde_json::{Value, json};

use super::contents::{self, moment};
use super::memory::peak_memory;
use super::steps::{self, Steps};
use super::{AnyError, Trained};

/// The folder of runs where `--out` names no other.
const RUNS: &str = "runs";

/// The flags that every example takes.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Folder of data sets [default: $BACKSTITCH_DATA, else the cache, else a download]
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Folder for the results [default: runs/ and the example's name]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Number of epochs: passes over the training set
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Seed of the split, the initial weights and the order of samples
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Number of threads [default: the number of cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Run on less data and for fewer epochs, in under a minute
    #[arg(long)]
    pub quick: bool,
}

/// One run of an example.
pub struct Run {
    pub out: PathBuf,
    /// Passes over the training data; 0 where nothing is trained.
    pub epochs: usize,
    pub seed: u64,
    pub quick: bool,
    data: Option<PathBuf>,
    name: &'static str,
    source: String,
    sample: bool,
    dataset: Value,
    threads: usize,
    start: Instant,
    /// Keeps other processes out of the output folder until the end.
    _lock: FolderLock,
}

impl Run {
    /// Prepares threads and the output folder, which must have room for `bytes` bytes and be no other process's.
    pub fn start(
        name: &'static str,
        flags: &Flags,
        (epochs, quick): (usize, usize),
        bytes: u64,
    ) -> Result<Self, AnyError> {
        if flags.epochs == Some(0) || flags.threads == Some(0) {
            return Err("--epochs and --threads: expected at least 1, got 0".into());
        }
        if flags.epochs.is_some() && epochs == 0 {
            return Err(
                format!("--epochs: expected no such flag, because {name} trains nothing, got one").into()
            );
        }
        steps::end_quietly_where_nobody_reads();
        rayon::ThreadPoolBuilder::new().num_threads(flags.threads.unwrap_or(0)).build_global()?;
        let out = flags.out.clone().unwrap_or_else(|| Path::new(RUNS).join(name));
        atomic::prepare_folder(&out, 0)?;
        let lock = FolderLock::acquire(&out)?;
        atomic::prepare_folder(&out, bytes)?;
        Ok(Self {
            _lock: lock,
            epochs: flags.epochs.unwrap_or(if flags.quick { quick } else { epochs }),
            seed: flags.seed,
            quick: flags.quick,
            data: flags.data.clone().or_else(|| std::env::var_os(DATA_VARIABLE).map(PathBuf::from)),
            out,
            name,
            source: String::new(),
            sample: false,
            dataset: Value::Null,
            threads: rayon::current_num_threads(),
            start: Instant::now(),
        })
    }

    /// Fashion-MNIST, or the generated sample where it cannot be had; says which.
    pub fn fashion_mnist(&mut self) -> Result<MnistImages, AnyError> {
        let mut steps = Steps::bytes("reading Fashion-MNIST", 0)?;
        let data = FashionMnist::images(self.data.as_deref(), &mut |at: DownloadProgress<'_>| {
            steps.name(format!("downloading {}", at.file));
            steps.set(at.received, at.total.unwrap_or(at.received));
        })?;
        drop(steps);
        self.sample = matches!(data.origin, Origin::Sample(_));
        self.announce(data.origin.to_string());
        Ok(data)
    }

    /// The pictures of a folder of data sets, with one folder a class, or generated shapes where there is no such folder; says which.
    pub fn image_folder(&mut self, name: &str, options: &images::Options) -> Result<images::Parts, AnyError> {
        let start = Instant::now();
        let steps = Mutex::new(Steps::new(format!("reading {name}"), 0)?);
        let progress = |done, of| {
            if let Ok(mut steps) = steps.lock() {
                steps.set(done as u64, of as u64);
            }
        };
        let folder = self.data.as_ref().map(|root| root.join(name));
        let parts = match &folder {
            Some(folder) => images::read_parts(folder, options, (0.1, self.seed), &progress)?,
            None => images::generate_sample(options),
        };
        drop(steps);
        self.sample = folder.is_none();
        self.announce(match folder {
            Some(folder) => format!("{name} from {}", folder.display()),
            None => {
                format!("GENERATED SAMPLE of drawn shapes, not {name} (no folder of data sets was named)")
            }
        });
        for part in [&parts.train, &parts.validation] {
            let from = if part.from_cache { "from the cache" } else { "decoded" };
            println!("{} pictures {from}, {} left out as broken", part.labels.len(), part.skipped.len());
            part.skipped.iter().for_each(|error| println!("left out: {error}"));
            part.cache_error.iter().for_each(|error| println!("cache of pictures: {error}"));
            if let [first, ..] = &part.ignored[..] {
                let (files, first) = (part.ignored.len(), first.display());
                println!(
                    "{files} files ignored, since their names are not those of pictures, the first {first}"
                );
            }
        }
        println!("read in {:.2} s", start.elapsed().as_secs_f64());
        Ok(parts)
    }

    /// The folder of data sets, where one was named.
    pub fn data_folder(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// Notes that what is shown are photographs of this folder.
    pub fn photographs(&mut self, folder: &Path) {
        self.announce(format!("photographs from {}", folder.display()));
        self.samples([0; 3]);
    }

    /// Notes where the data come from, and whether they are a generated sample.
    pub fn source(&mut self, source: String, sample: bool) {
        self.sample = sample;
        self.announce(source);
    }

    fn announce(&mut self, source: String) {
        println!("data: {source}");
        self.source = source;
        if self.quick {
            println!("--quick: less data and fewer epochs than the full run");
        }
    }

    /// For examples that work on no data set.
    pub fn no_data(&mut self) {
        self.source = "none".to_owned();
        self.samples([0; 3]);
    }

    /// Notes the number of samples of the training, validation and test set, for the summary.
    pub fn samples(&mut self, [train, validation, test]: [usize; 3]) {
        self.dataset = json!({ "name": self.source, "train": train, "validation": validation, "test": test });
    }

    /// A report that begins with what ran: data, epochs, machine.
    pub fn report(&self, title: &str) -> Report {
        let mut report = Report::new(title);
        if self.sample {
            report.warning(format!("Not the real data: {}.", self.source));
        }
        if self.quick {
            report.warning("A quick run (--quick): less data and fewer epochs than the real one.");
        }
        let count = |name: &str| self.dataset[name].as_u64().unwrap_or(0);
        let sets = [("training", "train"), ("validation", "validation"), ("test", "test")];
        let (sets, samples): (Vec<_>, Vec<_>) =
            sets.map(|(set, name)| (set, count(name))).into_iter().filter(|(_, count)| *count > 0).unzip();
        let memory = peak_memory().map_or("not known on this system".to_owned(), |mb| format!("{mb} MB"));
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![row("example", self.name.to_owned()), row("data", self.source.clone())];
        if !samples.is_empty() {
            let samples: Vec<String> = samples.iter().map(u64::to_string).collect();
            rows.push(row(&format!("samples: {}", sets.join(", ")), samples.join(", ")));
        }
        if self.epochs > 0 {
            rows.push(row("epochs", self.epochs.to_string()));
        }
        rows.extend([
            row("seed", self.seed.to_string()),
            row("machine", format!("{}, threads: {}", processor(), self.threads)),
            row("time", duration(self.minutes())),
            row("ended", format!("{} UTC", moment(SystemTime::now()))),
            row("peak memory", memory),
            row("backstitch", env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        report.table("What ran", &["", ""], rows);
        report
    }

    /// Saves a chart as SVG and PNG under the name's stem, and shows it in the report.
    pub fn chart(
        &self,
        report: &mut Report,
        stem: &str,
        chart: &LineChart,
        caption: impl Into<String>,
    ) -> Result<(), AnyError> {
        self.drawing(stem, &chart.svg()?, &chart.png()?)?;
        report.chart(chart, caption)?;
        Ok(())
    }

    /// As [`chart`](Self::chart), a confusion matrix.
    pub fn confusion(
        &self,
        report: &mut Report,
        stem: &str,
        chart: &ConfusionChart,
        caption: String,
    ) -> Result<(), AnyError> {
        self.drawing(stem, &chart.svg()?, &chart.png()?)?;
        report.confusion(chart, caption)?;
        Ok(())
    }

    fn drawing(&self, stem: &str, svg: &str, png: &[u8]) -> Result<(), AnyError> {
        self.save(&format!("{stem}.svg"), svg.as_bytes())?;
        self.save(&format!("{stem}.png"), png)
    }

    /// Saves pictures as PNG under the name's stem, and shows them in the report.
    pub fn show(
        &self,
        report: &mut Report,
        stem: &str,
        grid: &PictureGrid,
        caption: impl Into<String>,
    ) -> Result<(), AnyError> {
        self.save(&format!("{stem}.png"), &grid.png()?)?;
        report.pictures(grid, caption)?;
        Ok(())
    }

    /// Saves a file in the output folder.
    pub fn save(&self, name: &str, bytes: &[u8]) -> Result<(), AnyError> {
        Ok(atomic::write(self.out.join(name), |to| to.write_all(bytes))?)
    }

    /// Writes history.csv: all epochs of all trainings, by name.
    pub fn histories<'a>(&self, all: impl IntoIterator<Item = &'a Trained>) -> Result<(), AnyError> {
        let all: Vec<_> = all.into_iter().map(|trained| (trained.name.as_str(), &trained.history)).collect();
        Ok(history::write_csv(self.out.join("history.csv"), &all)?)
    }

    fn minutes(&self) -> f64 {
        self.start.elapsed().as_secs_f64() / 60.0
    }

    /// Writes report.html and summary.json, then the page of contents of all runs, and says where.
    pub fn finish(self, report: &Report, runs: &[Value]) -> Result<(), AnyError> {
        let summary = json!({
            "example": self.name, "quick": self.quick, "seed": self.seed,
            "dataset": self.dataset, "threads": self.threads, "machine": processor(), "minutes": self.minutes(),
            "ended": SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(), "backstitch": env!("CARGO_PKG_VERSION"),
            "runs": runs,
        });
        let (html, summary) = (report.html()?, serde_json::to_string_pretty(&summary)?);
        let report_path = self.out.join("report.html");
        atomic::write(&report_path, |to| to.write_all(html.as_bytes()))?;
        atomic::write(self.out.join("summary.json"), |to| to.write_all(summary.as_bytes()))?;
        let minutes = self.minutes();
        let memory = peak_memory().map_or(String::new(), |mb| format!(", peak memory {mb} MB"));
        println!("report: {} ({minutes:.1} minutes{memory})", report_path.display());
        // The run is done and saved; a page of contents that cannot be written does not make it fail.
        match contents::update(&self.out, Path::new(RUNS)) {
            Ok(Some(page)) => println!("all runs: {}", page.display()),
            Ok(None) => {}
            Err(error) => eprintln!("page of contents: {error}"),
        }
        Ok(())
    }
}

/// Minutes, or seconds where it is less than one.
fn duration(minutes: f64) -> String {
    match (60.0 * minutes).round() {
        0.0 => "less than a second".to_owned(),
        1.0 => "1 second".to_owned(),
        seconds if seconds < 60.0 => format!("{seconds:.0} seconds"),
        _ => format!("{minutes:.1} minutes"),
    }
}

/// The processor's name, where the system tells.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}
