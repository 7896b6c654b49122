//! Downloading a file.

use std::io::{self, Read};
use std::time::Duration;

use crate::error::Error;

/// Why an `https://` address cannot be read with the feature `download-http` alone.
const NO_TLS: &str = "a program that reads http:// addresses only: build it with the feature `download`";

/// The error of a download that did not give the file.
pub(crate) fn failed(url: &str, got: impl ToString) -> Error {
    Error::Download { url: url.to_owned(), got: got.to_string(), unreachable: false }
}

/// Called with each block of a file, and the size of the file if the server reports it.
pub(crate) type Take<'a> = dyn FnMut(&[u8], Option<u64>) -> io::Result<()> + 'a;

/// Downloads the file at an address and passes on each block as it arrives.
pub(crate) fn stream(url: &str, largest: u64, each: &mut Take<'_>) -> Result<(), Error> {
    if cfg!(not(feature = "download")) && url.starts_with("https:") {
        return Err(failed(url, NO_TLS));
    }
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .build();
    let mut response = ureq::Agent::new_with_config(config).get(url).call().map_err(|error| {
        let unreachable = matches!(
            error,
            ureq::Error::HostNotFound
                | ureq::Error::ConnectionFailed
                | ureq::Error::Timeout(_)
                | ureq::Error::Io(_)
        );
        Error::Download { url: url.to_owned(), got: error.to_string(), unreachable }
    })?;
    let total = response.body().content_length();
    let mut body = response.body_mut().with_config().limit(largest).reader();
    let (mut block, mut received) = ([0; 64 * 1024], 0_u64);
    loop {
        let broken = |error: io::Error| failed(url, format!("{received} bytes, then: {error}"));
        let count = body.read(&mut block).map_err(broken)?;
        if count == 0 {
            return Ok(());
        }
        each(&block[..count], total).map_err(broken)?;
        received += count as u64;
    }
}

#[cfg(all(test, not(feature = "download")))]
mod tests {
    use super::*;

    #[test]
    fn an_https_address_without_tls_names_the_feature() {
        let error = stream("https://127.0.0.1:9/weights", 1, &mut |_, _| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Download { unreachable: false, .. }), "{error}");
        assert!(error.to_string().ends_with("build it with the feature `download`"), "{error}");
    }
}
