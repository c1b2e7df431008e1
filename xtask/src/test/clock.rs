//! A shifted clock for a run of the tests, by libfaketime: no result may depend on the date, the hour or the zone.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::provide;
use crate::failure::{Failure, Result};
use crate::state::{State, checkout};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The moment at which a run of the tests begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Days from now, `+400d`.
    Later(i64),
    /// Noon of a day in UTC, `2028-02-29`.
    On(Date),
    /// One hour before the next change of the machine's own zone (`TZ`, else /etc/localtime), `zone-change`.
    BeforeZoneChange,
}

impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "zone-change" {
            return Ok(Self::BeforeZoneChange);
        }
        let days = text.strip_prefix('+').and_then(|text| text.strip_suffix('d'));
        let later = days.and_then(|days| days.parse::<u16>().ok()).map(|days| Self::Later(days.into()));
        later
            .or_else(|| text.parse().ok().map(Self::On))
            .ok_or_else(|| "a clock is days from now as in +400d, a day as in 2028-02-29, or zone-change".to_owned())
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(days) => write!(f, "+{days}d"),
            Self::On(date) => date.fmt(f),
            Self::BeforeZoneChange => f.write_str("zone-change"),
        }
    }
}

impl Clock {
    /// Returns how far the clock is moved.
    fn shift(self, now: Timestamp, zone: &TimeZone) -> Result<SignedDuration> {
        let moment = match self {
            Self::Later(days) => return Ok(HOUR * 24 * i32::try_from(days).unwrap_or(i32::MAX)),
            Self::On(date) => date.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).map(|at| at.timestamp()),
            Self::BeforeZoneChange => match zone.following(now + HOUR).next() {
                Some(change) => Ok(change.timestamp() - HOUR),
                None => {
                    return Err(Failure::new(
                        "the machine's zone never changes: name one that does, as in TZ=Europe/Berlin",
                    ));
                }
            },
        };
        moment.map(|moment| moment.duration_since(now)).map_err(|error| Failure::new(error.to_string()))
    }

    /// Returns the variables that put a program, and its children, on this clock. The monotonic clock stays: deadlines are on it.
    pub(super) fn environment(self) -> Result<Vec<(&'static str, OsString)>> {
        let shift = self.shift(Timestamp::now(), &TimeZone::system())?;
        Ok(vec![
            ("LD_PRELOAD", libraries()?),
            ("FAKETIME", format!("{:+}", shift.as_secs()).into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ])
    }
}

/// The libraries that move a program's clock, as LD_PRELOAD names them.
pub(crate) fn libraries() -> Result<OsString> {
    if cfg!(target_feature = "crt-static") {
        return Err(Failure::new("static programs load no library that moves their clock: build without +crt-static"));
    }
    let mut libraries = direct_epoll()?.into_os_string();
    libraries.push(":");
    libraries.push(library()?);
    Ok(libraries)
}

/// Compiles the library that lets timeouts of PostgreSQL come to an end; epoll.rs says why.
fn direct_epoll() -> Result<PathBuf> {
    // PostgreSQL does not run as root, and may read the library there.
    let built = State::locate()?.dir().join("libepoll.so");
    let mut compiler = Command::new("rustc");
    compiler.args([
        "--edition=2024",
        "--crate-type=cdylib",
        "--crate-name=epoll",
        "-Copt-level=2",
        "-Cpanic=abort",
        // glibc then initialises it before the libraries that were loaded with it.
        "-Clink-arg=-Wl,-z,initfirst",
        "-o",
    ]);
    let status = compiler.arg(&built).arg(checkout().join("xtask/src/test/epoll.rs")).status()?;
    if status.success() { Ok(built) } else { Err(Failure::Status(status)) }
}

/// libfaketime, as the dynamic linker is told of it; installed where it is missing.
fn library() -> Result<OsString> {
    provide(&["faketime"])?;
    // The wrapper knows where its library is; LD_PRELOAD alone reaches children that the wrapper does not start.
    let output = Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output()?;
    let library = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if library.is_empty() || !output.status.success() {
        return Err(Failure::new("faketime does not say where its library is: install Debian's package faketime"));
    }
    Ok(library.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_days_dates_or_a_zone_change() {
        let now: Timestamp = "2026-01-31T10:00:00Z".parse().expect("an instant");
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        let at = |clock: &str| {
            clock.parse::<Clock>().map(|clock| (now + clock.shift(now, &zone).expect("a shift")).to_string())
        };
        assert_eq!(at("+1d").as_deref(), Ok("2026-02-01T10:00:00Z"));
        assert_eq!(at("2028-02-29").as_deref(), Ok("2028-02-29T12:00:00Z"));
        assert_eq!(at("2020-02-29").as_deref(), Ok("2020-02-29T12:00:00Z"));
        // Berlin's clocks go forward at 01:00 UTC.
        assert_eq!(at("zone-change").as_deref(), Ok("2026-03-29T00:00:00Z"));
        for wrong in ["", "+d", "1d", "+1", "+-1d", "2027-02-29", "tomorrow"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        assert!(Clock::BeforeZoneChange.shift(now, &TimeZone::UTC).is_err());
    }
}
