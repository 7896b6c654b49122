//! The page of contents of a folder of runs: `runs/index.html`.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backstitch::{Block, Report, TableCell, atomic};
use serde_json::Value;

use super::AnyError;

const TITLE: &str = "Runs of the backstitch examples";
/// The name of the page.
pub const PAGE: &str = "index.html";
/// Folders within folders that are searched for runs.
const DEPTH: usize = 3;
/// A longer summary is not read, in bytes.
const LONGEST: u64 = 16 << 20;
/// Names of columns, with the figure of summary.json that each shows and its decimals.
const FIGURES: [(&str, &str, Option<usize>); 7] = [
    ("test accuracy", "test_accuracy", Some(4)),
    ("test loss", "test_loss", Some(4)),
    ("validation accuracy", "validation_accuracy", Some(4)),
    ("epochs", "epochs", None),
    ("seconds an epoch", "seconds_per_epoch", Some(2)),
    ("minutes", "minutes", Some(1)),
    ("parameters", "parameters", None),
];
/// Names of the columns before and behind the figures.
const AROUND: ([&str; 3], [&str; 3]) = (["folder", "network", "kind"], ["ended (UTC)", "data", "example"]);

/// What a folder of runs holds.
#[derive(Default)]
struct Contents {
    /// The end of each run, its folder, and its rows of the table.
    runs: Vec<(SystemTime, String, Vec<Vec<TableCell>>)>,
    /// Folders, or parts of a summary, that cannot be read, and why.
    unread: Vec<(TableCell, String)>,
}

/// Writes the page of contents again after a run that wrote to `out`, and returns its path; `None` where no folder above `out`
/// is a folder of runs. That is `default`, or a folder that has a page of contents already. No other folder gets a page.
///
/// # Errors
/// If the folder cannot be listed, or the page cannot be written or is another program's. A run that cannot be read is named on the page.
pub fn update(out: &Path, default: &Path) -> Result<Option<PathBuf>, AnyError> {
    let Some(folder) = folder_of_runs(out, default)? else { return Ok(None) };
    let page = folder.join(PAGE);
    if page.exists() && !is_ours(&page) {
        let page = page.display();
        return Err(format!(
            "{page}: expected a page of contents of runs, got another page, which was left as it is"
        )
        .into());
    }
    let mut html = Contents::of(&folder)?.page()?;
    // Another run may end at the same time, and write a page without this one or with it. The last one to write sees all.
    for _ in 0..10 {
        atomic::write(&page, |to| to.write_all(html.as_bytes()))?;
        let now = Contents::of(&folder)?.page()?;
        if now == html {
            break;
        }
        html = now;
    }
    Ok(Some(page))
}

/// The nearest folder above `out` that is `default` or has a page of contents.
fn folder_of_runs(out: &Path, default: &Path) -> Result<Option<PathBuf>, AnyError> {
    let mut out = std::path::absolute(out)?;
    if out.components().any(|part| part == Component::ParentDir) {
        out = out.canonicalize()?;
    }
    let (given, default) = (default, default.canonicalize().ok());
    let is_default = |folder: &Path| default.is_some() && folder.canonicalize().ok() == default;
    let found =
        out.ancestors().skip(1).take(DEPTH).find(|folder| is_default(folder) || is_ours(&folder.join(PAGE)));
    // The name that was given is the shorter one.
    Ok(found.map(|folder| if is_default(folder) { given.to_owned() } else { folder.to_owned() }))
}

/// Whether a file is a page of contents that an earlier run wrote.
fn is_ours(page: &Path) -> bool {
    let mut start = Vec::new();
    let is_file = page.metadata().is_ok_and(|data| data.is_file());
    let read = is_file && File::open(page).is_ok_and(|file| file.take(2000).read_to_end(&mut start).is_ok());
    let start = String::from_utf8_lossy(&start);
    read && start.contains("content=\"backstitch\"") && start.contains(&format!("<title>{TITLE}</title>"))
}

impl Contents {
    fn of(folder: &Path) -> Result<Self, AnyError> {
        let mut contents = Self::default();
        contents.look_through(folder, "", DEPTH).map_err(|error| format!("{}: {error}", folder.display()))?;
        // The newest first; of runs that ended at once, by name.
        contents.runs.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        Ok(contents)
    }

    /// All folders within this one.
    fn look_through(&mut self, folder: &Path, above: &str, depth: usize) -> std::io::Result<()> {
        let mut folders: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
        folders.retain(|path| path.is_dir() && !hidden(path));
        folders.sort();
        for path in folders {
            let file_name = path.file_name().unwrap_or_default();
            let name = format!("{above}{}", file_name.to_string_lossy());
            let link = address(path.strip_prefix(root(&path, above)).unwrap_or(&path));
            self.look_at(&path, &name, &link, depth);
        }
        Ok(())
    }

    /// A folder of a run, or one that has runs in it.
    fn look_at(&mut self, path: &Path, name: &str, link: &str, depth: usize) {
        let report = path.join("report.html").is_file();
        let cell = TableCell { text: name.to_owned(), link: report.then(|| format!("{link}/report.html")) };
        if !path.join("summary.json").exists() {
            let before = self.runs.len() + self.unread.len();
            let inside = !report && depth > 1;
            if inside && let Err(error) = self.look_through(path, &format!("{name}/"), depth - 1) {
                self.unread.push((cell.clone(), error.to_string()));
            }
            if self.runs.len() + self.unread.len() == before {
                let why = "summary.json: expected a file, got none: a run that has not ended, or no run of an example";
                self.unread.push((cell, why.to_owned()));
            }
            return;
        }
        if !report {
            self.unread.push((cell.clone(), "report.html: expected a file, got none".to_owned()));
        }
        match summary(&path.join("summary.json")) {
            Ok((summary, written)) => self.add(&cell, &summary, written),
            Err(why) => self.unread.push((cell, format!("summary.json: {why}"))),
        }
    }

