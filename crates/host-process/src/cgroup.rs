//! Limits of runs by cgroup v2, where this program has a delegated subtree (cgroups(7), systemd.resource-control(5)).
//!
//! The kernel lets no cgroup have both processes and limited children. So this program works only from a leaf called `agis`,
//! which systemd 254 and later makes (`Delegate=yes`, `DelegateSubgroup=agis`), and makes a cgroup for each run beside it. To
//! move there by itself would keep systemd from starting the next process in the parent while games run.
//!
//! The game enters its cgroup before its first instruction. The shim stays outside, so it can say that the memory was used up.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use agis_base::ServerId;
use agis_servers::game::Limits;

/// Cgroup of this program, below the delegated one.
const OWN: &str = "agis";
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// Period of the processor's limit, in microseconds: the kernel's default.
const PERIOD_US: u64 = 100_000;
/// Time for which the kernel may take to empty a cgroup whose processes have ended.
const EMPTY_PATIENCE: Duration = Duration::from_millis(100);

/// Delegated cgroup, below which each run gets one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cgroups(PathBuf);

impl Cgroups {
    /// Finds the delegated cgroup of this process and lets it limit its children, or returns the reason why none can be used.
    pub(crate) fn find() -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").map_err(|error| format!("/proc/self/mountinfo: {error}"))?;
        Self::delegated(&own, &mounts)
    }

    /// Decides by the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`; proc(5).
    fn delegated(own: &str, mounts: &str) -> Result<Self, String> {
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).ok_or("the machine has no cgroup v2")?;
        let mount = mounts.lines().find_map(cgroup2).ok_or("cgroup v2 is not mounted")?;
        let own = Path::new(mount).join(own);
        if !own.ends_with(OWN) {
            let wants = "run agis-api under systemd 254 or later with Delegate=yes and DelegateSubgroup=agis";
            return Err(format!("the cgroup {} is not a leaf called '{OWN}': {wants}", own.display()));
        }
        let parent = own.parent().unwrap_or(&own).to_owned();
        let told = |error: io::Error| format!("the cgroup {}: {error}", parent.display());
        let offered = fs::read_to_string(parent.join("cgroup.controllers")).map_err(told)?;
        if let Some(missing) = CONTROLLERS.iter().find(|it| !offered.split_ascii_whitespace().any(|has| has == **it)) {
            return Err(format!("the cgroup {} has no controller '{missing}'", parent.display()));
        }
        let enable = CONTROLLERS.map(|it| format!("+{it}")).join(" ");
        fs::write(parent.join("cgroup.subtree_control"), enable).map_err(told)?;
        Ok(Self(parent))
    }

    /// Makes the cgroup of a run anew, with its limits. No process of an earlier run is left.
    pub(crate) fn make(&self, server: ServerId, limits: &Limits) -> io::Result<RunCgroup> {
        let run = RunCgroup(self.0.join(format!("game-{server}")));
        run.remove();
        fs::create_dir(&run.0)?;
        let cpu = limits.cpu.map(|cpu| format!("{} {PERIOD_US}", u64::from(cpu.thousandths()) * PERIOD_US / 1000));
        let values = [
            ("memory.max", limits.memory.map(|it| it.bytes().to_string())),
            // A game over its memory would otherwise crawl, and fill the machine's swap.
            ("memory.swap.max", limits.memory.map(|_| "0".to_owned())),
            // The kernel ends the whole run, not a part of it.
            ("memory.oom.group", limits.memory.map(|_| "1".to_owned())),
            ("pids.max", limits.pids.map(|it| it.to_string())),
            ("cpu.max", cpu),
        ];
        for (file, value) in values {
            let Some(value) = value else { continue };
            match fs::write(run.0.join(file), value) {
                // A kernel without swap accounting has no such file.
                Err(error) if file == "memory.swap.max" && error.kind() == io::ErrorKind::NotFound => {}
                written => written.map_err(|error| io::Error::new(error.kind(), format!("{file}: {error}")))?,
            }
        }
        Ok(run)
    }
}

