//! Prints which tests took longest in the last run. cargo-nextest writes their times; `.config/nextest.toml` says where.

use std::fs;

use crate::failure::Result;
use crate::run::answer;
use crate::state;

const REPORT: &str = "nextest/default/junit.xml";
const COUNT: usize = 10;

/// Prints nothing where there is no report: `cargo test` writes none.
pub(crate) fn print() -> Result {
    let Ok(report) = fs::read_to_string(state::target()?.join(REPORT)) else { return Ok(()) };
    answer("\nthe slowest tests:");
    for (seconds, name) in slowest(&report) {
        answer(format_args!("{seconds:>7.1} s  {name}"));
    }
    Ok(())
}

fn slowest(report: &str) -> Vec<(f64, String)> {
    let mut tests: Vec<_> = report.lines().filter_map(test).collect();
    tests.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    tests.truncate(COUNT);
    tests
}

/// Returns how long a test took and what it is called, if the line begins one.
fn test(line: &str) -> Option<(f64, String)> {
    let of = |name: &str| line.split_once(&format!(" {name}=\""))?.1.split('"').next();
    line.trim_start().starts_with("<testcase ").then_some(())?;
    Some((of("time")?.parse().ok()?, format!("{} {}", of("classname")?, of("name")?)))
}

#[cfg(test)]
mod tests {
    use super::slowest;

    #[test]
    fn tests_are_listed_by_their_time() {
        let line = |name: &str, time: &str| {
            format!(
                r#"        <testcase name="{name}" classname="agis-api::api" timestamp="2026-11-29" time="{time}">"#
            )
        };
        let report =
            [r#"<testsuite name="agis-api::api" time="99">"#, &line("a", "1.5"), &line("b", "30.25")].join("\n");
        let expected = [(30.25, "agis-api::api b".to_owned()), (1.5, "agis-api::api a".to_owned())];
        assert_eq!(slowest(&report), expected);
    }
}
