//! Which program wrote a safetensors file.

use super::file::Header;

/// The key of the classes in the metadata of a file.
pub(super) const CLASSES_KEY: &str = "classes";
/// The keys and values that say who wrote the file. Only this library writes the second and third.
pub(super) const FORMAT_KEY: &str = "format";
pub(super) const OURS: [(&str, &str); 3] =
    [(FORMAT_KEY, "backstitch"), ("layout", "channels last"), ("version", "1")];

/// Who wrote a file, as far as the file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrittenBy {
    Ours,
    PyTorch,
    Unknown,
}

/// Finds out who wrote a file, from its metadata, and from names that only one of the two writes.
pub(crate) fn origin(header: &Header) -> WrittenBy {
    match header.texts.get(FORMAT_KEY).map(|format| &**format) {
        Some("backstitch") => WrittenBy::Ours,
        Some("pt") => WrittenBy::PyTorch,
        _ if header.texts.contains_key(CLASSES_KEY) => WrittenBy::Ours,
        _ if header.tensors.keys().any(|name| name.ends_with("num_batches_tracked")) => WrittenBy::PyTorch,
        _ => WrittenBy::Unknown,
    }
}