/// Cgroup of one run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct RunCgroup(PathBuf);

impl RunCgroup {
    /// Moves this process, and all that it begins, into the cgroup.
    pub(crate) fn enter(&self) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), "0")
            .map_err(|error| io::Error::new(error.kind(), format!("the cgroup {}: {error}", self.0.display())))
    }

    /// Checks whether the kernel ended a process of the run for its memory.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.0.join("memory.events")).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
    }

    /// Removes the cgroup, whose processes have ended. A cgroup that stays is removed before the server's next start.
    pub(crate) fn remove(&self) {
        for _ in 0..10 {
            match fs::remove_dir(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(EMPTY_PATIENCE / 10),
                _ => return,
            }
        }
    }
}

/// Returns the mount point of a line of `mountinfo`, if it is that of cgroup v2.
fn cgroup2(line: &str) -> Option<&str> {
    let (mount, filesystem) = line.split_once(" - ")?;
    filesystem.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as systemd delegates it, of plain files.
    fn tree(controllers: &str) -> (tempfile::TempDir, String) {
        let root = tempfile::tempdir().expect("a directory");
        let unit = root.path().join("system.slice/agis-api.service");
        fs::create_dir_all(unit.join(OWN)).expect("directories");
        fs::write(unit.join("cgroup.controllers"), controllers).expect("a file");
        let mounts = format!(
            "21 1 0:20 / / rw - ext4 /dev/vda rw\n30 21 0:26 / {} rw shared:4 - cgroup2 cgroup2 rw",
            root.path().display()
        );
        (root, mounts)
    }

    const LEAF: &str = "1:name=systemd:/\n0::/system.slice/agis-api.service/agis\n";

    #[test]
    fn delegated_leaf_limits_its_siblings() {
        let (root, mounts) = tree("cpuset cpu io memory pids\n");
        let groups = Cgroups::delegated(LEAF, &mounts).expect("a delegated cgroup");
        let unit = root.path().join("system.slice/agis-api.service");
        assert_eq!(fs::read_to_string(unit.join("cgroup.subtree_control")).expect("text"), "+cpu +memory +pids");
        let limits: Limits = "{ memory = '64MiB', cpu = 1.5, pids = 20 }".parse().expect("limits");
        let run = groups.make(ServerId(7), &limits).expect("a cgroup");
        let value = |file: &str| fs::read_to_string(unit.join("game-7").join(file)).ok();
        let expected = [
            ("memory.max", "67108864"),
            ("memory.swap.max", "0"),
            ("memory.oom.group", "1"),
            ("pids.max", "20"),
            ("cpu.max", "150000 100000"),
        ];
        for (file, text) in expected {
            assert_eq!(value(file).as_deref(), Some(text), "{file}");
        }
        assert!(!run.is_out_of_memory());
        fs::write(unit.join("game-7/memory.events"), "low 0\noom 1\noom_kill 3\noom_group_kill 1\n").expect("a file");
        assert!(run.is_out_of_memory());
        run.enter().expect("a process");
        assert_eq!(value("cgroup.procs").as_deref(), Some("0"));
    }

    #[test]
    fn reason_against_a_cgroup_says_what_to_do() {
        let (_root, mounts) = tree("cpu pids");
        let whys = [
            (LEAF, mounts.as_str(), "has no controller 'memory'"),
            ("0::/system.slice/agis-api.service\n", &mounts, "DelegateSubgroup=agis"),
            ("4:memory:/\n", &mounts, "no cgroup v2"),
            (LEAF, "", "not mounted"),
        ];
        for (own, mounts, says) in whys {
            let why = Cgroups::delegated(own, mounts).expect_err(says);
            assert!(why.contains(says), "{why}");
        }
    }
}
