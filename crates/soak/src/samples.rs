//! Memory and descriptors over time.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    problems::{Problems, say},
    program::{descriptors, rss_kib},
    stage::Stage,
};

/// How much more a process may hold at the end of a run than after its first quarter.
const MORE_KIB: u64 = 12 * 1024;
const MORE_DESCRIPTORS: u64 = 12;
/// Samples below which there is nothing to judge: some five minutes.
const ENOUGH: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<(&'static str, u32), Vec<Sample>>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Option<Instant>,
    rss_kib: u64,
    descriptors: u64,
}

impl Samples {
    pub(crate) fn take(&mut self, stage: &mut Stage) {
        for program in stage.programs() {
            let Some(pid) = program.pid() else { continue };
            if let (Some(rss_kib), Some(descriptors)) = (rss_kib(pid), descriptors(pid)) {
                let sample = Sample { at: Some(Instant::now()), rss_kib, descriptors };
                self.0.entry((program.name, pid)).or_default().push(sample);
            }
        }
    }

    /// Each process that lived for long: the middle of its second quarter against that of its last.
    pub(crate) fn judge(&self, problems: &Problems) {
        for ((name, pid), samples) in self.0.iter().filter(|(_, samples)| samples.len() >= ENOUGH) {
            let quarter = samples.len() / 4;
            let (early, late) = (middle(&samples[quarter..2 * quarter]), middle(&samples[3 * quarter..]));
            let minutes = match (samples[0].at, samples[samples.len() - 1].at) {
                (Some(first), Some(last)) => last.duration_since(first).as_secs() / 60,
                _ => 0,
            };
            let text = format!(
                "{name} ({pid}) over {minutes} min: {} -> {} MiB, {} -> {} descriptors",
                early.rss_kib / 1024,
                late.rss_kib / 1024,
                early.descriptors,
                late.descriptors
            );
            say(&text);
            if late.rss_kib > early.rss_kib + MORE_KIB || late.descriptors > early.descriptors + MORE_DESCRIPTORS {
                problems.found("growth", text);
            }
        }
    }
}

fn middle(samples: &[Sample]) -> Sample {
    let of = |field: fn(&Sample) -> u64| {
        let mut values: Vec<_> = samples.iter().map(field).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Sample { at: None, rss_kib: of(|sample| sample.rss_kib), descriptors: of(|sample| sample.descriptors) }
}
