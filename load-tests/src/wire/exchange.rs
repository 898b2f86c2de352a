//! One blocking request on its own connection: tokens, health and the probe
//! before a run. Never used while something is measured.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};

use super::reader::Reader;
use super::target::Target;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a whole rendered request; gives status and body.
pub(crate) fn post(target: &Target, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&target.address(), TIMEOUT).context("cannot connect")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let mut reader = Reader::default();
    reader.expect(true);
    let mut buffer = vec![0; 65_536];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            bail!("the server closed the connection before it answered");
        }
        if let Some(response) = reader.feed(&buffer[..read])? {
            return Ok((response.status, reader.body().to_vec()));
        }
    }
}

/// Status and body of a GET.
pub(crate) fn get(target: &Target, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    post(target, format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", target.authority()).as_bytes())
}

/// Status of a GET.
pub(crate) fn get_status(target: &Target, path: &str) -> anyhow::Result<u16> {
    Ok(get(target, path)?.0)
}
