//! The faults that were found, as people read them.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

/// Examples that are kept of one kind of problem; the others are counted.
const EXAMPLES: usize = 5;

/// Faults of the programs, by kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problems(Arc<Mutex<BTreeMap<String, Kind>>>);

#[derive(Debug, Default)]
struct Kind {
    count: usize,
    examples: Vec<String>,
}

impl Problems {
    /// Notes a problem and shows it at once: somebody may be watching.
    pub(crate) fn found(&self, kind: &str, example: impl Into<String>) {
        let example = example.into();
        step(&format!("problem: {kind}: {example}"));
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(kind.to_owned()).or_default();
        kind.count += 1;
        if kind.examples.len() < EXAMPLES {
            kind.examples.push(example);
        }
    }

    /// How many kinds there are, and their text.
    pub(crate) fn report(&self) -> (usize, String) {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (kind, found) in kinds.iter() {
            text.push_str(&format!("{kind}: {}\n", found.count));
            found.examples.iter().for_each(|example| text.push_str(&format!("    {example}\n")));
        }
        (kinds.len(), text)
    }
}

/// A line of the report on stdout.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes the present step on stderr.
pub(crate) fn step(text: &str) {
    let _ = writeln!(std::io::stderr(), "==> {text}");
}