    /// The rows of a run's summary. What is missing in an older one stays empty; what is of another kind is named.
    fn add(&mut self, cell: &TableCell, summary: &Value, written: SystemTime) {
        let mut wrong = Vec::new();
        let ended = match &summary["ended"] {
            Value::Null => written,
            value => value.as_u64().map_or_else(
                || {
                    wrong.push(format!("ended: expected seconds since 1970, got {}", shown(value)));
                    written
                },
                |seconds| UNIX_EPOCH + Duration::from_secs(seconds.min(1 << 40)),
            ),
        };
        let kind = match &summary["quick"] {
            Value::Bool(true) => "quick",
            Value::Bool(false) => "full",
            Value::Null => "",
            value => {
                wrong.push(format!("quick: expected true or false, got {}", shown(value)));
                ""
            }
        };
        let example = text(&summary["example"], "example", &mut wrong);
        let data = text(&summary["dataset"]["name"], "dataset.name", &mut wrong);
        let mut rows = Vec::new();
        match summary["runs"].as_array() {
            None => wrong.push(format!("runs: expected a list, got {}", shown(&summary["runs"]))),
            Some(runs) => {
                for (i, run) in runs.iter().enumerate() {
                    if !run.is_object() {
                        wrong.push(format!("runs[{i}]: expected an object, got {}", shown(run)));
                    }
                    let name = text(&run["name"], &format!("runs[{i}].name"), &mut wrong);
                    let mut row = vec![name, kind.to_owned()];
                    row.extend(FIGURES.iter().map(|figure| number(run, i, *figure, &mut wrong)));
                    row.extend([moment(ended), data.clone(), example.clone()]);
                    rows.push(
                        [cell.clone()].into_iter().chain(row.into_iter().map(TableCell::from)).collect(),
                    );
                }
            }
        }
        self.runs.push((ended, cell.text.clone(), rows));
        self.unread.extend(wrong.into_iter().map(|why| (cell.clone(), format!("summary.json: {why}"))));
    }

    fn page(self) -> Result<String, AnyError> {
        let mut report = Report::new(TITLE);
        let rows: Vec<_> = self.runs.into_iter().flat_map(|(_, _, rows)| rows).collect();
        if rows.is_empty() {
            report.paragraph("There is no run here yet.");
        } else {
            let head = AROUND.0.into_iter().chain(FIGURES.iter().map(|(name, ..)| *name)).chain(AROUND.1);
            let head = head.map(str::to_owned).collect();
            let caption = "All runs, the newest first; a folder's name leads to its report".to_owned();
            report.block(Block::Table { caption, head, rows });
        }
        if !self.unread.is_empty() {
            report.heading("What could not be read");
            let rows = self.unread.into_iter().map(|(folder, why)| vec![folder, why.into()]).collect();
            let head = ["folder", "what is wrong"].map(str::to_owned).to_vec();
            report.block(Block::Table { caption: "Folders and files".to_owned(), head, rows });
        }
        Ok(report.html()?)
    }
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The folder of runs that a path is in, with these names of folders between them.
fn root<'a>(path: &'a Path, above: &str) -> &'a Path {
    path.ancestors().nth(1 + above.matches('/').count()).unwrap_or(path)
}

/// A path within the folder of runs as a link: what is no letter or digit is written in per cent.
fn address(path: &Path) -> String {
    let mut link = ".".to_owned();
    for part in path.components() {
        link.push('/');
        for &byte in part.as_os_str().as_encoded_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => link.push(char::from(byte)),
                _ => link += &format!("%{byte:02X}"),
            }
        }
    }
    link
}

/// A summary and when it was written, or what is wrong with it.
fn summary(path: &Path) -> Result<(Value, SystemTime), String> {
    let said = |error: std::io::Error| error.to_string();
    let data = path.metadata().map_err(said)?;
    if !data.is_file() || data.len() > LONGEST {
        return Err(format!("expected a file of at most {LONGEST} bytes, got another"));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)).map_err(said)?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| format!("expected JSON, got {error}"))?;
    if !value.is_object() {
        return Err(format!("expected an object, got {}", shown(&value)));
    }
    Ok((value, data.modified().map_err(said)?))
}

/// A text, or nothing where there is none.
fn text(value: &Value, name: &str, wrong: &mut Vec<String>) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => {
            wrong.push(format!("{name}: expected a text, got {}", shown(value)));
            String::new()
        }
    }
}

/// A figure of a run, or nothing where it has none.
fn number(
    run: &Value,
    i: usize,
    (_, key, decimals): (&str, &str, Option<usize>),
    wrong: &mut Vec<String>,
) -> String {
    match (&run[key], decimals) {
        (Value::Number(number), None) => number.to_string(),
        (Value::Number(number), Some(decimals)) => {
            format!("{:.decimals$}", number.as_f64().unwrap_or(f64::NAN))
        }
        (Value::Null, _) => String::new(),
        (value, _) => {
            wrong.push(format!("runs[{i}].{key}: expected a number, got {}", shown(value)));
            String::new()
        }
    }
}

/// The beginning of a value, for messages.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    let start: String = text.chars().take(60).collect();
    if start.len() < text.len() { format!("{start}…") } else { start }
}

/// A moment as `2026-11-25 21:03`, in UTC.
pub fn moment(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, minutes) = (seconds / 86_400, seconds % 86_400 / 60);
    // Years begin in March here, so that a leap day is the last day of one: 400 of them have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = 400 * era + year + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}", minutes / 60, minutes % 60)
}
