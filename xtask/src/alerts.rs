//! `cargo xtask alerts`: the rules by which Prometheus tells people that something is wrong.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::failure::{Failure, Result};
use crate::operator::{Alert, PrometheusRule};
use crate::run::{answer, step};
use crate::state::{checkout, target};
use crate::test::provide;

const SOURCE: &str = "k8s/base/alerts.yaml";
const TESTS: &str = "xtask/alerts.test.yml";
const PAGES: &str = "docs/operations/alerts";
const GUIDE: &str = "docs/operations/metrics.md";
/// The questions that each page has to answer.
const QUESTIONS: [&str; 4] = ["**It means.**", "**Players notice.**", "**Look at.**", "**Do.**"];
/// Texts that are no expressions: promtool has to refuse them, or it checks nothing.
const NO_PROMQL: [&str; 2] = ["sum((up)", "rate(up) > 1"];

/// Print the rules for a Prometheus without the operator, or check them
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Print k8s/base/alerts.yaml as a file for Prometheus' rule_files
    Print,
    /// Compare each alert with its page in docs/operations/alerts, and let promtool try when it fires and when it does not
    Check,
}

pub(crate) fn run(args: &Args) -> Result {
    match args.command {
        Subcommand::Print => {
            answer(for_prometheus(&source()?).trim_end());
            Ok(())
        }
        Subcommand::Check => check(),
    }
}

/// Checks the alerts, and leaves them in `target/grafana/alerts.yml` as Prometheus takes them.
pub(crate) fn check() -> Result {
    provide(&["prometheus"])?;
    step("checking the alerts");
    let (out, source, tests) = (target()?.join("grafana"), source()?, read(TESTS)?);
    fs::create_dir_all(&out)?;
    fs::write(out.join("alerts.yml"), for_prometheus(&source))?;
    fs::write(out.join("alerts.test.yml"), &tests)?;
    let rules = parse(&source)?;
    let mut found = faults(&rules);
    found.extend(untried(&rules, &tests)?);
    for (what, file) in [("check", "alerts.yml"), ("test", "alerts.test.yml")] {
        found.extend(promtool(&out, what, file)?);
    }
    for expr in NO_PROMQL {
        let rules = format!("groups: [{{ name: none, rules: [{{ alert: None, expr: '{expr}' }}] }}]");
        fs::write(out.join("none.yml"), rules)?;
        if promtool(&out, "check", "none.yml")?.is_none() {
            found.push(format!("promtool takes {expr}, which is no expression"));
        }
    }
    found.iter().for_each(answer);
    let count = rules.alerts().count();
    answer(format_args!("{count} alerts: {} faults, by promtool, its tests and the pages", found.len()));
    if found.is_empty() { Ok(()) } else { Err(Failure::new("the alerts have faults")) }
}

/// Returns the alerts of k8s/base/alerts.yaml.
pub(crate) fn all() -> Result<PrometheusRule> {
    parse(&source()?)
}

fn source() -> Result<String> {
    read(SOURCE)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(checkout().join(path)).map_err(|error| Failure::new(format!("{path}: {error}")))
}

fn parse(source: &str) -> Result<PrometheusRule> {
    serde_saphyr::from_str(&for_prometheus(source)).map_err(|error| Failure::new(format!("{SOURCE}: {error}")))
}

/// Returns what stands under `spec`: the operator takes it as Prometheus itself does.
fn for_prometheus(source: &str) -> String {
    let spec = source.lines().skip_while(|line| *line != "spec:").skip(1);
    let lines: String = spec.map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect();
    format!("# From {SOURCE}, which is where to change them.\n{lines}")
}

