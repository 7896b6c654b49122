//! A machine for the few pickle opcodes of NumPy arrays, and of lists and tuples of them.
//!
//! It knows the functions that NumPy's pickles call, by name, and does what they would do. It calls nothing. Values are shared,
//! not copied. Opcodes and the bytes of the arrays are counted, so that a small file cannot grow without limit.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use ndarray::ArrayD;

use super::value::{Bytes, Object, Text};

/// The largest number of opcodes of a pickle: enough for about 8,000 arrays. Their values take about 40 MB at most.
const MOST_OPCODES: usize = 1 << 18;

/// The bytes that the arrays of any pickle may take. A larger pickle may take four times its own bytes, which single bytes that
/// become `f32` need.
const FREE: usize = 1 << 20;

/// The newest protocol.
const NEWEST: u8 = 5;

/// The offset at which a file leaves the subset, and how.
#[derive(Debug)]
pub(super) struct ParseError {
    pub(super) offset: usize,
    pub(super) expected: &'static str,
    pub(super) got: String,
}

/// The first letters of a text of a file, for messages.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(60).collect()
}

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    pub(super) stack: Vec<Object<'a>>,
    marks: Vec<usize>,
    memo: HashMap<u32, Object<'a>>,
    /// The bytes that arrays may still take.
    room: usize,
}

/// The arrays of a pickled list or tuple, or the only one.
pub(super) fn arrays(bytes: &[u8]) -> Result<Vec<ArrayD<f32>>, ParseError> {
    let room = bytes.len().saturating_mul(4).saturating_add(FREE);
    let mut machine =
        Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), room };
    let result = machine.run()?;
    let behind = bytes.len() - machine.at;
    if behind > 0 {
        return Err(machine.wrong("the end of the file after the pickle", format!("{behind} more bytes")));
    }
    // The memo refers to the arrays too.
    machine.memo.clear();
    machine.stack.clear();
    let items = match result {
        Object::List(items) => items.take(),
        Object::Tuple(items) => Rc::unwrap_or_clone(items),
        array @ Object::Array(_) => vec![array],
        other => return Err(machine.wrong("an array, a list or a tuple of arrays", other.name())),
    };
    items.into_iter().map(|item| machine.finished(item)).collect()
}

impl<'a> Machine<'a> {
    pub(super) fn wrong(&self, expected: &'static str, got: impl Into<String>) -> ParseError {
        ParseError { offset: self.at, expected, got: got.into() }
    }

    /// An array of the result. An array that is in the list twice is copied.
    fn finished(&mut self, item: Object<'a>) -> Result<ArrayD<f32>, ParseError> {
        let Object::Array(array) = item else {
            return Err(self.wrong("an array", item.name()));
        };
        let array = match Rc::try_unwrap(array) {
            Ok(only) => only.into_inner(),
            Err(shared) => {
                self.take_room(shared.borrow().as_ref().map(ArrayD::len))?;
                shared.borrow().clone()
            }
        };
        array.ok_or_else(|| self.wrong("an array", "one without data"))
    }

    /// Counts the numbers of an array before memory is taken for them.
    pub(super) fn take_room(&mut self, numbers: Option<usize>) -> Result<(), ParseError> {
        let bytes = numbers.and_then(|numbers| numbers.checked_mul(size_of::<f32>()));
        let room = bytes.and_then(|bytes| self.room.checked_sub(bytes));
        self.room = room.ok_or_else(|| {
            self.wrong(
                "arrays of at most 4 times the bytes of the file",
                "more: the same one again and again?",
            )
        })?;
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ParseError> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.wrong("more bytes", "the end of the file"))?;
        self.at += count;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u64, ParseError> {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(self.take(bytes)?);
        Ok(u64::from_le_bytes(number))
    }

    /// Bytes that follow their length. The length is a number with this number of bytes.
    fn counted(&mut self, length_bytes: usize) -> Result<&'a [u8], ParseError> {
        let length = self.number(length_bytes)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn utf8(&self, bytes: &'a [u8]) -> Result<&'a str, ParseError> {
        std::str::from_utf8(bytes).map_err(|_| self.wrong("UTF-8 text", "other bytes"))
    }

    fn text(&mut self, length_bytes: usize) -> Result<Object<'a>, ParseError> {
        let bytes = self.counted(length_bytes)?;
        Ok(Object::Text(Text::Utf8(self.utf8(bytes)?)))
    }

