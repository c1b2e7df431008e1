//! Reads the parts of an answer, and never beyond its end.

use crate::QueryError;

const CUT_OFF: QueryError = QueryError::Malformed("it ends too early");

/// Bytes of an answer that are not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], QueryError> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], QueryError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, QueryError> {
        self.array().map(|[byte]| byte)
    }

    /// Skips what is expected here.
    pub(crate) fn expect(&mut self, expected: &[u8], problem: &'static str) -> Result<(), QueryError> {
        self.0 = self.0.strip_prefix(expected).ok_or(QueryError::Malformed(problem))?;
        Ok(())
    }

    /// Reads a text that ends with a NUL.
    pub(crate) fn text(&mut self) -> Result<String, QueryError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(CUT_OFF)?;
        let text = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0 = &self.0[end + 1..];
        Ok(text)
    }
}
