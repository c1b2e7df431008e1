use std::{
    collections::BTreeSet,
    fmt, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use jiff::tz::TimeZoneDatabase;

use super::{Zone, version::ZoneVersion};

/// Folders in which systems keep their zones.
const FOLDERS: [&str; 3] = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// Files among the zones that are no zones: the machine's own zone, the default of POSIX rules, the sign for "not set".
const NO_ZONES: [&str; 4] = ["localtime", "posixrules", "factory", "etc/unknown"];

/// Time zone data: the zones of a folder, and the program's copy for zones that the folder lacks.
///
/// Distributions leave names out: Debian 13 has `US/Eastern` and similar names in a separate package.
pub struct ZoneData {
    folder: Option<(PathBuf, TimeZoneDatabase)>,
    built_in: TimeZoneDatabase,
    version: ZoneVersion,
    names: OnceLock<Vec<String>>,
}

impl ZoneData {
    /// Reads the machine's zones: the folder that `TZDIR` names, as in the C library, else the system's folder. Falls
    /// back to the program's copy.
    pub fn of_machine() -> Self {
        let named = std::env::var_os("TZDIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let folders = named.into_iter().chain(FOLDERS.map(PathBuf::from));
        folders.into_iter().find_map(|folder| Self::in_folder(&folder).ok()).unwrap_or_else(Self::built_in)
    }

    /// Reads a folder in the form of `/usr/share/zoneinfo`.
    ///
    /// # Errors
    /// Fails if the folder cannot be read or has no zones.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let zones = TimeZoneDatabase::from_dir(folder).map_err(io::Error::other)?;
        let version = ZoneVersion::of_folder(folder, || zones.available().map(|name| name.to_string()).collect())?;
        Ok(Self { folder: Some((folder.to_owned(), zones)), version, ..Self::built_in() })
    }

    /// Returns the program's copy.
    pub fn built_in() -> Self {
        Self {
            folder: None,
            built_in: TimeZoneDatabase::bundled(),
            version: ZoneVersion::built_in(),
            names: OnceLock::new(),
        }
    }

    /// Returns the zone of this name; letter case does not matter.
    pub fn zone(&self, name: &str) -> Option<Zone> {
        if NO_ZONES.contains(&name.to_ascii_lowercase().as_str()) {
            return None;
        }
        let in_folder = self.folder.as_ref().and_then(|(_, zones)| zones.get(name).ok());
        let rules = in_folder.or_else(|| self.built_in.get(name).ok())?;
        Some(Zone { rules, version: self.version.clone() })
    }

    /// Returns the names of all zones, in order.
    pub fn names(&self) -> &[String] {
        self.names.get_or_init(|| {
            let folder = self.folder.iter().flat_map(|(_, zones)| zones.available());
            let all: BTreeSet<_> = folder.chain(self.built_in.available()).map(|name| name.to_string()).collect();
            all.into_iter().filter(|name| !NO_ZONES.contains(&name.to_ascii_lowercase().as_str())).collect()
        })
    }

    /// Returns the version of the folder, or of the program's copy if there is no folder.
    pub fn version(&self) -> &ZoneVersion {
        &self.version
    }
}

/// For an operator: `2026f of /usr/share/zoneinfo`, `2026f, built in`.
impl fmt::Display for ZoneData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.folder {
            Some((folder, _)) => write!(f, "{} of {}", self.version, folder.display()),
            None => write!(f, "{}, built in", self.version),
        }
    }
}

impl fmt::Debug for ZoneData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZoneData({self})")
    }
}
