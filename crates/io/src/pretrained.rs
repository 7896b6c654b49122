//! Weights that torchvision publishes, trained on ImageNet.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::{atomic, cache, download};

/// The environment variable with another base address for the files.
pub const URL_VARIABLE: &str = "BACKSTITCH_PRETRAINED_URL";

/// torchvision's base address.
const OFFICIAL_URL: &str = "https://download.pytorch.org/models";

/// A published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its name, after the base address.
    pub name: &'static str,
    /// Bytes.
    pub size: u64,
    /// The first digits of its SHA-256, which torchvision puts into the name.
    pub sha256: &'static str,
}

/// VGG16, for [`backstitch_core::zoo::vgg16`] of 1,000 classes.
pub const VGG16: Published = Published { name: "vgg16-397923af.pth", size: 553_433_881, sha256: "397923af" };

/// ResNet-18, for [`backstitch_core::zoo::resnet18`] of 1,000 classes.
pub const RESNET18: Published =
    Published { name: "resnet18-f37072fd.pth", size: 46_830_571, sha256: "f37072fd" };

/// The file in the user's cache, downloaded if it is not there yet; `progress` is called with the number of bytes received.
///
/// # Errors
/// If there is no home folder, the server cannot be reached ([`Error::Download`] says so), or it sends another content.
pub fn into_cache(file: &Published, progress: &mut dyn FnMut(u64)) -> Result<PathBuf, Error> {
    let url = std::env::var(URL_VARIABLE).unwrap_or_else(|_| OFFICIAL_URL.to_owned());
    into(&cache::folder("pretrained")?, &url, file, progress)
}

/// The file in a folder, downloaded from a base address if it is not there yet. It is written under a temporary name and renamed when its size
/// and checksum are verified.
///
/// # Errors
/// If the server cannot be reached, does not have the file, closes the connection too early, or sends other content; or if the folder cannot be
/// written to.
pub fn into(
    folder: impl AsRef<Path>,
    base_url: &str,
    file: &Published,
    progress: &mut dyn FnMut(u64),
) -> Result<PathBuf, Error> {
    let folder = folder.as_ref();
    fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
    let path = folder.join(file.name);
    if path.exists() {
        return Ok(path);
    }
    let url = format!("{}/{}", base_url.trim_end_matches('/'), file.name);
    let mut fault = None;
    let written = atomic::write(&path, |to| {
        let (mut hash, mut received) = (Sha256::new(), 0);
        let result = download::stream(&url, file.size + 1, &mut |bytes, _| {
            hash.update(bytes);
            received += bytes.len() as u64;
            progress(received);
            to.write_all(bytes)
        });
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let result = result.and_then(|()| match () {
            () if received != file.size => {
                Err(download::failed(&url, format!("{received} bytes where {} were expected", file.size)))
            }
            () if !digest.starts_with(file.sha256) => Err(download::failed(
                &url,
                format!("content with SHA-256 {digest} where {}... was expected", file.sha256),
            )),
            () => Ok(()),
        });
        // Whatever is wrong, the file does not get its name.
        result.map_err(|error| std::io::Error::other(fault.insert(error).to_string()))
    });
    match (written, fault) {
        (_, Some(error)) => Err(error),
        (written, None) => written.map(|()| path),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const CONTENT: &[u8] = b"weights of a network";
    const FILE: Published = Published { name: "net.pth", size: 20, sha256: "" };

    /// A server that gives every request this body; its address.
    fn server(body: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/models", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    line.clear();
                }
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(&[head.as_bytes(), body].concat());
            }
        });
        url
    }

    fn fetch(body: &'static [u8], sha256: &'static str) -> (Result<PathBuf, Error>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = Published { sha256, ..FILE };
        (into(folder.path(), &server(body), &file, &mut |_| ()), folder)
    }

    fn digest() -> &'static str {
        let digest: String = Sha256::digest(CONTENT).iter().map(|byte| format!("{byte:02x}")).collect();
        digest[..8].to_owned().leak()
    }

    #[test]
    fn a_right_file_is_kept() {
        let (path, _folder) = fetch(CONTENT, digest());
        assert_eq!(fs::read(path.unwrap()).unwrap(), CONTENT);
    }

    #[test]
    fn a_wrong_file_is_not() {
        for (body, sha256, what) in [
            (CONTENT, "00000000", "content with SHA-256"),
            (&CONTENT[1..], digest(), "19 bytes where 20 were expected"),
            (b"weights of a network!", digest(), "bytes"),
        ] {
            let (result, folder) = fetch(body, sha256);
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Download { unreachable: false, .. }), "{error}");
            assert!(error.to_string().contains(what), "{error}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let error = into(folder.path(), &format!("http://{closed}"), &FILE, &mut |_| ()).unwrap_err();
        assert!(matches!(error, Error::Download { unreachable: true, .. }), "{error}");
    }
}
