//! Tables, what is learned from them, and their errors.

use std::fs;

use ndarray::{Array2, array};
use proptest::prelude::*;

use super::rows::is_missing;
use super::*;
use crate::error::Error;

fn table(text: &str) -> Table {
    Table::parse(text.as_bytes(), "t.csv").unwrap()
}

/// The message about a wrong table.
fn refused(text: &str) -> String {
    Table::parse(text.as_bytes(), "t.csv").unwrap_err().to_string()
}

/// The message about columns that do not suit their table.
fn unsuited(columns: Columns, text: &str) -> String {
    columns.fit(&table(text)).unwrap_err().to_string()
}

const HOUSES: &str = "id,rooms,near,price\n7,3,SEA,10\n8,,BAY,20\n9,8,NA,30\n10,4,BAY,45\n";

fn houses() -> Columns {
    Columns::new()
        .ignore("id")
        .fill("rooms", Fill::Mean)
        .one_hot("near")
        .fill("near", Fill::MostFrequent)
        .target("price")
}

#[test]
fn numbers_categories_and_what_is_missing_become_features() {
    let encoding = houses().fit(&table(HOUSES)).unwrap();
    assert_eq!(encoding.features(), ["rooms", "near=BAY", "near=SEA"]);
    let data = encoding.encode(&table(HOUSES)).unwrap();
    let expected = array![[3.0, 0.0, 1.0], [5.0, 1.0, 0.0], [8.0, 1.0, 0.0], [4.0, 1.0, 0.0]];
    assert_eq!(data.inputs().unwrap().to_array(), expected.into_dyn());
    assert_eq!(encoding.inputs(&table(HOUSES)).unwrap().row(1).to_vec(), [5.0, 1.0, 0.0]);
    assert!(encoding.classes().is_empty());
    let mut batch = backstitch_core::data::Batch::default();
    data.gather(&[3, 0], &mut batch).unwrap();
    let backstitch_core::Targets::Values(prices) = batch.targets() else { panic!("values") };
    assert_eq!((&*prices.shape(), prices.data()), (&[2, 1][..], &[45.0, 10.0][..]));
}

#[test]
fn what_is_learned_is_learned_from_the_training_rows_and_used_for_others() {
    let encoding = houses().fit(&table(HOUSES)).unwrap();
    // Another order of columns, no target, another mean, one category.
    let other = table("near,id,rooms\nSEA,1,100\n?,2,nan\n");
    assert_eq!(encoding.inputs(&other).unwrap(), array![[100.0, 0.0, 1.0], [5.0, 1.0, 0.0]]);
    let median = houses().fit(&table("id,rooms,near,price\n1,1,A,0\n2,2,A,0\n3,90,A,0\n4,,A,0\n")).unwrap();
    assert_eq!(
        median.inputs(&other).unwrap_err().to_string(),
        "t.csv, line 2: expected one of the categories of the training rows in column near (A), got \"SEA\""
    );
    let fills = |fill| {
        let columns = Columns::new().fill("x", fill).target("y");
        columns.fit(&table("x,y\n1,0\n2,0\n90,0\n4,0\n,0\n")).unwrap().inputs(&table("x\n\"\"\n")).unwrap()
    };
    assert_eq!(fills(Fill::Median), array![[3.0]]);
    assert_eq!(fills(Fill::Mean), array![[24.25]]);
    assert_eq!(fills(Fill::Number(-1.5)), array![[-1.5]]);
    let odd = Columns::new().fill("x", Fill::Median).target("y").fit(&table("x,y\n9,0\n1,0\n2,0\n"));
    assert_eq!(odd.unwrap().inputs(&table("x\nNA\n")).unwrap(), array![[2.0]]);
}

