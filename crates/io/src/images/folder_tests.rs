//! Folders that are read when their pictures are wanted.
