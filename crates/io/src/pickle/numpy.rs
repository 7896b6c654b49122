//! The functions that NumPy's pickles call, implemented here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::read::{Machine, ParseError, quoted};
use super::value::{Bytes, Global, Object};
use crate::numbers::{Dtype, size_of_shape};

impl<'a> Machine<'a> {
    /// The function or type of this name, if arrays need it.
    pub(super) fn global(&self, module: &str, name: &str) -> Result<Object<'a>, ParseError> {
        let unknown =
            || self.wrong("a call that makes a NumPy array", format!("{}.{}", quoted(module), quoted(name)));
        Global::of(module, name).map(Object::Global).ok_or_else(unknown)
    }

    /// The calls of NumPy's pickles.
    pub(super) fn reduce(&mut self) -> Result<Object<'a>, ParseError> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Object::Tuple(arguments), Object::Global(function)) = (arguments, function) else {
            return Err(self.wrong("a function and its arguments", "other values"));
        };
        match (function, arguments.as_slice()) {
            (Global::Reconstruct, [Object::Global(Global::Ndarray), _, _]) => {
                Ok(Object::Array(Rc::default()))
            }
            (Global::Dtype, [code, ..]) => {
                let code = code.word().ok_or_else(|| self.wrong("the text of a dtype", code.name()))?;
                let dtype = Dtype::parse(code)
                    .ok_or_else(|| self.wrong("a dtype of floats up to f8 or of integers", quoted(code)))?;
                Ok(Object::Dtype(Rc::new(Cell::new(dtype))))
            }
            (
                Global::FromBuffer,
                [Object::Bytes(data), Object::Dtype(dtype), Object::Tuple(shape), order],
            ) => {
                let fortran = match order.word() {
                    Some("C") => false,
                    Some("F") => true,
                    _ => return Err(self.wrong("the order C or F", "another")),
                };
                let array = self.array(*data, dtype.get(), shape, fortran)?;
                Ok(Object::Array(Rc::new(RefCell::new(Some(array)))))
            }
            (Global::Encode, [Object::Text(text), encoding]) if encoding.word() == Some("latin1") => {
                Ok(Object::Bytes(Bytes::Latin1(*text)))
            }
            (Global::NoBytes, []) => Ok(Object::Bytes(Bytes::Plain(&[]))),
            _ => Err(self.wrong("the arguments of a call that makes a NumPy array", "others")),
        }
    }

    /// Sets the state of a dtype or of an array.
    pub(super) fn build(&mut self) -> Result<(), ParseError> {
        let state = self.pop()?;
        let Object::Tuple(state) = state else { return Err(self.wrong("a state", state.name())) };
        match (self.stack.last().cloned(), state.as_slice()) {
            (Some(Object::Dtype(dtype)), [Object::Int(_), order, ..]) => {
                let big_endian = match order.word() {
                    Some("<" | "|") => false,
                    Some(">") => true,
                    _ => return Err(self.wrong("the order of bytes < or >", "another")),
                };
                dtype.set(dtype.get().ordered(big_endian));
                Ok(())
            }
            (
                Some(Object::Array(array)),
                [Object::Int(_), Object::Tuple(shape), Object::Dtype(dtype), fortran, Object::Bytes(data)],
            ) => {
                let fortran = fortran.truth().ok_or_else(|| self.wrong("True or False", fortran.name()))?;
                let made = self.array(*data, dtype.get(), shape, fortran)?;
                *array.borrow_mut() = Some(made);
                Ok(())
            }
            _ => Err(self.wrong("the state of a NumPy array", "another")),
        }
    }

    fn array(
        &mut self,
        data: Bytes<'a>,
        dtype: Dtype,
        shape: &[Object<'a>],
        fortran: bool,
    ) -> Result<ArrayD<f32>, ParseError> {
        let lengths = shape.iter().map(|length| match length {
            Object::Int(length) => usize::try_from(*length).ok(),
            _ => None,
        });
        let lengths: Option<Vec<usize>> = lengths.collect();
        let lengths = lengths.ok_or_else(|| self.wrong("a shape of whole numbers", "another"))?;
        let expected = size_of_shape(&lengths, dtype.bytes());
        let expected = expected.ok_or_else(|| self.wrong("a shape that fits in memory", "a larger one"))?;
        self.take_room(Some(expected / dtype.bytes()))?;
        let data = data.decode().map_err(|got| self.wrong("the bytes of an array", got))?;
        if data.len() != expected {
            let got = format!("{} bytes for a shape that needs {expected}", data.len());
            return Err(self.wrong("as many bytes as the shape needs", got));
        }
        let values =
            dtype.decode(&data).map_err(|got| self.wrong("numbers that can be converted to f32", got))?;
        ArrayD::from_shape_vec(IxDyn(&lengths).set_f(fortran), values)
            .map_err(|error| self.wrong("an array that can be", error.to_string()))
    }
}
