//! The kinds of the Prometheus operator, with the fields that are used here: no package has the operator's own schemas.

#![expect(dead_code, reason = "to read a field is to check it")]

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceMonitor {
    selector: Selector,
    endpoints: AtLeastOne<Endpoint>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Selector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expression {
    key: Text,
    operator: Operator,
    #[serde(default)]
    values: Vec<Text>,
}

#[derive(Debug, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Endpoint {
    port: Text,
    path: Option<Text>,
    interval: Option<Span>,
    scrape_timeout: Option<Span>,
}

/// The spec of alerts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrometheusRule {
    groups: AtLeastOne<Group>,
}

impl PrometheusRule {
    /// Returns the alerts of all groups.
    pub(crate) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.groups.0.iter().flat_map(|group| &group.rules)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: Text,
    rules: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alert {
    pub(crate) alert: Text,
    pub(crate) expr: Text,
    r#for: Option<Span>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A text that is not empty.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Text(pub(crate) String);

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() { Err("an empty text") } else { Ok(Self(text)) }
    }
}

/// A list that is not empty.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<T>")]
struct AtLeastOne<T>(Vec<T>);

impl<T> TryFrom<Vec<T>> for AtLeastOne<T> {
    type Error = &'static str;

    fn try_from(list: Vec<T>) -> Result<Self, Self::Error> {
        if list.is_empty() { Err("an empty list") } else { Ok(Self(list)) }
    }
}

/// A number and a unit of time: `15s`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Span;

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_right = unit.len() < text.len() && ["ms", "s", "m", "h", "d"].contains(&unit);
        is_right.then_some(Self).ok_or_else(|| format!("{text} is no duration such as 15s"))
    }
}
