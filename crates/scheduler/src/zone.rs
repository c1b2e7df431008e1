//! Time zones: the machine's data, which its distribution updates, and a copy in the program for zones that the machine
//! does not have. The one place that reads either.
//!
//! Zones change several times a year, mostly at short notice. So the data has a version, which is kept with whatever was
//! computed from it, and a process looks for newer data while it runs ([`refresh`]).

mod data;
#[cfg(test)]
mod tests;
mod version;

use std::{
    fmt,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use agis_base::Timestamp;
use chrono::{DateTime, FixedOffset, Offset, TimeZone as _, Utc};
use jiff::tz::TimeZone;

pub use self::{data::ZoneData, version::ZoneVersion};

/// The data in use.
static CURRENT: LazyLock<RwLock<Arc<ZoneData>>> = LazyLock::new(|| RwLock::new(Arc::new(ZoneData::of_machine())));

/// The data in use: that of the folder `TZDIR`, else the machine's, else the copy in the program.
pub fn current() -> Arc<ZoneData> {
    CURRENT.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Looks for other data than that in use, and uses it from now on. Reads files.
///
/// Answers with the data where its version is another.
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
    /// The zone of this IANA name in the data in use, in capitals or not. Abbreviations of a season's time (`CEST`) are no
    /// zones, nor are rules in the form of POSIX (`CET-1CEST`), nor is the machine's own zone.
    pub fn named(name: &str) -> Option<Self> {
        current().zone(name)
    }

    /// Its IANA name, as the data spells it.
    pub fn name(&self) -> &str {
        self.rules.iana_name().unwrap_or("UTC")
    }

    /// The version of the data that describes it.
    pub fn version(&self) -> &ZoneVersion {
        &self.version
    }

    /// The time that its clocks show at a moment.
    pub fn local(&self, at: Timestamp) -> DateTime<FixedOffset> {
        let seconds = i32::try_from(self.offset_at(at.timestamp())).ok();
        let offset = seconds.and_then(FixedOffset::east_opt).unwrap_or(Utc.fix());
        offset.from_utc_datetime(&at.naive_utc())
    }

    /// Seconds east of Greenwich at an instant, in seconds since 1970 UTC. Beyond the years that the data can be asked
    /// about, the offset of the first or last instant goes on.
    pub(crate) fn offset_at(&self, instant: i64) -> i64 {
        let known = instant.clamp(jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
        let at = jiff::Timestamp::from_second(known).unwrap_or_default();
        i64::from(self.rules.to_offset(at).seconds())
    }

    /// What the author may not have meant by this name, as a sentence to show beside the next runs.
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

/// Its name.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
