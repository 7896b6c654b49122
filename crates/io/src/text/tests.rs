//! Texts and ids, there and back; files that are none.

use std::fs;

use backstitch_core::layers::{dense, embedding, gru};
use backstitch_core::{Dataset, Model, Net};
use proptest::prelude::*;

use super::pieces::{MAX_PIECE, pieces, words};
use super::*;

const ODD: [&str; 8] = [
    "a\r\nb\r\n",
    "👩‍👩‍👧 and 🇦🇹!",
    "a\0b",
    "\u{301}",
    "e\u{301} \u{301}x",
    "  \n\n  x ",
    "ß…—\u{feff}",
    "don't ''x",
];

#[test]
fn words_are_runs_of_letters_and_marks_stand_alone() {
    let all: Vec<_> = words("Don't  stop, \r\n'ere’s 3.5 cafe\u{301}s!").map(|(_, word)| word).collect();
    assert_eq!(all, ["Don't", "stop", ",", "'", "ere’s", "3", ".", "5", "cafe\u{301}s", "!"]);
    assert_eq!(words(" \n").count(), 0);
}

#[test]
fn pieces_take_the_space_before_them() {
    let all = |text| pieces(text).map(|piece| std::str::from_utf8(piece).unwrap()).collect::<Vec<_>>();
    assert_eq!(
        all("He said:  it's 12.\n\n ok "),
        ["He", " said", ":", " ", " it", "'", "s", " 12", ".", "\n\n", " ok", " "]
    );
    let long = "x".repeat(1000);
    assert!(pieces(&long).all(|piece| piece.len() <= MAX_PIECE));
}

#[test]
fn odd_texts_come_back() {
    let pairs = BytePairs::train(&ODD.concat().repeat(3), 270).unwrap();
    for text in ODD {
        assert_eq!(pairs.decode(&pairs.encode(text)).unwrap(), text);
        let letters = Vocabulary::characters(text).unwrap();
        assert_eq!(letters.decode(&letters.encode(text).unwrap()).unwrap(), text);
    }
    assert!(pairs.encode("").is_empty());
    // A text without spaces takes no longer than another.
    let long = "ab".repeat(200_000);
    let pairs = BytePairs::train(&long, 263).unwrap();
    assert_eq!(pairs.decode(&pairs.encode(&long)).unwrap(), long);
}

#[test]
fn the_most_frequent_pair_is_joined_first() {
    // Sennrich et al. 2016, algorithm 1, without its mark of the end of a word.
    let text = ["low ".repeat(5), "lower ".repeat(2), "newest ".repeat(6), "widest ".repeat(3)].concat();
    let pairs = BytePairs::train(&text, 262).unwrap();
    let learned: Vec<_> =
        (256..262).map(|id| std::str::from_utf8(pairs.bytes(id).unwrap()).unwrap()).collect();
    assert_eq!(learned, ["es", "est", "lo", "low", " n", " low"]);
}

/// The algorithm as it is written: all pairs counted anew for each merge.
fn plainly(text: &str, merges: usize) -> Vec<(u32, u32)> {
    let mut all: Vec<Vec<u32>> =
        pieces(text).map(|piece| piece.iter().map(|&b| u32::from(b)).collect()).collect();
    let mut learned = Vec::new();
    for new in 256..256 + merges as u32 {
        let mut counts = std::collections::BTreeMap::<(u32, u32), usize>::new();
        for pair in all.iter().flat_map(|ids| ids.windows(2)) {
            *counts.entry((pair[0], pair[1])).or_default() += 1;
        }
        let Some((&pair, _)) =
            counts.iter().rev().max_by_key(|(_, count)| **count).filter(|(_, count)| **count > 1)
        else {
            break;
        };
        all.iter_mut().for_each(|ids| pairs::merge(ids, pair, new));
        learned.push(pair);
    }
    learned
}

