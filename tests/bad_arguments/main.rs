//! Arguments that cannot be: each is an error of one line that says what came. None panics, none ends the program for want of memory, and
//! none takes long.

mod design;
mod layers;
mod looking;
mod own_layers;
mod passes;
mod table;
