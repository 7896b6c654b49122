//! A machine for the few pickle opcodes of which lists of NumPy arrays are made.
//!
//! It knows the four functions that NumPy's pickles call, by name, and does what they would do;
//! it calls nothing. Values are shared, not copied, so a small file cannot grow without bound.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use ndarray::{ArrayD, IxDyn, ShapeBuilder};

/// Where and how a file leaves the subset.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) offset: usize,
    pub(super) expected: &'static str,
    pub(super) got: String,
}

#[derive(Clone, Debug)]
enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Tuple(Rc<Vec<Value<'a>>>),
    List(Rc<RefCell<Vec<Value<'a>>>>),
    Global(Rc<str>),
    Dtype(Rc<Dtype>),
    Array(Rc<RefCell<Option<ArrayD<f32>>>>),
}

#[derive(Debug)]
struct Dtype {
    bytes: usize,
    big_endian: Cell<bool>,
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
}

/// The arrays of a pickled list.
pub(super) fn list(bytes: &[u8]) -> Result<Vec<ArrayD<f32>>, Wrong> {
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    let Value::List(items) = machine.run()? else {
        return Err(machine.wrong("a list of arrays", "something else"));
    };
    let items = items.take();
    let arrays = items.into_iter().map(|item| match item {
        Value::Array(array) => {
            array.borrow().clone().ok_or_else(|| machine.wrong("an array", "one without data"))
        }
        _ => Err(machine.wrong("a list of arrays", "a list of something else")),
    });
    arrays.collect()
}

impl<'a> Machine<'a> {
    fn wrong(&self, expected: &'static str, got: impl Into<String>) -> Wrong {
        Wrong { offset: self.at, expected, got: got.into() }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Wrong> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.wrong("more bytes", "the end of the file"))?;
        self.at += count;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u64, Wrong> {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(self.take(bytes)?);
        Ok(u64::from_le_bytes(number))
    }

    /// Bytes behind a length of so many bytes.
    fn counted(&mut self, length_bytes: usize) -> Result<&'a [u8], Wrong> {
        let length = self.number(length_bytes)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn text(&mut self, bytes: &'a [u8]) -> Result<Value<'a>, Wrong> {
        std::str::from_utf8(bytes).map(Value::Text).map_err(|_| self.wrong("UTF-8 text", "other bytes"))
    }

    fn line(&mut self) -> Result<&'a str, Wrong> {
        let length = self.bytes[self.at..].iter().position(|&byte| byte == b'\n');
        let length = length.ok_or_else(|| self.wrong("a line", "the end of the file"))?;
        let line = self.take(length + 1)?;
        std::str::from_utf8(&line[..length]).map_err(|_| self.wrong("UTF-8 text", "other bytes"))
    }

    fn pop(&mut self) -> Result<Value<'a>, Wrong> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.wrong("a value on the stack", "none"));
        }
        Ok(self.stack.pop().expect("not empty"))
    }

    fn since_mark(&mut self) -> Result<Vec<Value<'a>>, Wrong> {
        let mark = self.marks.pop().ok_or_else(|| self.wrong("a mark", "none"))?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<Value<'a>, Wrong> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.tuple_of(items)
    }

    /// Arrays need a tuple in a tuple, and no more: deeper ones would be freed by a recursion as
    /// deep, and lists inside could hold themselves.
    fn tuple_of(&self, items: Vec<Value<'a>>) -> Result<Value<'a>, Wrong> {
        let deep = |item: &Value<'a>| match item {
            Value::Tuple(inner) => inner.iter().any(|item| matches!(item, Value::Tuple(_))),
            Value::List(_) => true,
            _ => false,
        };
        if items.iter().any(deep) {
            return Err(self.wrong("a tuple as arrays have them", "one with a list or two tuples deep in it"));
        }
        Ok(Value::Tuple(Rc::new(items)))
    }

    fn run(&mut self) -> Result<Value<'a>, Wrong> {
        loop {
            let opcode = self.take(1)?[0];
            if opcode == b'.' {
                return self.pop();
            }
            if let Some(value) = self.step(opcode)? {
                self.stack.push(value);
            }
        }
    }

    /// Does one opcode; returns what it pushes.
    fn step(&mut self, opcode: u8) -> Result<Option<Value<'a>>, Wrong> {
        Ok(Some(match opcode {
            0x80 => return self.take(1).map(|_| None), // PROTO
            0x95 => return self.take(8).map(|_| None), // FRAME
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(None);
            }
            b'q' | b'r' | 0x94 => return self.memoize(opcode).map(|()| None),
            b'h' | b'j' => {
                let key = self.number(if opcode == b'h' { 1 } else { 4 })? as u32;
                self.memo
                    .get(&key)
                    .cloned()
                    .ok_or_else(|| self.wrong("a remembered value", format!("none at {key}")))?
            }
            b']' => Value::List(Rc::default()),
            b')' => self.tuple(0)?,
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
            b't' => {
                let items = self.since_mark()?;
                self.tuple_of(items)?
            }
            b'N' => Value::None,
            0x88 | 0x89 => Value::Bool(opcode == 0x88),
            b'K' => Value::Int(self.number(1)?.cast_signed()),
            b'M' => Value::Int(self.number(2)?.cast_signed()),
            b'J' => Value::Int(i64::from((self.number(4)? as u32).cast_signed())),
            0x8a => self.long()?,
            b'C' => Value::Bytes(self.counted(1)?),
            b'B' => Value::Bytes(self.counted(4)?),
            0x8e | 0x96 => Value::Bytes(self.counted(8)?),
            0x8c => self.counted(1).and_then(|bytes| self.text(bytes))?,
            b'X' => self.counted(4).and_then(|bytes| self.text(bytes))?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Value::Global(format!("{module}.{name}").into())
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => Value::Global(format!("{module}.{name}").into()),
                _ => return Err(self.wrong("a module and a name", "other values")),
            },
            b'R' => self.reduce()?,
            b'b' => return self.build().map(|()| None),
            b'a' | b'e' => return self.append(opcode == b'e').map(|()| None),
            _ => return Err(self.wrong("an opcode of a list of arrays", format!("{opcode:#04x}"))),
        }))
    }

    fn memoize(&mut self, opcode: u8) -> Result<(), Wrong> {
        let key = match opcode {
            b'q' => self.number(1)? as u32,
            b'r' => self.number(4)? as u32,
            _ => self.memo.len() as u32,
        };
        let top = self.stack.last().cloned().ok_or_else(|| self.wrong("a value to remember", "none"))?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn long(&mut self) -> Result<Value<'a>, Wrong> {
        let digits = self.counted(1)?;
        if digits.len() > 8 {
            return Err(self.wrong("a number below 2^63", "a longer one"));
        }
        let negative = digits.last().is_some_and(|&byte| byte >= 0x80);
        let mut bytes = [if negative { 0xff } else { 0 }; 8];
        bytes[..digits.len()].copy_from_slice(digits);
        Ok(Value::Int(i64::from_le_bytes(bytes)))
    }

    fn append(&mut self, all: bool) -> Result<(), Wrong> {
        let items = if all { self.since_mark()? } else { vec![self.pop()?] };
        match self.stack.last() {
            Some(Value::List(_)) if !items.iter().all(|item| matches!(item, Value::Array(_))) => {
                Err(self.wrong("arrays to append", "another value"))
            }
            Some(Value::List(list)) => {
                list.borrow_mut().extend(items);
                Ok(())
            }
            _ => Err(self.wrong("a list to append to", "none")),
        }
    }

    /// The calls of NumPy's pickles.
    fn reduce(&mut self) -> Result<Value<'a>, Wrong> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments), Value::Global(function)) = (arguments, function) else {
            return Err(self.wrong("a function and its arguments", "other values"));
        };
        match (&*function, arguments.as_slice()) {
            ("numpy.core.multiarray._reconstruct" | "numpy._core.multiarray._reconstruct", [_, _, _]) => {
                Ok(Value::Array(Rc::default()))
            }
            ("numpy.dtype", [Value::Text(code), ..]) => {
                let bytes = match *code {
                    "f4" => 4,
                    "f8" => 8,
                    other => return Err(self.wrong("dtype f4 or f8", other)),
                };
                Ok(Value::Dtype(Rc::new(Dtype { bytes, big_endian: Cell::new(false) })))
            }
            (
                "numpy.core.numeric._frombuffer" | "numpy._core.numeric._frombuffer",
                [Value::Bytes(data), Value::Dtype(dtype), Value::Tuple(shape), Value::Text(order)],
            ) => {
                let array = self.array(data, dtype, shape, *order == "F")?;
                Ok(Value::Array(Rc::new(RefCell::new(Some(array)))))
            }
            _ => Err(self.wrong("a call that makes a NumPy array", &*function)),
        }
    }

    /// Sets the state of a dtype or of an array.
    fn build(&mut self) -> Result<(), Wrong> {
        let state = self.pop()?;
        let Value::Tuple(state) = state else { return Err(self.wrong("a state", "another value")) };
        match (self.stack.last().cloned(), state.as_slice()) {
            (Some(Value::Dtype(dtype)), [Value::Int(_), Value::Text(order), ..]) => {
                dtype.big_endian.set(*order == ">");
                Ok(())
            }
            (
                Some(Value::Array(array)),
                [
                    Value::Int(_),
                    Value::Tuple(shape),
                    Value::Dtype(dtype),
                    Value::Bool(fortran),
                    Value::Bytes(data),
                ],
            ) => {
                let made = self.array(data, dtype, shape, *fortran)?;
                *array.borrow_mut() = Some(made);
                Ok(())
            }
            _ => Err(self.wrong("the state of a NumPy array", "another")),
        }
    }

    fn array(
        &self,
        data: &[u8],
        dtype: &Dtype,
        shape: &[Value<'a>],
        fortran: bool,
    ) -> Result<ArrayD<f32>, Wrong> {
        let lengths = shape.iter().map(|length| match length {
            Value::Int(length) => usize::try_from(*length).ok(),
            _ => None,
        });
        let lengths: Option<Vec<usize>> = lengths.collect();
        let lengths = lengths.ok_or_else(|| self.wrong("a shape", format!("{shape:?}")))?;
        let elements = lengths.iter().try_fold(1_usize, |product, &length| product.checked_mul(length));
        if elements.and_then(|elements| elements.checked_mul(dtype.bytes)) != Some(data.len()) {
            let got = format!("{} bytes for {lengths:?}", data.len());
            return Err(self.wrong("as many bytes as the shape needs", got));
        }
        let values: Vec<f32> = match (dtype.bytes, dtype.big_endian.get()) {
            (4, false) => each(data, f32::from_le_bytes).collect(),
            (4, true) => each(data, f32::from_be_bytes).collect(),
            (_, false) => each(data, f64::from_le_bytes).map(|value| value as f32).collect(),
            (_, true) => each(data, f64::from_be_bytes).map(|value| value as f32).collect(),
        };
        ArrayD::from_shape_vec(IxDyn(&lengths).set_f(fortran), values)
            .map_err(|error| self.wrong("an array that can be", error.to_string()))
    }
}

