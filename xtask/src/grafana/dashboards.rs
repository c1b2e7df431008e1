//! The dashboards of grafana/, and the rules for them.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::state::checkout;

const PANELS: [&str; 4] = ["timeseries", "stat", "bargauge", "row"];
const VARIABLES: [&str; 3] = ["datasource", "namespace", "instance"];
/// The variables that Grafana itself puts into a query.
const BUILT_IN: [&str; 3] = ["__rate_interval", "__range", "__interval"];
const UNITS: [&str; 6] = ["short", "s", "bytes", "percentunit", "reqps", "ops"];
/// The shortest description of a panel, in bytes.
const DESCRIPTION: usize = 20;
/// The columns of Grafana's grid.
const WIDTH: u64 = 24;

/// A dashboard and the name of its file.
pub(super) struct Dashboard {
    pub(super) name: String,
    pub(super) json: Value,
}

/// A query of a panel.
pub(super) struct Query<'a> {
    pub(super) panel: &'a str,
    pub(super) expr: &'a str,
    legend: &'a str,
}

/// Reads all dashboards, in the order of their names.
pub(super) fn load() -> Result<Vec<Dashboard>> {
    let mut dashboards = vec![];
    for entry in fs::read_dir(checkout().join("grafana"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let wrong = |error: &dyn ToString| Failure::new(format!("{}: {}", path.display(), error.to_string()));
            let text = fs::read_to_string(&path).map_err(|error| wrong(&error))?;
            dashboards.push(Dashboard { name, json: serde_json::from_str(&text).map_err(|error| wrong(&error))? });
        }
    }
    dashboards.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(dashboards)
}

impl Dashboard {
    fn panels(&self) -> &[Value] {
        list(&self.json["panels"])
    }

    /// Returns the queries of all panels.
    pub(super) fn queries(&self) -> impl Iterator<Item = Query<'_>> {
        self.panels().iter().flat_map(queries)
    }

    /// Returns what breaks the rules.
    pub(super) fn faults(&self) -> Vec<String> {
        let json = &self.json;
        let variables: Vec<_> = list(&json["templating"]["list"]).iter().map(|it| text(&it["name"])).collect();
        let ids: BTreeSet<_> = self.panels().iter().map(|panel| panel["id"].as_u64()).collect();
        let wrong = [
            (json["uid"] != self.name.as_str(), "its uid is not the name of its file"),
            (!(39..=42).contains(&number(&json["schemaVersion"])), "its schemaVersion is not that of Grafana 11 or 12"),
            (!json["id"].is_null(), "it has an id, which each Grafana gives it"),
            (variables != VARIABLES, "its variables are not datasource, namespace and instance"),
            (ids.len() < self.panels().len(), "two of its panels have one id"),
        ];
        let wrong = wrong.into_iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, fault)| fault.to_owned());
        let panels = self.panels().iter().flat_map(|panel| {
            panel_faults(panel).into_iter().map(|fault| format!("{}: {fault}", text(&panel["title"])))
        });
        let found = wrong.chain(overlaps(self.panels())).chain(panels);
        found.map(|fault| format!("{}: {fault}", self.name)).collect()
    }
}

fn queries(panel: &Value) -> impl Iterator<Item = Query<'_>> {
    let targets = list(&panel["targets"]).iter();
    let title = text(&panel["title"]);
    targets.map(move |it| Query { panel: title, expr: text(&it["expr"]), legend: text(&it["legendFormat"]) })
}

fn panel_faults(panel: &Value) -> Vec<String> {
    let kind = text(&panel["type"]);
    if !PANELS.contains(&kind) {
        return vec![format!("the kind {kind} is not known here")];
    }
    if kind == "row" {
        return vec![];
    }
    let (defaults, targets) = (&panel["fieldConfig"]["defaults"], list(&panel["targets"]));
    let unit = text(&defaults["unit"]);
    // An increase is extrapolated: one firing may be 1.01 of it.
    let counts =
        kind != "timeseries" && unit == "short" && queries(panel).any(|query| query.expr.contains("increase("));
    let references: BTreeSet<_> = targets.iter().map(|target| text(&target["refId"])).collect();
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let wrong = [
        (text(&panel["description"]).len() < DESCRIPTION, "has no description"),
        (!UNITS.contains(&unit), "has a unit that is not used here"),
        (list(&defaults["thresholds"]["steps"]).is_empty(), "has no thresholds"),
        (counts && defaults["decimals"] != 0, "counts things, and shows fractions of them"),
        (targets.is_empty(), "asks for nothing"),
        (panel["datasource"] != source, "asks another data source than the variable's"),
        (references.len() < targets.len(), "two of its queries have one refId"),
        (
            targets.len() > 1 && queries(panel).any(|query| query.legend.is_empty()),
            "has several queries, and one without a legend",
        ),
    ];
    let wrong = wrong.into_iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, fault)| fault.to_owned());
    wrong.chain(queries(panel).flat_map(|query| variable_faults(query.expr))).collect()
}

