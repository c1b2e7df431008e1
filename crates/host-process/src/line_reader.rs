//! Reads the FIFO of commands line by line.

use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

/// Maximum length of a line, in bytes. Longer ones are read in pieces.
const LINE_BYTES: usize = 8 * 1024;

/// Reader of a pipe, line by line.
#[derive(Debug)]
pub(crate) struct LineReader {
    pipe: Receiver,
    read: Vec<u8>,
}

impl LineReader {
    pub(crate) fn new(pipe: Receiver) -> Self {
        Self { pipe, read: Vec::with_capacity(LINE_BYTES) }
    }

    /// Reads the next line, or a piece of a long one; `None` after the end. Dropping the future loses nothing.
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn long_lines_come_in_pieces() {
        let (mut sender, receiver) = tokio::net::unix::pipe::pipe().expect("a pipe");
        let mut lines = LineReader::new(receiver);
        let mut sent = vec![b'x'; LINE_BYTES + 3];
        sent.extend_from_slice(b"\r\n\xff\nrest");
        sender.write_all(&sent).await.expect("room in the pipe");
        drop(sender);
        let mut got = Vec::new();
        while let Some(line) = lines.next().await {
            got.push(line);
        }
        assert_eq!(got, ["x".repeat(LINE_BYTES), "xxx".to_owned(), "\u{fffd}".to_owned(), "rest".to_owned()]);
    }
}
