//! The names of our metrics in Prometheus, and the metrics that an expression asks for.

use std::{collections::BTreeSet, sync::LazyLock};

use agis_runtime::telemetry::described::{self, Kind};

/// Every name; `up` is Prometheus' own.
pub(crate) static KNOWN: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let names = described::ALL.iter().flat_map(|metric| {
        let ends: &[_] = if metric.kind == Kind::Histogram { &["_bucket", "_count", "_sum"] } else { &[""] };
        ends.iter().map(|end| format!("{}{end}", metric.name))
    });
    names.chain(["up".to_owned()]).collect()
});

/// Returns the names in an expression that look like those of our metrics, and are not.
pub(crate) fn unknown(expr: &str) -> BTreeSet<&str> {
    asked(expr).into_iter().map(|(name, _)| name).filter(|name| !KNOWN.contains(*name)).collect()
}

/// Returns the names of metrics in an expression, each with its selector, which may be empty.
pub(crate) fn asked(expr: &str) -> Vec<(&str, &str)> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut found, mut rest) = (vec![], expr);
    while let Some(start) = rest.find(in_word) {
        let (word, after) = rest[start..].split_at(rest[start..].find(|c| !in_word(c)).unwrap_or(rest.len() - start));
        rest = after;
        if word == "up" || word.starts_with("agis_") || word.starts_with("process_") {
            let end = after.starts_with('{').then(|| after.find('}')).flatten().map_or(0, |end| end + 1);
            let (selector, after) = after.split_at(end);
            found.push((word, selector));
            rest = after;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_with_their_selectors() {
        let expr = r#"sum(rate(agis_bot_api_requests_total{status=~"5.."}[5m])) / up + cup(process_x)"#;
        let expected = [("agis_bot_api_requests_total", r#"{status=~"5.."}"#), ("up", ""), ("process_x", "")];
        assert_eq!(asked(expr), expected);
        assert_eq!(unknown(expr), BTreeSet::from(["process_x"]));
    }
}
