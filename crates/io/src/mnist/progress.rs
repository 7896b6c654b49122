//! How far a download is.

/// How far a download is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DownloadProgress<'a> {
    /// The file being fetched.
    pub file: &'a str,
    /// Bytes so far.
    pub received: u64,
    /// Bytes in all, where the server says.
    pub total: Option<u64>,
}