/// Returns where alerts, pages and the guide differ.
fn faults(rules: &PrometheusRule) -> Vec<String> {
    let guide = read(GUIDE).unwrap_or_default();
    let mut found: Vec<_> = rules
        .alerts()
        .flat_map(|alert| faults_of(alert, &guide).into_iter().map(|fault| format!("{}: {fault}", alert.alert.0)))
        .collect();
    let names: BTreeSet<_> = rules.alerts().map(|alert| alert.alert.0.as_str()).collect();
    let pages = fs::read_dir(checkout().join(PAGES)).into_iter().flatten().flatten();
    let pages = pages.filter_map(|page| Some(page.file_name().to_str()?.strip_suffix(".md")?.to_owned()));
    let orphans = pages.filter(|page| !names.contains(page.as_str()));
    found.extend(orphans.map(|page| format!("{PAGES}/{page}.md is about no alert")));
    found
}

fn faults_of(alert: &Alert, guide: &str) -> Vec<String> {
    let (name, severity) = (&alert.alert.0, alert.labels.get("severity").map_or("", String::as_str));
    let note = |of: &str| alert.annotations.get(of).map_or("", String::as_str);
    let path = format!("{PAGES}/{name}.md");
    let page = read(&path).unwrap_or_default();
    let row = format!("| [{name}](alerts/{name}.md) | {severity} |");
    let mut found = vec![];
    if !["critical", "warning"].contains(&severity) {
        found.push("its severity is neither critical nor warning".to_owned());
    }
    found.extend(["summary", "description"].iter().filter(|of| note(of).is_empty()).map(|of| format!("has no {of}")));
    if note("runbook") != path {
        found.push(format!("its runbook is not {path}"));
    }
    let missing = QUESTIONS.iter().filter(|question| !page.contains(**question));
    found.extend(missing.map(|question| format!("its page does not say {question}")));
    if !guide.contains(&row) {
        found.push(format!("{GUIDE} has no row that begins with {row}"));
    }
    found
}

/// promtool's file of tests, as far as it is read here.
#[derive(Deserialize)]
struct Tests {
    tests: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    #[serde(default)]
    promql_expr_test: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    expr: String,
    exp_samples: Vec<serde_json::Value>,
}

/// Returns the alerts of which no test tries when they fire, or when they do not.
fn untried(rules: &PrometheusRule, tests: &str) -> Result<Vec<String>> {
    let tests: Tests = serde_saphyr::from_str(tests).map_err(|error| Failure::new(format!("{TESTS}: {error}")))?;
    let expected: Vec<_> = tests.tests.iter().flat_map(|test| &test.promql_expr_test).collect();
    let both = rules.alerts().flat_map(|alert| [(alert, true, "fires"), (alert, false, "does not fire")]);
    let untried = both.filter(|(alert, fires, _)| {
        let name = format!(r#"ALERTS{{alertname="{}", alertstate="firing"}}"#, alert.alert.0);
        !expected.iter().any(|it| it.expr.contains(&name) && it.exp_samples.is_empty() != *fires)
    });
    Ok(untried.map(|(alert, _, how)| format!("{}: no test tries when it {how}", alert.alert.0)).collect())
}

/// Returns what promtool says where it finds a fault.
fn promtool(dir: &Path, what: &str, file: &str) -> Result<Option<String>> {
    let mut promtool = Command::new("promtool");
    let output = promtool.args([what, "rules", file]).current_dir(dir).stdin(Stdio::null()).output()?;
    let said = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((!output.status.success()).then(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_an_alert_is_found() {
        let source = source().expect("the alerts");
        let found = |old: &str, new: &str| {
            assert!(source.contains(old), "the alerts have no {old} to break");
            let rules = parse(&source.replacen(old, new, 1)).expect("rules");
            let tests = read(TESTS).expect("tests");
            [faults(&rules), untried(&rules, &tests).expect("tests")].concat().len()
        };
        assert_eq!(found("severity", "severity"), 0, "before anything is broken");
        assert_ne!(found("severity: critical", "severity: dire"), 0);
        assert_ne!(found("summary: ", "summery: "), 0);
        assert_ne!(found("AgisApiDown.md", "AgisDown.md"), 0);
        assert_ne!(found("alert: AgisApiDown", "alert: AgisDown"), 0);
        assert_ne!(found("severity: warning", "severity: critical"), 0, "the guide says another severity");
    }
}
