//! How far a download is.

/// Progress of a download.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Bytes received.
    pub received: u64,
    /// Size of the file in bytes, if the server reports it.
    pub total: Option<u64>,
}
