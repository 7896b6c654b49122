//! The progress of a download.

/// The progress of a download.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DownloadProgress<'a> {
    /// The file being fetched.
    pub file: &'a str,
    /// Bytes received.
    pub received: u64,
    /// All bytes, if the server says how many.
    pub total: Option<u64>,
}
