//! The page of contents of a folder of runs.

#[path = "common/example.rs"]
#[expect(dead_code, reason = "summaries are read by other tests")]
mod example;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use backstitch_examples::contents::{PAGE, moment, update};
use example::{example, run};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder `runs`, in a folder that ends with it.
fn runs() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("runs");
    fs::create_dir(&runs).unwrap();
    (root, runs)
}

/// A run that ended at a second since 1970.
fn put(runs: &Path, name: &str, summary: &Value) -> PathBuf {
    let folder = runs.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("summary.json"), summary.to_string()).unwrap();
    fs::write(folder.join("report.html"), "a report").unwrap();
    folder
}

fn summary(ended: u64, accuracy: f64) -> Value {
    let one = json!({ "name": "relu", "epochs": 3, "test_accuracy": accuracy, "seconds_per_epoch": 1.256, "test_loss": null });
    json!({ "example": "fashion_mlp", "quick": true, "ended": ended, "dataset": { "name": "clothes" }, "runs": [one] })
}

fn page(runs: &Path, after: &Path) -> String {
    let written = update(after, runs).unwrap().unwrap();
    assert_eq!(written, runs.join(PAGE));
    fs::read_to_string(written).unwrap()
}

/// The rows of the first table, cell by cell, without marks.
fn rows(html: &str, table: usize) -> Vec<Vec<String>> {
    let body = html.split("<tbody>").nth(table + 1).unwrap().split("</tbody>").next().unwrap();
    let plain = |cell: &str| {
        let text = cell.split_once('>').unwrap().1;
        text.split('<').map(|piece| piece.rsplit('>').next().unwrap().trim()).collect::<String>()
    };
    let cells = |row: &str| row.replace("<th", "<td").split("<td").skip(1).map(plain).collect();
    body.split("<tr>").skip(1).map(cells).collect()
}

