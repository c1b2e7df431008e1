//! Reads a pipe line by line.

use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

/// Longer lines are read in pieces of so many bytes.
const LINE_BYTES: usize = 8 * 1024;

/// What a game writes, line by line.
#[derive(Debug)]
pub(crate) struct LineReader {
    pipe: Receiver,
    read: Vec<u8>,
}

impl LineReader {
    pub(crate) fn new(pipe: Receiver) -> Self {
        Self { pipe, read: Vec::with_capacity(LINE_BYTES) }
    }

    /// The next line, or piece of a long one; nothing after the end. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.take() {
                return Some(line);
            }
            match self.pipe.read_buf(&mut self.read).await {
                Ok(0) | Err(_) if self.read.is_empty() => return None,
                Ok(0) | Err(_) => return Some(text(&std::mem::take(&mut self.read))),
                Ok(_) => {}
            }
        }
    }

    fn take(&mut self) -> Option<String> {
        let end = self.read.iter().take(LINE_BYTES).position(|byte| *byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (text(&self.read[..end]), end + 1),
            None if self.read.len() >= LINE_BYTES => (text(&self.read[..LINE_BYTES]), LINE_BYTES),
            None => return None,
        };
        self.read.drain(..rest);
        Some(line)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\r').to_owned()
}
