//! Fetching a set once, into the user's cache folder.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use md5::{Digest, Md5};

use super::progress::DownloadProgress;
use crate::error::Error;
use crate::{atomic, download};

/// Largest compressed file that is accepted, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A gzipped file to download, and what its content must be.
#[derive(Debug, Clone, Copy)]
pub struct Remote {
    /// Name of the file, after the base address.
    pub name: &'static str,
    /// Bytes, uncompressed.
    pub size: u64,
    /// MD5 of the gzipped file. It detects damage; it does not protect against an attacker.
    pub md5: &'static str,
}

/// Downloads the files that are not in the folder yet. The size and checksum of each file are verified. A file is written under a
/// temporary name and renamed when it is complete.
///
/// # Errors
/// If the server cannot be reached, does not have a file, breaks off, or sends another content; or
/// the folder cannot be written to.
pub fn download_to(
    folder: &Path,
    base_url: &str,
    files: &[Remote],
    progress: &mut dyn FnMut(DownloadProgress<'_>),
) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
    for file in files {
        let path = folder.join(file.name);
        if !path.exists() {
            let url = format!("{}/{}", base_url.trim_end_matches('/'), file.name);
            fetch(&path, &url, file, progress)?;
        }
    }
    Ok(())
}

fn fetch(
    path: &Path,
    url: &str,
    file: &Remote,
    progress: &mut dyn FnMut(DownloadProgress<'_>),
) -> Result<(), Error> {
    let mut content = Vec::new();
    download::stream(url, LARGEST, &mut |bytes, total| {
        content.extend_from_slice(bytes);
        progress(DownloadProgress { file: file.name, received: content.len() as u64, total });
        Ok(())
    })?;
    verify(&content, file).map_err(|got| download::failed(url, got))?;
    atomic::write(path, |to| to.write_all(&content))
}

/// Checks the size of the uncompressed content first, so that the message tells a truncated file from a different one; then the checksum.
fn verify(gzipped: &[u8], file: &Remote) -> Result<(), String> {
    let mut content = MultiGzDecoder::new(gzipped).take(file.size + 1);
    let size = io::copy(&mut content, &mut io::sink()).map_err(|error| format!("damaged gzip: {error}"))?;
    if size != file.size {
        return Err(format!("{size} bytes of content where {} were expected", file.size));
    }
    let digest: String = Md5::digest(gzipped).iter().map(|byte| format!("{byte:02x}")).collect();
    if digest != file.md5 {
        return Err(format!("a file with MD5 {digest} where {} was expected", file.md5));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const CONTENT: &[u8] = b"seventy thousand garments";

    fn file() -> Remote {
        let digest: String = Md5::digest(gzipped(CONTENT)).iter().map(|byte| format!("{byte:02x}")).collect();
        Remote { name: "garments.gz", size: CONTENT.len() as u64, md5: digest.leak() }
    }

    fn gzipped(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// A server that gives every request the same answer; its address and a count of requests.
    fn server(answer: Vec<u8>) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/data/", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream: TcpStream = stream.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    line.clear();
                }
                let _ = stream.write_all(&answer);
            }
        });
        (url, requests)
    }

    fn answer(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    fn fetch_from(answer: Vec<u8>, folder: &Path) -> (Result<(), Error>, Arc<AtomicUsize>, Vec<u64>) {
        let (url, requests) = server(answer);
        let mut seen = Vec::new();
        let result = download_to(folder, &url, &[file()], &mut |progress| seen.push(progress.received));
        (result, requests, seen)
    }

    fn failure(bytes: Vec<u8>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let (result, ..) = fetch_from(bytes, folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Download { unreachable: false, .. }), "{error}");
        error.to_string()
    }

    #[test]
    fn a_good_file_is_kept_and_not_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let body = gzipped(CONTENT);
        let (url, requests) = server(answer("200 OK", body.len(), &body));
        for _ in 0..2 {
            download_to(folder.path(), &url, &[file()], &mut |_| ()).unwrap();
        }
        assert_eq!(requests.load(Ordering::SeqCst), 1);
        assert_eq!(fs::read(folder.path().join("garments.gz")).unwrap(), body);
    }

    #[test]
    fn progress_reaches_the_whole_size() {
        let folder = tempfile::tempdir().unwrap();
        let body = gzipped(CONTENT);
        let (result, _, seen) = fetch_from(answer("200 OK", body.len(), &body), folder.path());
        result.unwrap();
        assert_eq!(seen.last(), Some(&(body.len() as u64)));
    }

    #[test]
    fn what_is_not_there_is_named_with_its_address() {
        let error = failure(answer("404 Not Found", 0, b""));
        assert!(error.starts_with("http://127.0.0.1:"), "{error}");
        assert!(error.contains("/data/garments.gz: expected the file, got http status: 404"), "{error}");
    }

    #[test]
    fn a_file_that_breaks_off_is_not_kept() {
        let body = gzipped(CONTENT);
        let error = failure(answer("200 OK", body.len(), &body[..body.len() / 2]));
        assert!(error.contains("bytes, then:"), "{error}");
        // Also where the server does not say how long it should be.
        let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        let error = failure([head, &body[..body.len() / 2]].concat());
        assert!(error.contains("damaged gzip"), "{error}");
    }

    #[test]
    fn another_content_is_not_kept() {
        let other = gzipped(b"seventy thousand buttons!");
        assert!(failure(answer("200 OK", other.len(), &other)).contains("a file with MD5"));
        let shorter = gzipped(b"a garment");
        assert!(failure(answer("200 OK", shorter.len(), &shorter)).contains("9 bytes of content where 25"));
        let page = b"<html>log in first</html>";
        assert!(failure(answer("200 OK", page.len(), page)).contains("damaged gzip"));
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error =
            download_to(folder.path(), &format!("http://{closed}"), &[file()], &mut |_| ()).unwrap_err();
        assert!(matches!(error, Error::Download { unreachable: true, .. }), "{error}");
    }
}
