//! Wrong arguments: each gives an error of one line that says what came. None panics, none ends the program because
//! memory is missing, and none takes long.

mod design;
mod layers;
mod looking;
mod own_layers;
mod passes;
mod sequences;
mod table;
