//! Two programs with one output folder.

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use backstitch::atomic::FolderLock;
use example::{example, run, summary};

#[test]
fn an_output_folder_is_for_one_program_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let quick = || run(example("kl_cross_entropy").arg("--quick").arg("--out").arg(folder.path()));
    let lock = FolderLock::acquire(folder.path()).unwrap();
    let (ok, output) = quick();
    assert!(!ok, "{output}");
    let process = format!("another process, {}, writes to", std::process::id());
    assert!(output.contains("error: ") && output.contains(&process), "{output}");
    assert!(!folder.path().join("report.html").exists());
    drop(lock);
    let (ok, output) = quick();
    assert!(ok, "{output}");
    summary(folder.path());
}

#[test]
fn a_program_that_is_killed_frees_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = example("fashion_mlp");
    first.args(["--quick", "--epochs", "1000", "--activation", "relu"]).arg("--out").arg(folder.path());
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let taken = || fs::read_to_string(folder.path().join(".lock")).is_ok_and(|text| !text.is_empty());
    while !taken() {
        assert!(first.try_wait().unwrap().is_none(), "it ended by itself");
        sleep(Duration::from_millis(5));
    }
    let quick = || run(example("kl_cross_entropy").arg("--quick").arg("--out").arg(folder.path()));
    let (ok, output) = quick();
    assert!(!ok && output.contains(&format!("another process, {}, writes to", first.id())), "{output}");
    // As if the first program had been writing.
    fs::write(folder.path().join(".writing-left"), "half").unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let (ok, output) = quick();
    assert!(ok, "{output}");
    assert!(!folder.path().join(".writing-left").exists());
}

#[cfg(unix)]
#[test]
fn an_output_folder_may_be_a_link() {
    let root = tempfile::tempdir().unwrap();
    let link = root.path().join("link");
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    let (ok, output) = run(example("kl_cross_entropy").arg("--quick").arg("--out").arg(&link));
    assert!(ok, "{output}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    summary(&root.path().join("elsewhere"));
}