proptest! {
    #[test]
    fn any_text_comes_back_from_byte_pairs(train in "\\PC{1,80}", text in any::<String>()) {
        let most = 256 + plainly(&train, 20).len();
        let pairs = BytePairs::train(&train, most).unwrap();
        prop_assert_eq!(pairs.decode(&pairs.encode(&text)).unwrap(), text);
        prop_assert_eq!(pairs.decode(&pairs.encode(&train)).unwrap(), train);
    }

    #[test]
    fn pairs_are_those_of_the_plain_algorithm(train in "[ab ]{1,60}") {
        let plain = plainly(&train, 12);
        let pairs = BytePairs::train(&train, 256 + plain.len()).unwrap();
        prop_assert_eq!(&pairs.merges, &plain);
        if plain.len() < 12 {
            let error = BytePairs::train(&train, 257 + plain.len()).unwrap_err().to_string();
            prop_assert!(error.contains("no further pair of this text occurs twice"), "{}", error);
        }
    }

    #[test]
    fn characters_come_back_and_words_have_their_ids_again(text in any::<String>(), odd in 0..ODD.len()) {
        let text = text + ODD[odd];
        let letters = Vocabulary::characters(&text).unwrap();
        prop_assert_eq!(letters.decode(&letters.encode(&text).unwrap()).unwrap(), &*text);
        if words(&text).next().is_some() {
            let all = Vocabulary::words(&text, 1).unwrap();
            let ids = all.encode(&text).unwrap();
            prop_assert_eq!(all.encode(&all.decode(&ids).unwrap()).unwrap(), ids);
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_or_a_vocabulary(at in 0_usize..200, byte in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.json");
        let damage = || {
            let mut bytes = fs::read(&path).unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            fs::write(&path, bytes).unwrap();
        };
        Vocabulary::words("a b, c. a", 1).unwrap().save(&path).unwrap();
        damage();
        if let Ok(read) = Vocabulary::load(&path) {
            let ids: Vec<usize> = (0..read.size()).collect();
            prop_assert_eq!(read.encode(&read.decode(&ids).unwrap()).unwrap(), ids);
        }
        BytePairs::train("abab abab", 258).unwrap().save(&path).unwrap();
        damage();
        if let Ok(read) = BytePairs::load(&path) {
            prop_assert_eq!(read.decode(&read.encode("abab c")).unwrap(), "abab c");
        }
    }
}

#[test]
fn what_has_no_id_is_named() {
    let message = |result: Result<Vec<usize>, backstitch_core::Error>| result.unwrap_err().to_string();
    let letters = Vocabulary::characters("ab").unwrap();
    assert_eq!(
        message(letters.encode("a\u{301}b")),
        "text: expected characters of the vocabulary, got '\\u{301}' at byte 1"
    );
    let all = Vocabulary::words("the cat", 1).unwrap();
    assert_eq!(
        message(all.encode("the\n dog")),
        "text: expected words of the vocabulary, got \"dog\" at byte 5"
    );
    assert_eq!(
        letters.decode(&[0, 2]).unwrap_err().to_string(),
        "ids: expected below 2, the size of the vocabulary, got 2"
    );
    let pairs = BytePairs::train("a", 256).unwrap();
    assert!(pairs.decode(&[usize::MAX]).is_err() && pairs.bytes(256).is_none());
    assert_eq!(pairs.decode(&[0xf0, 0x9f]).unwrap(), "\u{fffd}");
    assert!(Vocabulary::characters("").is_err() && Vocabulary::words(" \n", 1).is_err());
    assert!(Vocabulary::words("a", 0).is_err() && Vocabulary::words("a", 2).is_err());
    assert!(BytePairs::train("", 300).is_err() && BytePairs::train("a", 255).is_err());
    assert_eq!(Vocabulary::words("b a b", 2).unwrap().encode("x b").unwrap(), [0, 1]);
}

#[test]
fn files_say_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.json");
    let letters = Vocabulary::characters("ab\0\r\n👩").unwrap();
    letters.save(&path).unwrap();
    assert_eq!(Vocabulary::load(&path).unwrap(), letters);
    let error = BytePairs::load(&path).unwrap_err().to_string();
    assert!(
        error.contains("v.json: expected a backstitch byte pairs, as BytePairs::save writes it"),
        "{error}"
    );
    let pairs = BytePairs::train("abab abab", 258).unwrap();
    pairs.save(&path).unwrap();
    assert_eq!(BytePairs::load(&path).unwrap(), pairs);
    let vocabulary = |version: u32, unit: &str, entries: &str| {
        let text = format!(
            "{{\"format\":\"backstitch vocabulary\",\"version\":{version},\"content\":{{\"unit\":\"{unit}\",\"entries\":{entries}}}}}"
        );
        fs::write(&path, text).unwrap();
        Vocabulary::load(&path).unwrap_err().to_string()
    };
    assert!(vocabulary(2, "words", "[\"a\"]").contains("expected version 1"));
    assert!(vocabulary(1, "letters", "[\"a\"]").contains("unknown variant"));
    assert!(vocabulary(1, "words", "[]").contains("got 0 entries"));
    assert!(vocabulary(1, "words", "[\"a b\"]").contains("\"a b\" with the id 0"));
    assert!(vocabulary(1, "words", "[\"a\",\"<unknown>\"]").contains("\"<unknown>\" with the id 1"));
    assert!(vocabulary(1, "characters", "[\"a\",\"a\"]").contains("\"a\" twice"));
    assert!(vocabulary(1, "characters", "[\"ab\"]").contains("not one of its characters"));
    let merges = |merges: &str| {
        let text = format!("{{\"format\":\"backstitch byte pairs\",\"version\":1,\"content\":{merges}}}");
        fs::write(&path, text).unwrap();
        BytePairs::load(&path).unwrap_err().to_string()
    };
    assert!(merges("[[97,256]]").contains("of which one comes later"));
    assert!(merges("[[97,98],[97,98]]").contains("for the second time"));
    assert!(merges("[[97,-1]]").contains("expected u32"));
    // Each merge doubles: without a limit, 60 of them would have 2^60 bytes.
    let doubled: Vec<(u32, u32)> =
        (0..60).map(|i| if i == 0 { (97, 97) } else { (255 + i, 255 + i) }).collect();
    assert!(
        merges(&serde_json::to_string(&doubled).unwrap()).contains("merge 8 of 512 bytes, more than 256")
    );
    assert!(merges("null").contains("expected a backstitch byte pairs"));
}

#[test]
fn a_model_with_another_number_of_ids_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.json");
    let text = "a small text";
    let letters = Vocabulary::characters(text).unwrap();
    letters.save(&path).unwrap();
    let model = |ids: usize| -> Model {
        Model::new(Net::new().push(embedding(ids, 4)).push(gru(4)).push(dense(ids)), &[3], 0).unwrap()
    };
    assert_eq!(Vocabulary::load_for(&path, &model(letters.size())).unwrap(), letters);
    let error = Vocabulary::load_for(&path, &model(20)).unwrap_err().to_string();
    assert!(error.ends_with("v.json: expected 20 ids, as embedding1 of the model has, got 8"), "{error}");
    let error =
        Vocabulary::load_for(&path, &Model::<f32>::new(dense(2), &[3], 0).unwrap()).unwrap_err().to_string();
    assert!(error.contains("a model whose inputs are not ids"), "{error}");
    // Ids of a larger vocabulary are no data of the model.
    let data: Dataset = Dataset::windows(&letters.encode(text).unwrap(), 3).unwrap();
    assert!(backstitch_core::train::evaluate(&model(6), &data).is_err());
}