#[test]
fn runs_are_listed_with_their_figures_the_newest_first() {
    let (_root, runs) = runs();
    put(&runs, "middle", &summary(2_000, 0.75));
    put(&runs, "newest", &summary(1_764_104_625, 0.5));
    let oldest = put(&runs, "deep/oldest", &summary(1_000, 0.875));
    let html = page(&runs, &oldest);
    let rows = rows(&html, 0);
    let column = |i: usize| rows.iter().map(|row| row[i].as_str()).collect::<Vec<_>>();
    assert_eq!(column(0), ["newest", "middle", "deep/oldest"]);
    assert_eq!(column(10), ["2025-11-25 21:03", "1970-01-01 00:33", "1970-01-01 00:16"]);
    assert_eq!(column(3), ["0.5000", "0.7500", "0.8750"]);
    let figures = ["0.5000", "", "", "3", "1.26", "", ""];
    let end = ["2025-11-25 21:03", "clothes", "fashion_mlp"];
    let expected = [&["newest", "relu", "quick"][..], &figures[..], &end[..]].concat();
    assert_eq!(rows[0], expected);
    assert!(html.contains("<a href=\"./deep/oldest/report.html\">deep/oldest</a>"));
    assert!(!html.contains("What could not be read"));
    // Written again, it is the same: the page itself is no run.
    assert_eq!(page(&runs, &oldest), html);
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_listed() {
    let (_root, runs) = runs();
    let good = put(&runs, "good", &summary(5, 0.5));
    fs::write(put(&runs, "broken", &json!({})).join("summary.json"), "{\"example\":").unwrap();
    fs::write(put(&runs, "latin", &json!({})).join("summary.json"), b"\"\xff\"").unwrap();
    put(&runs, "list", &json!([1]));
    put(&runs, "no_runs", &json!({ "example": "x", "runs": "many" }));
    let odd = json!({ "name": 5, "epochs": "ten", "test_accuracy": 0.25 });
    put(
        &runs,
        "other",
        &json!({ "example": ["x"], "quick": "no", "ended": -3, "dataset": 7, "runs": [odd, 3] }),
    );
    put(&runs, "old", &json!({ "example": "old", "runs": [{ "name": "net", "test_accuracy": 0.125 }] }));
    fs::remove_file(put(&runs, "no_report", &summary(4, 0.5)).join("report.html")).unwrap();
    fs::remove_file(put(&runs, "only_report", &json!({})).join("summary.json")).unwrap();
    fs::create_dir_all(runs.join("foreign/src")).unwrap();
    fs::create_dir_all(runs.join("folder/summary.json")).unwrap();
    fs::create_dir_all(runs.join(".git")).unwrap();
    fs::write(runs.join("notes.txt"), "x").unwrap();
    let html = page(&runs, &good);
    let listed: Vec<String> = rows(&html, 0).into_iter().map(|row| row[0].clone() + ":" + &row[3]).collect();
    // Those without a time have that of their file, which is now.
    assert_eq!(listed[3..], ["good:0.5000", "no_report:0.5000"]);
    for entry in ["other:0.2500", "old:0.1250", "other:"] {
        assert!(listed[..3].iter().any(|row| row == entry), "{entry} in {listed:?}");
    }
    let unread: Vec<(String, String)> =
        rows(&html, 1).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let expected = [
        ("broken", "summary.json: expected JSON, got EOF"),
        ("folder", "summary.json: expected a file of at most 16777216 bytes, got another"),
        ("foreign/src", "summary.json: expected a file, got none"),
        ("latin", "summary.json: expected JSON, got invalid unicode"),
        ("list", "summary.json: expected an object, got [1]"),
        ("no_report", "report.html: expected a file, got none"),
        ("no_runs", "summary.json: runs: expected a list, got &quot;many&quot;"),
        ("only_report", "summary.json: expected a file, got none"),
        ("other", "summary.json: ended: expected seconds since 1970, got -3"),
        ("other", "summary.json: quick: expected true or false, got &quot;no&quot;"),
        ("other", "summary.json: example: expected a text, got [&quot;x&quot;]"),
        ("other", "summary.json: runs[0].name: expected a text, got 5"),
        ("other", "summary.json: runs[0].epochs: expected a number, got &quot;ten&quot;"),
        ("other", "summary.json: runs[1]: expected an object, got 3"),
    ];
    for (folder, why) in expected {
        let named = |(name, text): &(String, String)| name == folder && text.starts_with(why);
        assert!(unread.iter().any(named), "{folder}: {why} in {unread:#?}");
    }
    assert!(!html.contains("notes.txt") && !html.contains(".git"));
    assert!(html.contains("<a href=\"./only_report/report.html\">"));
}

#[test]
fn names_cannot_become_markup() {
    let (_root, runs) = runs();
    let evil = "<script>alert(1)<|script>";
    let mut bad = summary(5, 0.5);
    bad["runs"][0]["name"] = evil.into();
    bad["dataset"]["name"] = evil.into();
    bad["example"] = evil.into();
    bad["runs"][0]["epochs"] = evil.into();
    let folder = put(&runs, "javascript:alert(1)'\"<b>&", &bad);
    let html = page(&runs, &folder);
    assert_eq!(html.matches("<script").count(), 1, "the page's own");
    assert!(!html.contains("<b>"));
    assert_eq!(html.matches("&lt;script&gt;alert(1)&lt;|script&gt;").count(), 4);
    assert!(html.contains("<a href=\"./javascript%3Aalert%281%29%27%22%3Cb%3E%26/report.html\">"), "{html}");
}

#[test]
fn no_folder_gets_a_page_that_nobody_asked_for() {
    let (root, runs) = runs();
    let elsewhere = put(&root.path().join("elsewhere"), "run", &summary(5, 0.5));
    assert_eq!(update(&elsewhere, &runs).unwrap(), None);
    assert!(!root.path().join("elsewhere").join(PAGE).exists());
    // Up again: the folder is beside runs, not below it.
    assert_eq!(update(&runs.join("../elsewhere/run"), &runs).unwrap(), None);
    // Without the default folder, too.
    assert_eq!(update(&elsewhere, &root.path().join("none")).unwrap(), None);
    // A folder that has a page of contents keeps it up to date.
    let inside = put(&runs, "run", &summary(5, 0.5));
    page(&runs, &inside);
    fs::rename(&runs, root.path().join("moved")).unwrap();
    let moved = root.path().join("moved");
    put(&moved, "second", &summary(6, 0.5));
    let html = fs::read_to_string(update(&moved.join("second"), &runs).unwrap().unwrap()).unwrap();
    assert_eq!(rows(&html, 0).len(), 2);
}

#[test]
fn the_page_of_another_program_is_left_alone() {
    let (_root, runs) = runs();
    let folder = put(&runs, "run", &summary(5, 0.5));
    fs::write(runs.join(PAGE), "<title>My notes</title>").unwrap();
    let error = update(&folder, &runs).unwrap_err().to_string();
    assert!(
        error.ends_with("expected a page of contents of runs, got another page, which was left as it is"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(runs.join(PAGE)).unwrap(), "<title>My notes</title>");
}

#[test]
fn runs_that_end_at_once_are_all_on_the_page() {
    let (_root, runs) = runs();
    std::thread::scope(|scope| {
        for i in 0..8 {
            let runs = &runs;
            scope.spawn(move || {
                let folder = put(runs, &format!("run{i}"), &summary(i, 0.5));
                update(&folder, runs).unwrap();
            });
        }
    });
    let html = fs::read_to_string(runs.join(PAGE)).unwrap();
    assert_eq!(rows(&html, 0).len(), 8);
    assert!(html.ends_with("</html>\n"));
}

#[test]
fn an_example_writes_the_page_and_does_not_fail_by_it() {
    let root = tempfile::tempdir().unwrap();
    let quick = || {
        run(example("kl_cross_entropy").arg("--quick").current_dir(root.path()).env_remove("BACKSTITCH_DATA"))
    };
    let (ok, output) = quick();
    assert!(ok && output.contains("all runs: ") && output.contains("index.html"), "{output}");
    let page = root.path().join("runs").join(PAGE);
    let html = fs::read_to_string(&page).unwrap();
    assert!(
        html.contains("<a href=\"./kl_cross_entropy/report.html\">")
            && !html.contains("What could not be read")
    );
    fs::write(&page, "mine").unwrap();
    let (ok, output) = quick();
    assert!(ok && output.contains("page of contents: ") && output.contains("got another page"), "{output}");
    let summary: Value = serde_json::from_str(
        &fs::read_to_string(root.path().join("runs/kl_cross_entropy/summary.json")).unwrap(),
    )
    .unwrap();
    assert!(summary["ended"].as_u64().unwrap() > 1_600_000_000 && summary["minutes"].is_f64(), "{summary}");
    assert!(summary["machine"].is_string() && summary["backstitch"].is_string(), "{summary}");
}

#[test]
fn moments_are_those_of_the_calendar() {
    for (seconds, expected) in [
        (0, "1970-01-01 00:00"),
        (951_782_399, "2000-02-28 23:59"),
        (951_782_400, "2000-02-29 00:00"),
        (951_868_800, "2000-03-01 00:00"),
        (1_704_067_199, "2023-12-31 23:59"),
        (1_709_164_800, "2024-02-29 00:00"),
        (4_107_542_400, "2100-03-01 00:00"),
        (4_107_542_399, "2100-02-28 23:59"),
    ] {
        assert_eq!(moment(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
    }
}
