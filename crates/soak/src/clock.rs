//! The clock of the programs and of PostgreSQL, which jumps: libfaketime reads its distance from a file.

use std::{ffi::OsString, fs, path::PathBuf};

use crate::error::Result;

/// A clock at some distance from the machine's. The monotonic clock, on which deadlines are, stays.
#[derive(Debug)]
pub(crate) struct Clock {
    library: PathBuf,
    file: PathBuf,
    seconds: i64,
}

impl Clock {
    pub(crate) fn new(library: PathBuf, file: PathBuf) -> Result<Self> {
        let mut clock = Self { library, file, seconds: 0 };
        clock.jump(0)?;
        Ok(clock)
    }

    /// The variables by which a program has this clock. Nothing is cached, so that all see a jump at the same moment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }

    pub(crate) fn jump(&mut self, seconds: i64) -> Result {
        self.seconds += seconds;
        // A reader never sees half a file.
        let next = self.file.with_extension("next");
        fs::write(&next, format!("{:+}\n", self.seconds))?;
        Ok(fs::rename(next, &self.file)?)
    }
}