fn each<const N: usize, T>(data: &[u8], from: impl Fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    data.chunks_exact(N).map(move |bytes| from(bytes.try_into().expect("chunks of N")))
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;
    use crate::pickle::write;

    fn pickled() -> (Vec<ArrayD<f32>>, Vec<u8>) {
        let arrays = vec![array![[1.0, 2.0, 3.0], [4.0, 5.0, -6.5]].into_dyn(), array![0.25].into_dyn()];
        let mut bytes = Vec::new();
        write::list(&mut bytes, &arrays).unwrap();
        (arrays, bytes)
    }

    #[test]
    fn what_is_written_can_be_read() {
        let (arrays, bytes) = pickled();
        assert_eq!(list(&bytes).unwrap(), arrays);
    }

    #[test]
    fn other_pickles_are_refused_and_not_run() {
        // What `pickle.dumps` makes of an object whose loading would call os.system("echo").
        let evil = b"\x80\x03cposix\nsystem\nX\x04\x00\x00\x00echo\x85R.";
        let wrong = list(evil).unwrap_err();
        assert_eq!((wrong.expected, &*wrong.got), ("a call that makes a NumPy array", "posix.system"));
        assert!(list(b"\x80\x03}.").is_err());
        assert!(list(b"\x80\x03K\x01.").is_err());
        assert!(list(b"").is_err());
        assert!(list(b"\x80\x04]\x94h\x00a.").is_err());
        let deep = [&b"\x80\x03)"[..], &[0x85; 1_000_000]].concat();
        assert!(list(&deep).is_err());
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error() {
        let (_, bytes) = pickled();
        for end in 0..bytes.len() {
            assert!(list(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            noise in proptest::collection::vec(any::<u8>(), 0..60),
            at in 0_usize..250,
        ) {
            let _ = list(&noise);
            let (_, mut bytes) = pickled();
            for (byte, noise) in bytes.iter_mut().skip(at).zip(&noise) {
                *byte = *noise;
            }
            let _ = list(&bytes);
        }
    }
}