fn variable_faults(expr: &str) -> Vec<String> {
    let used: BTreeSet<_> = variables(expr).collect();
    let unknown = used.iter().filter(|name| !VARIABLES.contains(*name) && !BUILT_IN.contains(*name));
    let mut found: Vec<_> = unknown.map(|name| format!("there is no ${name}")).collect();
    if !(used.contains("namespace") && used.contains("instance")) {
        found.push("ignores the variables namespace and instance".to_owned());
    }
    found
}

/// Returns the variables of Grafana in an expression: `$name` or `${name}`.
fn variables(expr: &str) -> impl Iterator<Item = &str> {
    expr.split('$').skip(1).filter_map(|after| {
        let after = after.strip_prefix('{').unwrap_or(after);
        after.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
    })
}

fn overlaps(panels: &[Value]) -> Vec<String> {
    let place = |panel: &Value| ["x", "y", "w", "h"].map(|side| number(&panel["gridPos"][side]));
    let outside = panels.iter().filter(|panel| {
        let [x, _, w, h] = place(panel);
        x + w > WIDTH || w.min(h) < 1
    });
    let mut found: Vec<_> =
        outside.map(|panel| format!("{}: does not fit into the grid", text(&panel["title"]))).collect();
    for (at, one) in panels.iter().enumerate() {
        for other in &panels[at + 1..] {
            let ([ax, ay, aw, ah], [bx, by, bw, bh]) = (place(one), place(other));
            if ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah {
                found.push(format!("{} and {} lie on each other", text(&one["title"]), text(&other["title"])));
            }
        }
    }
    found
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Edit = fn(&mut Value);

    const BROKEN: &[Edit] = &[
        |it| it["uid"] = json!("other"),
        |it| it["schemaVersion"] = json!(38),
        |it| it["id"] = json!(1),
        |it| it["templating"]["list"][0]["name"] = json!("source"),
        |it| it["panels"][1]["id"] = it["panels"][0]["id"].clone(),
        |it| it["panels"][1]["gridPos"] = it["panels"][0]["gridPos"].clone(),
        |it| it["panels"][1]["gridPos"]["x"] = json!(23),
        |it| panel(it)["type"] = json!("gauge"),
        |it| panel(it)["description"] = json!("Short."),
        |it| panel(it)["fieldConfig"]["defaults"]["unit"] = json!("m"),
        |it| panel(it)["fieldConfig"]["defaults"]["thresholds"]["steps"] = json!([]),
        |it| panel(it)["targets"] = json!([]),
        |it| panel(it)["datasource"]["uid"] = json!("mine"),
        |it| expr(it, "sum(increase(up{namespace=~\"$namespace\",instance=~\"$instance\"}[$__range]))"),
        |it| expr(it, "up{namespace=~\"$namespace\",instance=~\"$instance\",job=\"$job\"}"),
        |it| expr(it, "up{namespace=~\"$namespace\"}"),
        |it| {
            let target = panel(it)["targets"][0].clone();
            panel(it)["targets"] = json!([target, target]);
        },
    ];

    /// The first panel of a number of things.
    fn panel(dashboard: &mut Value) -> &mut Value {
        let panels = dashboard["panels"].as_array_mut().expect("panels");
        let is_count = |it: &&mut Value| it["type"] == "stat" && it["fieldConfig"]["defaults"]["unit"] == "short";
        panels.iter_mut().find(is_count).expect("a stat")
    }

    fn expr(dashboard: &mut Value, expr: &str) {
        panel(dashboard)["targets"][0]["expr"] = json!(expr);
        panel(dashboard)["fieldConfig"]["defaults"]["decimals"] = json!(null);
    }

    #[test]
    fn every_fault_of_a_dashboard_is_found() {
        let dashboards = load().expect("the dashboards");
        for dashboard in &dashboards {
            assert_eq!(dashboard.faults(), Vec::<String>::new(), "before anything is broken");
        }
        for (at, edit) in BROKEN.iter().enumerate() {
            let Dashboard { name, json } = &dashboards[1];
            let mut broken = Dashboard { name: name.clone(), json: json.clone() };
            edit(&mut broken.json);
            assert_ne!(broken.faults(), Vec::<String>::new(), "broken dashboard {at}");
        }
    }
}
