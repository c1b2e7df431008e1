//! The walk over instants, against FINDINGS' table, a brute-force oracle, and another crate.

mod oracle;
mod properties;
mod table;

use std::{path::Path, sync::LazyLock};

use agis_scheduler::{CronExpression, Zone, zone::ZoneData};
use chrono::{DateTime, Utc};

fn expression(text: &str) -> CronExpression {
    text.parse().unwrap_or_else(|error| panic!("{text:?} should be accepted: {error}"))
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant in RFC 3339")
}

/// The copy in the program: cases that were decided one by one are about its data.
static BUILT_IN: LazyLock<ZoneData> = LazyLock::new(ZoneData::built_in);

fn zone(name: &str) -> Zone {
    BUILT_IN.zone(name).expect(name)
}

/// Every zone of the copy in the program, of the machine, and of the newest data, where `cargo xtask test` has found it.
static ZONES: LazyLock<Vec<Zone>> = LazyLock::new(|| {
    let newest = std::env::var_os("AGIS_TEST_TZDATA");
    let newest = newest.map(|folder| ZoneData::in_folder(Path::new(&folder)).expect("AGIS_TEST_TZDATA has zones"));
    let all = [ZoneData::built_in(), ZoneData::of_machine()].into_iter().chain(newest);
    all.flat_map(|data| data.names().iter().map(|name| data.zone(name).expect(name)).collect::<Vec<_>>()).collect()
});
