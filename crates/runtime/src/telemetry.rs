//! Logs and metrics.

pub mod described;
mod process;

use std::{io::IsTerminal, time::Duration};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// Buckets of histograms in seconds, from a quick answer to a very late schedule.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    Json,
    /// Readable lines, for people.
    Pretty,
}

impl LogFormat {
    /// Returns `pretty` on a terminal, else `json`.
    pub fn of_terminal() -> Self {
        if std::io::stderr().is_terminal() { Self::Pretty } else { Self::Json }
    }
}

/// Sends log lines to stderr. `filter` has the form of `RUST_LOG`.
///
/// # Errors
/// Fails if the filter is invalid.
pub fn init_logs(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("RUST_LOG={filter}: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let done = match format {
        LogFormat::Json => registry
            .with(fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(std::io::stderr))
            .try_init(),
        LogFormat::Pretty => registry
            .with(
                fmt::layer().with_target(false).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr),
            )
            .try_init(),
    };
    done.map_err(|error| error.to_string())
}

/// Metrics of this process.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    /// Start of the process, in Unix time.
    started: f64,
}

impl Metrics {
    /// Installs the recorder.
    ///
    /// # Errors
    /// Fails if another recorder is installed.
    pub fn install() -> Result<Self, BuildError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
            .install_recorder()?;
        described::describe();
        Ok(Self { handle, started: process::now() })
    }

    /// Renders all metrics in Prometheus' text format. A gauge that is not a number has no value, and is left out.
    pub fn render(&self) -> String {
        let mut text = with_numbers(&self.handle.render());
        process::render(self.started, &mut text);
        text
    }

    /// Keeps histograms small between scrapes; the program calls it every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn with_numbers(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.trim_end().ends_with(" NaN")).collect()
}

/// Time between calls of [`Metrics::upkeep`].
pub const UPKEEP: Duration = Duration::from_secs(5);