#[test]
fn a_missing_category_can_be_a_category() {
    let columns = Columns::new().one_hot("x").fill("x", Fill::Category("none".to_owned())).target("y");
    let encoding = columns.fit(&table("x,y\na,1\nz,1\n")).unwrap();
    assert_eq!(encoding.features(), ["x=a", "x=none", "x=z"]);
    assert_eq!(encoding.inputs(&table("x\nNULL\nz\n")).unwrap(), array![[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
    // If several are equally frequent, the first by name.
    let columns = Columns::new().one_hot("x").fill("x", Fill::MostFrequent).target("y");
    let encoding = columns.fit(&table("x,y\nz,1\nb,1\nc,1\nz,1\nb,1\n")).unwrap();
    assert_eq!(encoding.inputs(&table("x\nn/a\n")).unwrap(), array![[1.0, 0.0, 0.0]]);
}

#[test]
fn classes_are_counted_by_name_or_by_size() {
    let by = |classes: &str| {
        let text =
            format!("x,y\n{}", classes.split(' ').map(|class| format!("1,{class}\n")).collect::<String>());
        let encoding = Columns::new().label("y").fit(&table(&text)).unwrap();
        (encoding.classes().join(" "), encoding.encode(&table(&text)).unwrap().labels().unwrap())
    };
    assert_eq!(by("b a b c"), ("a b c".to_owned(), vec![1, 0, 1, 2]));
    assert_eq!(by("10 9 -1 9"), ("-1 9 10".to_owned(), vec![2, 1, 0, 1]));
    assert_eq!(by("10 9 x"), ("10 9 x".to_owned(), vec![0, 1, 2]));
    let encoding = Columns::new().label("y").fit(&table("x,y\n1,a\n2,b\n")).unwrap();
    let error = |text: &str| encoding.encode(&table(text)).unwrap_err().to_string();
    assert_eq!(
        error("x,y\n1,c\n"),
        "t.csv, line 2: expected one of the classes of the training rows in column y (a, b), got \"c\""
    );
    assert_eq!(error("x\n1\n"), "t.csv: expected a column named \"y\", got the columns x");
    let two = Columns::new().target("b").target("a").fit(&table("x,a,b\n1,2,3\n")).unwrap();
    let data = two.encode(&table("x,a,b\n1,2,3\n")).unwrap();
    assert_eq!(
        data.target_kind(),
        backstitch_core::data::TargetKind::Values(backstitch_core::Shape::from([2]))
    );
}

#[test]
fn files_of_other_programs_are_read() {
    let expected = array![[1.0_f32, 2.0]];
    for text in ["a,b\n1,2\n", "a,b\r\n1,2", "\u{feff}\"a\",b\n 1 ,\"2\"\n\n", "\na,b\n\n \n1,2\n"] {
        let encoding = Columns::new().target("c").fit(&table("a,b,c\n1,2,0\n")).unwrap();
        assert_eq!(encoding.inputs(&table(text)).unwrap(), expected, "{text:?}");
    }
    let quoted = table("x,y\n\"a, \"\"b\"\"\nc\",1\n5\" pipe,2\n");
    let encoding = Columns::new().one_hot("x").target("y").fit(&quoted).unwrap();
    assert_eq!(encoding.features(), ["x=5\" pipe", "x=a, \"b\"\nc"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    assert!(Table::read(&path).unwrap_err().to_string().contains("t.csv: could not open"));
    fs::write(&path, HOUSES).unwrap();
    assert_eq!(Table::read(&path).unwrap().columns(), ["id", "rooms", "near", "price"]);
}

#[test]
fn a_text_that_is_no_table_is_refused_with_its_line() {
    assert_eq!(refused("a,b\n1,2\n3\n"), "t.csv, line 3: expected 2 columns, got 1");
    assert_eq!(refused("a,b\n1,2,3\n"), "t.csv, line 2: expected 2 columns, got 3");
    assert_eq!(
        refused("a,b,a\n1,2,3\n"),
        "t.csv, line 1: expected columns of different names, got \"a\" twice"
    );
    let nameless = "t.csv, line 1: expected a name for every column (pandas writes one without for its index: to_csv(index=False)), got none for column 1";
    assert_eq!(refused(",b\n1,2\n"), nameless);
    assert_eq!(refused("a,b\n"), "t.csv: expected at least one row below the names of columns, got none");
    assert_eq!(refused(""), "t.csv: expected at least one row below the names of columns, got none");
    let open = "expected CSV text, got a quote that is opened in line 3 and not closed";
    assert_eq!(refused("a,b\n1,2\n3,\"4\n5,6\n"), format!("t.csv, line 4: {open}"));
    assert_eq!(refused("a,b\n1,2\n3,\""), format!("t.csv, line 3: {open}"));
    assert_eq!(refused("a,\"b\n1,2\n"), format!("t.csv: {}", open.replace('3', "1")));
    let utf8 = Table::parse(&b"a,b\n1,\xff\n"[..], "t.csv").unwrap_err().to_string();
    assert!(utf8.starts_with("t.csv, line 2: expected CSV text, got") && utf8.contains("UTF-8"), "{utf8}");
}

#[test]
fn columns_that_do_not_suit_a_table_are_refused() {
    let text = "x,y\n1,2\n";
    let target = || Columns::new().target("y");
    assert_eq!(
        unsuited(target().one_hot("z"), text),
        "t.csv: expected a column named \"z\", got the columns x, y"
    );
    assert_eq!(
        unsuited(target().fill("z", Fill::Mean), text),
        "t.csv: expected a column named \"z\", got the columns x, y"
    );
    assert_eq!(
        unsuited(target().ignore("y"), text),
        "t.csv: expected one role of column y, got Ignored beside Target"
    );
    assert_eq!(
        unsuited(Columns::new(), text),
        "t.csv: expected one label, or targets, got 0 targets and 0 labels"
    );
    assert_eq!(
        unsuited(target().label("x"), text),
        "t.csv: expected one label, or targets, got 1 targets and 1 labels"
    );
    assert_eq!(
        unsuited(target().ignore("x"), text),
        "t.csv: expected at least one column of inputs, got none"
    );
    let twice = target().fill("x", Fill::Mean).fill("x", Fill::Median);
    assert_eq!(unsuited(twice, text), "t.csv: expected one fill of column x, got two");
    for (columns, expected, got) in [
        (
            target().fill("x", Fill::MostFrequent),
            "Mean, Median or a finite Number for column x (Number)",
            "MostFrequent",
        ),
        (
            target().fill("x", Fill::Number(f64::NAN)),
            "Mean, Median or a finite Number for column x (Number)",
            "Number(NaN)",
        ),
        (
            target().fill("x", Fill::Number(1e39)),
            "Mean, Median or a finite Number for column x (Number)",
            "Number(1e39)",
        ),
        (
            target().one_hot("x").fill("x", Fill::Mean),
            "MostFrequent or a Category with a name for column x (OneHot)",
            "Mean",
        ),
        (
            target().one_hot("x").fill("x", Fill::Category("NA".into())),
            "MostFrequent or a Category with a name for column x (OneHot)",
            "Category(\"NA\")",
        ),
        (target().fill("y", Fill::Mean), "no fill, as it is no input, for column y (Target)", "Mean"),
    ] {
        assert_eq!(unsuited(columns, text), format!("t.csv: expected {expected}, got {got}"));
    }
    let empty = "x,y\nNA,2\n";
    assert_eq!(
        unsuited(target().fill("x", Fill::Median), empty),
        "t.csv: expected at least one number in column x, for Median, got only missing values"
    );
    let frequent = target().one_hot("x").fill("x", Fill::MostFrequent);
    assert_eq!(
        unsuited(frequent, empty),
        "t.csv: expected at least one category in column x, for MostFrequent, got only missing values"
    );
    let many: String = (0..=MAX_CATEGORIES).map(|i| format!("{i},1\n")).collect();
    let expected = "t.csv: expected at most 1000 categories in column x (ignore it if it numbers or names the rows), got 1001";
    assert_eq!(unsuited(target().one_hot("x"), &format!("x,y\n{many}")), expected);
}

#[test]
fn a_field_that_does_not_suit_its_column_is_refused_with_line_and_column() {
    let target = || Columns::new().target("y");
    for (columns, text, expected) in [
        (
            target(),
            "x,y\n1,2\n,2\n",
            "line 3: expected a number in column x (fill it, or leave the row out), got a missing value (\"\")",
        ),
        (
            target(),
            "x,y\nINLAND,2\n",
            "line 2: expected a number in column x (one_hot or ignore the column), got \"INLAND\"",
        ),
        (
            target(),
            "x,y\n1e39,2\n",
            "line 2: expected a number in column x (one_hot or ignore the column), got \"1e39\"",
        ),
        (
            target(),
            "x,y\ninf,2\n",
            "line 2: expected a number in column x (one_hot or ignore the column), got \"inf\"",
        ),
        (
            target().fill("x", Fill::Mean),
            "x,y\n1,2\nred,2\n",
            "line 3: expected a number in column x (one_hot or ignore the column), got \"red\"",
        ),
        (
            target().one_hot("x"),
            "x,y\nNA,2\n",
            "line 2: expected a category in column x (fill it, or leave the row out), got a missing value (\"NA\")",
        ),
        (
            target(),
            "x,y\n1,\n",
            "line 2: expected a number in column y (leave out rows that have none; for classes, label), got a missing value (\"\")",
        ),
        (
            target(),
            "x,y\n1,dog\n",
            "line 2: expected a number in column y (leave out rows that have none; for classes, label), got \"dog\"",
        ),
        (
            Columns::new().label("y"),
            "x,y\n1,?\n",
            "line 2: expected a class in column y (leave out rows that have none), got a missing value (\"?\")",
        ),
    ] {
        assert_eq!(unsuited(columns, text), format!("t.csv, {expected}"));
    }
    let encoding = houses().fit(&table(HOUSES)).unwrap();
    let other = |text: &str| encoding.inputs(&table(text)).unwrap_err().to_string();
    assert_eq!(
        other("id,rooms,near,price,size\n1,2,BAY,3,4\n"),
        "t.csv: expected the columns of the training rows and no others, got \"size\", which the training rows did not have"
    );
    assert_eq!(
        other("id,near,price\n1,BAY,3\n"),
        "t.csv: expected a column named \"rooms\", got the columns id, near, price"
    );
    assert_eq!(
        other("rooms,near\n1,ISLAND\n"),
        "t.csv, line 2: expected one of the categories of the training rows in column near (BAY, SEA), got \"ISLAND\""
    );
}

#[test]
fn parts_have_every_row_once_and_know_their_lines() {
    let rows: String = (0..20).map(|i| format!("{i},0\n")).collect();
    let all = table(&format!("x,y\n{rows}"));
    let [train, test] = all.split([0.8, 0.2], 3).unwrap();
    assert_eq!((train.len(), test.len()), (16, 4));
    let encoding = Columns::new().target("y").fit(&train).unwrap();
    let numbers = |part: &Table| encoding.inputs(part).unwrap().into_raw_vec_and_offset().0;
    let mut both = [numbers(&train), numbers(&test)].concat();
    assert_ne!(both, (0..20).map(|i| i as f32).collect::<Vec<_>>());
    both.sort_by(f32::total_cmp);
    assert_eq!(both, (0..20).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!(numbers(&all.subset(&[4, 4, 2]).unwrap()), [4.0, 4.0, 2.0]);
    let broken = table("x,y\n1,0\n2,0\nred,0\n").subset(&[2, 0]).unwrap();
    assert!(encoding.inputs(&broken).unwrap_err().to_string().starts_with("t.csv, line 4: "));
    let message = |result: Result<Table, Error>| result.unwrap_err().to_string();
    assert_eq!(message(all.subset(&[20])), "t.csv: expected numbers of rows below 20, got 20");
    assert_eq!(message(all.subset(&[])), "t.csv: expected numbers of rows below 20, got none");
    let error = all.split([0.5, 0.6], 0).unwrap_err().to_string();
    assert_eq!(error, "t.csv: shares: expected numbers above 0 that sum to 1, got [0.5, 0.6]");
}

#[test]
fn a_saved_encoding_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.json");
    let encoding = houses().fit(&table(HOUSES)).unwrap();
    encoding.save(&path).unwrap();
    assert_eq!(Encoding::load(&path).unwrap(), encoding);
    let good = fs::read_to_string(&path).unwrap();
    let labels = Columns::new().label("near").ignore("id").fit(&table("id,near,x\n1,a,2\n2,b,3\n")).unwrap();
    labels.save(&path).unwrap();
    assert_eq!(Encoding::load(&path).unwrap(), labels);
    let classes = fs::read_to_string(&path).unwrap();
    let error = |text: String| {
        fs::write(&path, text).unwrap();
        let error = Encoding::load(&path).unwrap_err().to_string();
        error.split_once("e.json: expected ").unwrap().1.to_owned()
    };
    let of = "an encoding of columns, as Encoding::save writes it, got";
    for (from, to, got) in [
        ("backstitch columns", "x", "a format of \"x\""),
        ("\"rooms\"", "\"near\"", "\"near\" twice among the columns"),
        ("\"rooms\"", "\"\"", "one without a name among the columns"),
        ("\"fill\": 5.0", "\"fill\": 1e300", "inf to fill column rooms"),
        (
            "\"fill\": \"BAY\"",
            "\"fill\": \"INLAND\"",
            "\"INLAND\", which is no category, to fill column near",
        ),
        ("\"SEA\"", "\"BAY\"", "\"BAY\" twice among the categories of column near"),
        ("\"SEA\"", "\"NA\"", "\"NA\", a missing value, among the categories of column near"),
        ("\"price\"", "", "1 inputs"),
        ("\"fill\": 5.0", "\"full\": 5.0", "unknown field `full`"),
        ("\"fill\": 5.0", "\"fill\": \"5\"", "invalid type: string"),
    ] {
        let expected = if got == "1 inputs" { "2 inputs and 0 targets" } else { got };
        assert!(good.contains(from), "{good}");
        let message = error(good.replace(from, to));
        assert!(message.starts_with(&format!("{of} {expected}")), "{message}");
    }
    assert!(
        error(good.replace("\"version\": 1", "\"version\": 2"))
            .starts_with("version 1 of the encoding, got 2")
    );
    assert!(error(good[..good.len() / 2].to_owned()).starts_with(&format!("{of} EOF")));
    assert!(error("[1]".to_owned()).starts_with(&format!("{of} a format of null")));
    let twice = error(classes.replace("\"b\"", "\"a\""));
    assert!(twice.ends_with("\"a\" twice among the classes of column near"), "{twice}");
}

/// Typical fields, good ones and bad ones.
fn field() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 13] =
        ["1", "2.5", "-3e2", "NA", "", "red", "blue", "a,b", "\"q\"", "x\ny", "inf", "0.1", "7"];
    prop_oneof![8 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned), 1 => any::<f32>().prop_map(|v| v.to_string()), 1 => "\\PC{0,4}"]
}

fn number() -> impl Strategy<Value = String> {
    let finite = any::<f32>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| v.to_string());
    prop_oneof![
        proptest::sample::select(&["1", "2.5", "-3e2", "0.1", "7"][..]).prop_map(str::to_owned),
        finite
    ]
}

fn number_or_gap() -> impl Strategy<Value = String> {
    prop_oneof![3 => number(), 1 => Just("NA".to_owned())]
}

fn written(rows: &[[String; 4]]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["a", "b", "c", "d"]).unwrap();
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
    writer.into_inner().unwrap()
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b','), Just(b'\n'), Just(b'"')], 0..200)) {
        if let Ok(table) = Table::parse(&bytes[..], "t.csv") {
            for name in table.columns() {
                let _ = Columns::new().target(name).fit(&table);
                let _ = Columns::new().label(name).fit(&table).map(|encoding| encoding.encode(&table));
            }
        }
    }

    #[test]
    fn what_was_written_is_read(rows in proptest::collection::vec([field(), field(), field(), field()], 1..8)) {
        let table = Table::parse(&written(&rows)[..], "t.csv").unwrap();
        prop_assert_eq!(table.len(), rows.len());
        for (i, row) in rows.iter().enumerate() {
            for (j, field) in row.iter().enumerate() {
                prop_assert_eq!(table.field(i, j), field.trim());
            }
        }
    }

    #[test]
    fn what_fits_is_encoded_and_the_same_after_saving(
        rows in proptest::collection::vec((number_or_gap(), field(), field(), number()).prop_map(<[String; 4]>::from), 1..8),
        classes: bool,
    ) {
        let table = Table::parse(&written(&rows)[..], "t.csv").unwrap();
        let columns = Columns::new().one_hot("b").fill("b", Fill::Category("none".to_owned())).ignore("c");
        // The mean of rows without any number has an error of its own.
        let gaps = rows.iter().all(|row| row[0] == "NA");
        let columns = columns.fill("a", if gaps { Fill::Number(0.1) } else { Fill::Mean });
        let columns = if classes { columns.label("d") } else { columns.target("d") };
        let encoding = columns.fit(&table).unwrap();
        let data = encoding.encode(&table).unwrap();
        let inputs: Array2<f32> = encoding.inputs(&table).unwrap();
        prop_assert_eq!(inputs.ncols(), encoding.features().len());
        prop_assert!(inputs.outer_iter().all(|row| row.iter().skip(1).sum::<f32>() == 1.0));
        for (i, row) in rows.iter().enumerate().filter(|(_, row)| !is_missing(row[1].trim())) {
            let on = inputs.row(i).iter().skip(1).position(|&v| v == 1.0).unwrap();
            prop_assert_eq!(&encoding.features()[on + 1], &format!("b={}", row[1].trim()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.json");
        encoding.save(&path).unwrap();
        let again = Encoding::load(&path).unwrap();
        prop_assert_eq!(&again, &encoding);
        let bits = |encoding: &Encoding| encoding.inputs(&table).unwrap().mapv(f32::to_bits);
        prop_assert_eq!(bits(&again), bits(&encoding));
        prop_assert_eq!(again.encode(&table).unwrap().labels(), data.labels());
    }
}
