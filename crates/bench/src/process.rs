//! CPU time and memory of a process, as the kernel counts them.

use std::{
    fs,
    process::Child,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Result};

/// The unit of `/proc/PID/stat`, the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const STOP: Duration = Duration::from_secs(20);

/// A child that is asked to end when this value is dropped, and killed if it does not.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Milliseconds that a process has computed.
pub(crate) fn cpu_ms(pid: u32) -> Result<f64> {
    Ok(ticks(&stat(pid)?, 11..13) * 1000.0 / TICKS_PER_SECOND)
}

/// Milliseconds that a process, its children, and those of them that have ended have computed.
pub(crate) fn family_cpu_ms(pid: u32) -> Result<f64> {
    let mut sum = ticks(&stat(pid)?, 11..15);
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ends at this moment is counted with its parent the next time.
        let Ok(stat) = stat(child) else { continue };
        if stat.get(1).is_some_and(|parent| *parent == pid.to_string()) {
            sum += ticks(&stat, 11..13);
        }
    }
    Ok(sum * 1000.0 / TICKS_PER_SECOND)
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Result<u32> {
    Ok(stat(pid)?.get(1).ok_or_else(|| Error::new("/proc is not as expected"))?.parse()?)
}

/// MiB of memory that a process has in use.
pub(crate) fn rss_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| Error::new(format!("/proc/{pid}/status tells no memory")))
}

/// The fields after the name, which may hold spaces: the first is the third of proc(5).
fn stat(pid: u32) -> Result<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or_else(|| Error::new("/proc is not as expected"))?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

fn ticks(stat: &[String], fields: std::ops::Range<usize>) -> f64 {
    stat.get(fields).unwrap_or_default().iter().filter_map(|field| field.parse::<f64>().ok()).sum()
}

/// The processes below this one: its children, theirs, and so on.
pub(crate) fn descendants() -> Result<Vec<u32>> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid).ok()?)))
        .collect();
    let (mut found, mut seen) = (vec![std::process::id()], 0);
    while let Some(above) = found.get(seen).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        seen += 1;
    }
    Ok(found.split_off(1))
}

/// MiB of memory that a process has in use; it has a share only of pages that others use too.
pub(crate) fn pss_mib(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&file).map_err(|error| Error::new(format!("{file}: {error}; root may read it")))?;
    let kib = text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| Error::new(format!("{file} tells no memory")))
}
