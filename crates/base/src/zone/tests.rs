use std::{fs, path::PathBuf};

use super::{Zone, ZoneData, ZoneVersion};

fn version(text: &str) -> ZoneVersion {
    ZoneVersion::of_text(text)
}

/// A folder with some of the machine's zones, or none where the machine has none.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("agis-zones-{name}-{}", std::process::id()));
    fs::create_dir_all(folder.join("Asia")).expect("a folder");
    // Two zones of the smallest form: one offset, all year.
    for (file, hours, label) in [("Asia/Tokyo", 9, "JST"), ("Nowhere", 1, "NWT"), ("localtime", 2, "XXT")] {
        fs::write(folder.join(file), tzif(hours, label)).expect("a file");
    }
    fs::write(folder.join("zone.tab"), "JP\t+353916+1394441\tAsia/Tokyo\n").expect("a file");
    folder
}

/// RFC 8536, version 2: an empty block of version 1, one of version 2 with one type, and the rule in the footer.
fn tzif(hours: i32, label: &str) -> Vec<u8> {
    let block = |bytes: &mut Vec<u8>| {
        bytes.extend(b"TZif2");
        bytes.extend([0; 15]);
        for count in [0_u32, 0, 0, 0, 1, 4] {
            bytes.extend(count.to_be_bytes());
        }
        bytes.extend((hours * 3600).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(label.as_bytes());
        bytes.push(0);
    };
    let mut bytes = vec![];
    block(&mut bytes);
    block(&mut bytes);
    bytes.extend(format!("\n{label}-{hours}\n").as_bytes());
    bytes
}

#[test]
fn instant_is_read_by_the_clocks_of_the_zone() {
    let berlin = Zone::named("Europe/Berlin").expect("a zone");
    for (text, utc) in [
        ("2026-12-24 20:00", "2026-12-24T19:00:00Z"),
        (" 2026-07-01T20:00:30 ", "2026-07-01T18:00:30Z"),
        ("2026-12-24T20:00:00-05:00", "2026-12-25T01:00:00Z"),
        ("2026-12-24T20:00+05:00", "2026-12-24T15:00:00Z"),
        ("2026-12-24 20:00+05:00", "2026-12-24T15:00:00Z"),
        ("2026-12-24T20:00Z", "2026-12-24T20:00:00Z"),
        ("2026-12-24 20:00[America/New_York]", "2026-12-25T01:00:00Z"),
        ("2026-03-29 02:30", "2026-03-29T01:30:00Z"),
        ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
    ] {
        assert_eq!(berlin.instant(text), Some(utc.parse().expect("a time")), "{text}");
    }
    for text in ["", "soon", "20:00", "2026-12-24", "2026-13-01 20:00", "2026-12-24 20:00\0"] {
        assert_eq!(berlin.instant(text), None, "{text}");
    }
}

#[test]
fn zone_name_ignores_case() {
    for (typed, name) in [("europe/berlin", "Europe/Berlin"), ("AMERICA/new_york", "America/New_York"), ("utc", "UTC")]
    {
        assert_eq!(Zone::named(typed).expect(typed).name(), name);
    }
}

#[test]
fn non_iana_name_is_refused() {
    for typed in [
        "",
        " ",
        "local",
        "localtime",
        "Local",
        "posixrules",
        "Factory",
        "Etc/Unknown",
        "CEST",
        "PST",
        "PDT",
        "BST",
        "IST",
        "CET-1CEST",
        "EST5EDT,M3.2.0,M11.1.0",
        "<+03>-3",
        "UTC+2",
        "+02:00",
        "GMT+2",
        "Z",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",
        "../zoneinfo/Europe/Berlin",
        "/usr/share/zoneinfo/Europe/Berlin",
        "Europe/",
        "Europe",
        "zone.tab",
        "tzdata.zi",
        "Europe/Berlin\0",
        "Europe/Berlin ",
        "Ｅurope/Berlin",
    ] {
        assert_eq!(ZoneData::built_in().zone(typed), None, "{typed:?}");
        assert_eq!(Zone::named(typed), None, "{typed:?}");
    }
}

#[test]
fn folder_goes_before_the_bundled_copy() {
    let folder = folder("some");
    fs::write(folder.join("tzdata.zi"), "# version 2031a\n# more\n").expect("a file");
    let data = ZoneData::in_folder(&folder).expect("zones");
    assert_eq!(data.version().as_str(), "2031a");
    assert_eq!(data.zone("nowhere").expect("of the folder").local(Default::default()).offset().to_string(), "+01:00");
    assert_eq!(data.zone("US/Pacific").expect("of the copy").name(), "US/Pacific");
    assert_eq!(data.zone("localtime"), None);
    assert!(data.names().is_sorted());
    for (name, listed) in [("Nowhere", true), ("US/Pacific", true), ("localtime", false), ("zone.tab", false)] {
        assert_eq!(data.names().iter().any(|known| known == name), listed, "{name}");
    }
    assert!(data.names().iter().all(|name| data.zone(name).is_some_and(|zone| zone.name() == name)));
    assert_eq!(data.to_string(), format!("2031a of {}", folder.display()));
    assert!(ZoneData::in_folder(&folder.join("none")).is_err());
    fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn unversioned_files_have_a_digest() {
    let folder = folder("unnamed");
    let read = || ZoneData::in_folder(&folder).expect("zones").version().to_string();
    let before = read();
    assert!(before.starts_with('#') && before.len() == 17, "{before}");
    assert_eq!(read(), before);
    fs::write(folder.join("Nowhere"), tzif(3, "NWT")).expect("a file");
    assert_ne!(read(), before);
    fs::write(folder.join("+VERSION"), "2030c\n").expect("a file");
    assert_eq!(read(), "2030c");
    fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn newer_data_replaces_older_only() {
    for (ours, theirs, replaces) in [
        ("2026a", "2025b", true),
        ("2026a", "2026a", false),
        ("2026a", "2026f", false),
        ("2026a", "", true),
        ("2026a", "#1234", true),
        ("#1234", "2025b", false),
        ("#1234", "#1234", false),
        ("#1234", "#99", true),
        ("#99", "#1234", true),
        ("#99", "", true),
    ] {
        assert_eq!(version(ours).replaces(theirs), replaces, "{ours} {theirs}");
    }
}

#[test]
fn misleading_zone_names_are_warned_about() {
    let warning = |name: &str| ZoneData::built_in().zone(name).expect(name).warning();
    assert_eq!(
        warning("EST").expect("a warning"),
        "`EST` has no summer time: it is UTC-05:00 all year. For the time of a place use its name, such as `America/New_York`."
    );
    assert!(warning("MST").is_some() && warning("GMT").is_some());
    let reverse = warning("Etc/GMT+5").expect("a warning");
    assert!(reverse.starts_with("`Etc/GMT+5` is UTC-05:00 all year"), "{reverse}");
    for name in ["UTC", "Etc/UTC", "Europe/Berlin", "Asia/Kolkata", "EST5EDT", "CET", "Pacific/Honolulu"] {
        assert_eq!(warning(name), None, "{name}");
    }
}
