//! Folder and networks of an engine. Each living engine has a number of its own, from which both follow, so a later run
//! knows what a dead one left behind.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::leftovers;
use crate::error::{Error, Result};
use crate::random;

/// Folder of the engines' folders. Paths of sockets are short.
const ABOVE: &str = "/tmp";
/// Names of folders begin with this, and the number follows.
const FOLDER: &str = "/agis-engine-";
/// Engines of this machine at the same time.
const ENGINES: u16 = 1024;
/// File in a folder that its owner has locked.
const LOCK: &str = "lock";

/// Number of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u16);

impl Number {
    /// Returns all numbers.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..ENGINES).map(Self)
    }

    /// Returns the path of the folder.
    pub(super) fn dir(self) -> PathBuf {
        format!("{ABOVE}{FOLDER}{}", self.0).into()
    }

    /// Returns the number of the engine whose folder has this path, or something in it. The path may begin at the root of the
    /// disk that has the folders.
    pub(super) fn within(path: &str) -> Option<Self> {
        let (_, rest) = path.split_once(FOLDER)?;
        let digits = rest.split('/').next()?;
        digits.parse().ok().filter(|number| *number < ENGINES).map(Self)
    }

    /// Returns the networks of its containers: a quarter of 10.208.0.0/12 for 256 engines, with room for 64 networks of 16
    /// addresses each.
    pub(super) fn networks(self) -> (String, u8) {
        let [high, low] = (self.0 * 4).to_be_bytes();
        (format!("{}/22", Ipv4Addr::new(10, 208 + high, low, 0)), 28)
    }

    /// Returns the number of the engine whose network has this address.
    pub(super) fn of_address(address: Ipv4Addr) -> Option<Self> {
        let [ten, high, low, _] = address.octets();
        let place = u16::from_be_bytes([high.wrapping_sub(208), low]) / 4;
        (ten == 10 && (208..224).contains(&high)).then_some(Self(place))
    }

    /// Checks whether its folder has an owner.
    pub(super) fn is_taken(self) -> bool {
        let file = File::open(self.dir().join(LOCK));
        file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
    }
}

/// Folder of an engine, for as long as this value lives.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) number: Number,
    /// `None` once it is given up.
    lock: Option<File>,
}

impl Home {
    /// Takes a free number, after it has removed what dead engines left.
    pub(super) fn take() -> Result<Self> {
        let _turn = turn()?;
        leftovers::remove();
        let random = u16::from_str_radix(&random::hex()?[..4], 16).unwrap_or_default();
        for number in (0..ENGINES).map(|step| Number((random % ENGINES + step) % ENGINES)) {
            let dir = number.dir();
            match DirBuilder::new().mode(0o700).create(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    made.map_err(Error::at(&dir))?;
                    return Ok(Self { number, lock: Some(locked(&dir.join(LOCK))?) });
                }
            }
        }
        Err(Error::new(format!("no folder is free: remove {ABOVE}{FOLDER}*")))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let turn = turn();
        self.lock = None;
        if turn.is_ok() {
            leftovers::remove();
        }
    }
}

/// Waits until no other program takes or gives up a folder.
fn turn() -> Result<File> {
    let account = rustix::process::geteuid().as_raw();
    locked(Path::new(&format!("{ABOVE}/agis-engines-{account}.lock")))
}

fn locked(path: &Path) -> Result<File> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(Error::at(path))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| Error::at(path)(error.into()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_leads_back_to_its_engine() {
        for number in Number::all() {
            let (base, _) = number.networks();
            let first: Ipv4Addr = base.strip_suffix("/22").expect("a size").parse().expect("an address");
            for address in [u32::from(first), u32::from(first) + 1023].map(Ipv4Addr::from) {
                assert_eq!(Number::of_address(address), Some(number), "{address}");
            }
        }
        for other in [[10, 207, 255, 255], [10, 224, 0, 0], [172, 208, 0, 1]] {
            assert_eq!(Number::of_address(other.into()), None);
        }
    }

    #[test]
    fn path_leads_back_to_its_engine() {
        assert_eq!(Number::within("--root=/tmp/agis-engine-17/data"), Some(Number(17)));
        assert_eq!(Number::within("/tmp/agis-engine-1023"), Some(Number(1023)));
        for other in ["/tmp/agis-engine-1024/x", "/tmp/agis-engine-x/y", "/tmp/agis-podman-1/x", ""] {
            assert_eq!(Number::within(other), None, "{other}");
        }
    }
}
