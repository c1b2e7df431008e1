//! Time zones: the machine's data, which its distribution updates, and a copy in the program for zones that the machine
//! lacks. Only this module reads either.
//!
//! Zones change several times a year, mostly at short notice. Results therefore carry the version of the data that they
//! were computed from, and a process looks for newer data while it runs ([`refresh`]).

mod data;
#[cfg(test)]
mod tests;
mod version;

use std::{
    fmt,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use chrono::{DateTime, FixedOffset, Offset, TimeZone as _, Utc};
use jiff::tz::TimeZone;

pub use self::{data::ZoneData, version::ZoneVersion};
use crate::Timestamp;

/// The data in use.
static CURRENT: LazyLock<RwLock<Arc<ZoneData>>> = LazyLock::new(|| RwLock::new(Arc::new(ZoneData::of_machine())));

/// Returns the data in use: the folder `TZDIR`, else the machine's, else the program's copy.
pub fn current() -> Arc<ZoneData> {
    CURRENT.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Looks for newer data on disk and uses it from now on.
///
/// Returns the data if its version changed.
pub fn refresh() -> Option<Arc<ZoneData>> {
    let found = Arc::new(ZoneData::of_machine());
    if found.version() == current().version() {
        return None;
    }
    *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = found.clone();
    Some(found)
}

/// A time zone, with the version of the data that describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    rules: TimeZone,
    version: ZoneVersion,
}

impl Zone {
    /// Returns the zone of this IANA name in the data in use; letter case does not matter. Refuses abbreviations of a
    /// season's time (`CEST`), rules in the form of POSIX (`CET-1CEST`), and the machine's own zone.
    pub fn named(name: &str) -> Option<Self> {
        current().zone(name)
    }

    /// Returns its IANA name, as the data spells it.
    pub fn name(&self) -> &str {
        self.rules.iana_name().unwrap_or("UTC")
    }

    /// Returns the version of the data that describes it.
    pub fn version(&self) -> &ZoneVersion {
        &self.version
    }

    /// Returns the time that its clocks show at a moment.
    pub fn local(&self, at: Timestamp) -> DateTime<FixedOffset> {
        let seconds = i32::try_from(self.offset_at(at.timestamp())).ok();
        let offset = seconds.and_then(FixedOffset::east_opt).unwrap_or(Utc.fix());
        offset.from_utc_datetime(&at.naive_utc())
    }

    /// Reads an instant: a date and a time of these clocks such as `2026-12-24 20:00`, or one with an offset or a zone of its
    /// own. In a gap of the clocks it is as far behind the gap as the text says, and a repeated time is the first one.
    pub fn instant(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        let instant = text.parse().or_else(|_| text.parse().map(|zoned: jiff::Zoned| zoned.timestamp()));
        let instant: jiff::Timestamp = instant.ok().or_else(|| {
            // A date alone is no time, and jiff passes over an offset behind a civil time.
            let is_plain =
                text.contains(':') && text.bytes().all(|byte| byte.is_ascii_digit() || b"-: .Tt".contains(&byte));
            let is_plain = is_plain && text.bytes().filter(|byte| *byte == b'-').count() == 2;
            let local: jiff::civil::DateTime = text.parse().ok().filter(|_| is_plain)?;
            Some(self.rules.to_ambiguous_zoned(local).compatible().ok()?.timestamp())
        })?;
        Timestamp::from_timestamp(instant.as_second(), 0)
    }

    /// Returns the seconds east of Greenwich at an instant, in seconds since 1970 UTC. Beyond the years of the data,
    /// the offset of the first or last instant goes on.
    pub fn offset_at(&self, instant: i64) -> i64 {
        let known = instant.clamp(jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
        let at = jiff::Timestamp::from_second(known).unwrap_or_default();
        i64::from(self.rules.to_offset(at).seconds())
    }

    /// Returns a warning if the author may not mean this zone, as a sentence to show beside the next runs.
    pub fn warning(&self) -> Option<String> {
        let name = self.name();
        let clock = name.strip_prefix("Etc/").unwrap_or(name);
        let place = match clock {
            "EST" => "America/New_York",
            "MST" => "America/Denver",
            "GMT" | "GMT0" | "GMT+0" | "GMT-0" | "Greenwich" => "Europe/London",
            _ if name.starts_with("Etc/GMT") => {
                let offset = self.local(Timestamp::UNIX_EPOCH).offset().to_string();
                return Some(format!(
                    "`{name}` is UTC{offset} all year, without summer time: in these names the sign is the reverse of what \
                     people write. For the time of a place use its name, such as `Europe/Berlin`."
                ));
            }
            _ => return None,
        };
        let offset = self.local(Timestamp::UNIX_EPOCH).offset().to_string();
        Some(format!(
            "`{name}` has no summer time: it is UTC{offset} all year. For the time of a place use its name, such as `{place}`."
        ))
    }
}

/// Formats the zone's name.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
