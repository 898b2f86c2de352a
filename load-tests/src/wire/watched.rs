//! One connection as somebody sees it who watches the wire: the time from the
//! first byte of a request to the last one of its answer, nothing else in
//! between. One that is alone looks for the answer all the time, so that no
//! wake-up of its own blurs what it sees.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::reader::Reader;
use super::target::Target;

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    reader: Reader,
    buffer: Vec<u8>,
}

impl Watched {
    pub(crate) fn connect(target: &Target, looks_all_the_time: bool) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&target.address(), TIMEOUT).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nonblocking(looks_all_the_time)?;
        Ok(Self { stream, reader: Reader::default(), buffer: vec![0; 65_536] })
    }

    /// Sends a request; gives how long its answer took, and the answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> anyhow::Result<(Duration, u16, &[u8])> {
        self.reader.expect(true);
        let sent = Instant::now();
        ensure!(self.stream.write(request)? == request.len(), "a request did not go out in one piece");
        loop {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(read) => {
                    let took = sent.elapsed();
                    if let Some(response) = self.reader.feed(&self.buffer[..read])? {
                        return Ok((took, response.status, self.reader.body()));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && sent.elapsed() < TIMEOUT => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