    fn line(&mut self) -> Result<&'a [u8], ParseError> {
        let length = self.bytes[self.at..].iter().position(|&byte| byte == b'\n');
        let length = length.ok_or_else(|| self.wrong("a line", "the end of the file"))?;
        Ok(&self.take(length + 1)?[..length])
    }

    fn text_line(&mut self) -> Result<&'a str, ParseError> {
        let line = self.line()?;
        self.utf8(line)
    }

    /// A number in decimal digits.
    fn decimal<T: std::str::FromStr>(&self, digits: &str) -> Result<T, ParseError> {
        digits.parse().map_err(|_| self.wrong("a whole number", quoted(digits)))
    }

    pub(super) fn pop(&mut self) -> Result<Object<'a>, ParseError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.wrong("a value on the stack", "none"));
        }
        Ok(self.stack.pop().expect("not empty"))
    }

    fn since_mark(&mut self) -> Result<Vec<Object<'a>>, ParseError> {
        let mark = self.marks.pop().ok_or_else(|| self.wrong("a mark", "none"))?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<Object<'a>, ParseError> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.tuple_of(items)
    }

    /// Arrays need a tuple in a tuple, and no more. Deeper tuples would be freed by a recursion of the same depth, and lists
    /// inside could contain themselves.
    fn tuple_of(&self, items: Vec<Object<'a>>) -> Result<Object<'a>, ParseError> {
        let deep = |item: &Object<'a>| match item {
            Object::Tuple(inner) => inner.iter().any(|item| matches!(item, Object::Tuple(_))),
            Object::List(_) => true,
            _ => false,
        };
        if items.iter().any(deep) {
            return Err(self.wrong(
                "a tuple of the kind that arrays have",
                "one that contains a list or two levels of tuples",
            ));
        }
        Ok(Object::Tuple(Rc::new(items)))
    }

    fn list_of(&self, items: Vec<Object<'a>>) -> Result<Object<'a>, ParseError> {
        self.check_items(&items)?;
        Ok(Object::List(Rc::new(RefCell::new(items))))
    }

    /// A list has only arrays, so it cannot contain itself.
    fn check_items(&self, items: &[Object<'a>]) -> Result<(), ParseError> {
        match items.iter().find(|item| !matches!(item, Object::Array(_))) {
            Some(other) => Err(self.wrong("a list of arrays", format!("one with {} in it", other.name()))),
            None => Ok(()),
        }
    }

    fn run(&mut self) -> Result<Object<'a>, ParseError> {
        for _ in 0..MOST_OPCODES {
            let opcode = self.take(1)?[0];
            if opcode == b'.' {
                return self.pop();
            }
            if let Some(value) = self.step(opcode)? {
                self.stack.push(value);
            }
        }
        Err(self.wrong("a pickle of fewer arrays", format!("one of more than {MOST_OPCODES} opcodes")))
    }

    /// Executes one opcode, and returns the value that it pushes.
    fn step(&mut self, opcode: u8) -> Result<Option<Object<'a>>, ParseError> {
        Ok(Some(match opcode {
            0x80 => return self.protocol().map(|()| None),
            0x95 => return self.take(8).map(|_| None), // FRAME
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(None);
            }
            b'p' | b'q' | b'r' | 0x94 => return self.memoize(opcode).map(|()| None),
            b'g' | b'h' | b'j' => self.remembered(opcode)?,
            b']' => Object::List(Rc::default()),
            b'l' => {
                let items = self.since_mark()?;
                self.list_of(items)?
            }
            b')' => self.tuple(0)?,
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
            b't' => {
                let items = self.since_mark()?;
                self.tuple_of(items)?
            }
            b'N' => Object::None,
            0x88 | 0x89 => Object::Bool(opcode == 0x88),
            b'K' => Object::Int(self.number(1)?.cast_signed()),
            b'M' => Object::Int(self.number(2)?.cast_signed()),
            b'J' => Object::Int(i64::from((self.number(4)? as u32).cast_signed())),
            b'I' => self.int_line()?,
            b'L' => {
                let digits = self.text_line()?;
                Object::Int(self.decimal(digits.strip_suffix('L').unwrap_or(digits))?)
            }
            0x8a => self.long()?,
            b'C' | b'U' => Object::Bytes(Bytes::Plain(self.counted(1)?)),
            b'B' | b'T' => Object::Bytes(Bytes::Plain(self.counted(4)?)),
            0x8e | 0x96 => Object::Bytes(Bytes::Plain(self.counted(8)?)),
            b'S' => self.quoted_line()?,
            0x8c => self.text(1)?,
            b'X' => self.text(4)?,
            b'V' => Object::Text(Text::Escaped(self.line()?)),
            b'c' => {
                let (module, name) = (self.text_line()?, self.text_line()?);
                self.global(module, name)?
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Object::Text(Text::Utf8(name)), Object::Text(Text::Utf8(module))) => {
                    self.global(module, name)?
                }
                _ => return Err(self.wrong("a module and a name", "other values")),
            },
            b'R' => self.reduce()?,
            b'b' => return self.build().map(|()| None),
            b'a' | b'e' => return self.append(opcode == b'e').map(|()| None),
            b'}' | b'd' => {
                return Err(self.wrong(
                    "an array, a list or a tuple of arrays",
                    "a dictionary: pickle list(it.values())",
                ));
            }
            _ => return Err(self.wrong("an opcode of arrays, lists and tuples", format!("{opcode:#04x}"))),
        }))
    }

    fn protocol(&mut self) -> Result<(), ParseError> {
        match self.take(1)?[0] {
            0..=NEWEST => Ok(()),
            newer => Err(self.wrong("a protocol from 0 to 5", newer.to_string())),
        }
    }

    fn memoize(&mut self, opcode: u8) -> Result<(), ParseError> {
        let key = match opcode {
            b'p' => {
                let digits = self.text_line()?;
                self.decimal(digits)?
            }
            b'q' => self.number(1)? as u32,
            b'r' => self.number(4)? as u32,
            _ => self.memo.len() as u32,
        };
        let top = self.stack.last().cloned().ok_or_else(|| self.wrong("a value to remember", "none"))?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn remembered(&mut self, opcode: u8) -> Result<Object<'a>, ParseError> {
        let key = match opcode {
            b'g' => {
                let digits = self.text_line()?;
                self.decimal(digits)?
            }
            b'h' => self.number(1)? as u32,
            _ => self.number(4)? as u32,
        };
        self.memo.get(&key).cloned().ok_or_else(|| self.wrong("a remembered value", format!("none at {key}")))
    }

    /// Protocol 0 has True and False as numbers of two digits.
    fn int_line(&mut self) -> Result<Object<'a>, ParseError> {
        Ok(match self.text_line()? {
            "00" => Object::Bool(false),
            "01" => Object::Bool(true),
            digits => Object::Int(self.decimal(digits)?),
        })
    }

    fn quoted_line(&mut self) -> Result<Object<'a>, ParseError> {
        match self.line()? {
            [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => Ok(Object::Bytes(Bytes::Quoted(inner))),
            _ => Err(self.wrong("a string in quotes", "another line")),
        }
    }

    fn long(&mut self) -> Result<Object<'a>, ParseError> {
        let digits = self.counted(1)?;
        if digits.len() > 8 {
            return Err(self.wrong("a number below 2^63", "a longer one"));
        }
        let negative = digits.last().is_some_and(|&byte| byte >= 0x80);
        let mut bytes = [if negative { 0xff } else { 0 }; 8];
        bytes[..digits.len()].copy_from_slice(digits);
        Ok(Object::Int(i64::from_le_bytes(bytes)))
    }

    fn append(&mut self, all: bool) -> Result<(), ParseError> {
        let items = if all { self.since_mark()? } else { vec![self.pop()?] };
        self.check_items(&items)?;
        match self.stack.last() {
            Some(Object::List(list)) => {
                list.borrow_mut().extend(items);
                Ok(())
            }
            _ => Err(self.wrong("a list to append to", "none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use ndarray::{IxDyn, array};
    use proptest::prelude::*;

    use super::*;
    use crate::pickle::write;

    /// Files that NumPy wrote in every protocol, and a list that we wrote.
    static PICKLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/pickle");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|end| end == "pkl")).collect();
        files.sort();
        files.into_iter().map(|path| std::fs::read(path).unwrap()).chain([pickled().1]).collect()
    });

    fn pickled() -> (Vec<ArrayD<f32>>, Vec<u8>) {
        let arrays = vec![array![[1.0, 2.0, 3.0], [4.0, 5.0, -6.5]].into_dyn(), array![0.25].into_dyn()];
        let mut bytes = Vec::new();
        write::list(&mut bytes, &arrays).unwrap();
        (arrays, bytes)
    }

    fn got(bytes: &[u8]) -> String {
        arrays(bytes).unwrap_err().got
    }

    #[test]
    fn what_is_written_can_be_read() {
        let (expected, bytes) = pickled();
        assert_eq!(arrays(&bytes).unwrap(), expected);
    }

    #[test]
    fn other_pickles_are_refused_and_not_run() {
        // The result of `pickle.dumps` for an object that calls os.system("echo") when it is loaded.
        let evil = b"\x80\x03cposix\nsystem\nX\x04\x00\x00\x00echo\x85R.";
        let wrong = arrays(evil).unwrap_err();
        assert_eq!((wrong.expected, &*wrong.got), ("a call that makes a NumPy array", "posix.system"));
        assert_eq!(got(b"\x80\x03}."), "a dictionary: pickle list(it.values())");
        assert_eq!(got(b"\x80\x03K\x01."), "a number");
        assert_eq!(got(b"\x80\x03K\x01\x85."), "a number");
        assert_eq!(got(b"\x80\x03]K\x01a."), "one with a number in it");
        assert_eq!(got(b"\x80\x03]]a."), "one with a list in it");
        assert_eq!(got(b""), "the end of the file");
        assert_eq!(got(b"\x80\x06]."), "6");
        assert!(arrays(b"\x80\x04]\x94h\x00a.").is_err());
        let deep = [&b"\x80\x03)"[..], &[0x85; 1_000_000]].concat();
        assert!(arrays(&deep).is_err());
        // `open("/etc/passwd")`, through the one built-in module that is known.
        assert_eq!(got(b"c__builtin__\nopen\n(V/etc/passwd\ntR."), "__builtin__.open");
        assert!(arrays(b"c__builtin__\nbytes\n(I1000000000\ntR.").is_err());
    }

    #[test]
    fn a_second_pickle_in_the_file_is_not_left_out() {
        let (_, bytes) = pickled();
        let wrong = arrays(&[&bytes[..], &bytes].concat()).unwrap_err();
        assert_eq!(wrong.expected, "the end of the file after the pickle");
        assert_eq!((wrong.got, wrong.offset), (format!("{} more bytes", bytes.len()), bytes.len()));
    }

    #[test]
    fn an_array_may_be_in_a_list_twice_but_a_small_file_does_not_grow() {
        // One array in the memo, pushed again and again.
        let list = |numbers: usize, times: usize| {
            let mut one = Vec::new();
            write::list(&mut one, &[ArrayD::zeros(IxDyn(&[numbers]))]).unwrap();
            let array = &one[4..one.len() - 2];
            [b"\x80\x03](", array, b"q\x00", &b"h\x00".repeat(times - 1), b"e."].concat()
        };
        assert_eq!(arrays(&list(1000, 3)).unwrap(), vec![ArrayD::<f32>::zeros(IxDyn(&[1000])); 3]);
        let wrong = arrays(&list(100_000, 1000)).unwrap_err();
        assert_eq!(wrong.expected, "arrays of at most 4 times the bytes of the file");
        // Bytes in the memo, and many arrays made from them.
        let start = b"\x80\x03](cnumpy.core.numeric\n_frombuffer\nq\x00(B\x40\x0d\x03\x00";
        let first = [
            &start[..],
            &[0; 200_000],
            b"q\x01cnumpy\ndtype\nU\x02f4\x85Rq\x02J\x50\xc3\x00\x00\x85q\x03U\x01Cq\x04tR",
        ]
        .concat();
        let many =
            |times: usize| [&first[..], &b"h\x00(h\x01h\x02h\x03h\x04tR".repeat(times - 1), b"e."].concat();
        assert_eq!(arrays(&many(3)).unwrap(), vec![ArrayD::<f32>::zeros(IxDyn(&[50_000])); 3]);
        let wrong = arrays(&many(1000)).unwrap_err();
        assert_eq!(wrong.expected, "arrays of at most 4 times the bytes of the file");
    }

    #[test]
    fn many_opcodes_are_refused() {
        for opcode in [b')', b'(', b'N', b']'] {
            let wrong = arrays(&vec![opcode; 2 * MOST_OPCODES]).unwrap_err();
            assert_eq!(wrong.expected, "a pickle of fewer arrays");
        }
    }

    #[test]
    fn what_is_quoted_is_short() {
        let long = "x".repeat(1_000_000);
        for pickle in [
            format!("cos\n{long}\n."),
            format!("c{long}\nf\n."),
            format!("I{long}\n."),
            format!("g{long}\n."),
        ] {
            assert!(got(pickle.as_bytes()).len() < 200);
        }
        let dtype =
            [b"\x80\x03cnumpy\ndtype\nX\x40\x42\x0f\x00", long.as_bytes(), b"\x89\x88\x87R."].concat();
        assert_eq!(got(&dtype), "x".repeat(60));
        // A shape whose one length is a long text.
        let shape = [
            &b"cnumpy.core.numeric\n_frombuffer\n(C\x00cnumpy\ndtype\nU\x02f4\x85R(X\x40\x42\x0f\x00"[..],
            long.as_bytes(),
            b"tU\x01CtR.",
        ]
        .concat();
        let wrong = arrays(&shape).unwrap_err();
        assert_eq!((wrong.expected, &*wrong.got), ("a shape of whole numbers", "another"));
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error() {
        for bytes in &*PICKLES {
            for end in 0..bytes.len() {
                assert!(arrays(&bytes[..end]).is_err(), "cut at {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            noise in proptest::collection::vec(any::<u8>(), 0..60),
            which in any::<prop::sample::Index>(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let _ = arrays(&noise);
            let mut bytes = which.get(&PICKLES).clone();
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let _ = arrays(&bytes);
        }
    }
}
