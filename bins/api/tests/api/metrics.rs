//! Metrics: every series is described, and their number is bounded, whatever requests say.

use std::collections::BTreeSet;

use agis_runtime::telemetry::described;

use crate::common::{Api, Stack};

/// Returns the text of `/metrics`.
async fn scraped(stack: &Stack, api: &Api) -> String {
    let answer = stack.client.get(format!("{}/metrics", api.metrics)).send().await.expect("metrics");
    answer.text().await.expect("text")
}

/// The series, without their values.
fn series(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.rsplit_once(' ').expect("a value").0.to_owned()).collect()
}

/// The name of a series and its labels; what a histogram adds to them is taken away.
fn parts(series: &str) -> (&str, Vec<&str>) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
    let labels = labels.trim_end_matches('}').split("\",").filter_map(|label| Some(label.split_once("=\"")?.0));
    (base, labels.filter(|label| *label != "le").collect())
}

/// Returns the series that grow with requests; other series come with time.
fn of_requests(text: &str) -> BTreeSet<String> {
    let grows = |series: &String| {
        ["agis_bot_api_", "agis_bot_rate_limit_decisions", "agis_bot_key_"].iter().any(|name| series.starts_with(name))
    };
    series(text).into_iter().filter(grows).collect()
}

/// Requests for what is not there, by methods that nobody knows, with keys and headers that are none.
async fn hostile(stack: &Stack, api: &Api, salt: u32) {
    for number in 0..200 {
        let word = format!("x{salt}y{number}");
        let paths = [
            format!("/{word}"),
            format!("/api/v1/{word}"),
            format!("/api/v1/servers/{word}"),
            format!("/api/v1/servers/{number}/{word}"),
            format!("/api/v1/servers/{salt}{number}/start"),
            format!("/api/v1/servers?{word}={word}"),
            format!("/api/v1/%ff%00{word}/../{word}"),
        ];
        let methods = ["GET", "PUT", "BREW", "PROPFIND", &format!("M{}", word.to_uppercase())].map(str::to_owned);
        let (path, method) = (&paths[number % paths.len()], &methods[number / paths.len() % methods.len()]);
        let keys = [
            format!("Bearer {}", stack.key),
            format!("Bearer agis_{word:=<44}"),
            format!("Basic {word}"),
            word.clone(),
        ];
        let request = stack.client.request(method.parse().expect("a method"), format!("{}{path}", api.base));
        let request = request.header("Authorization", &keys[number % keys.len()]).header("X-Request-Id", &word);
        let request = request.header("X-Forwarded-For", &word).header("User-Agent", &word).header("Host", &word);
        let request = request.header("Idempotency-Key", format!("{word}\u{e4}")).header(format!("X-{word}"), &word);
        let answer = api.send(request).await.expect("an answer");
        assert!(answer.status.is_client_error(), "{method} {path}: {}", answer.status);
    }
}

#[tokio::test]
async fn hostile_requests_make_no_new_series() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    hostile(&stack, &api, 1).await;
    let after_once = scraped(&stack, &api).await;
    hostile(&stack, &api, 2).await;
    let after_twice = scraped(&stack, &api).await;
    assert_eq!(of_requests(&after_twice), of_requests(&after_once));
    for name in ["x1y", "x2y", "BREW", "MX1Y"] {
        assert!(!after_twice.contains(name), "{name} is in the metrics");
    }
    let requests = of_requests(&after_twice);
    assert!(requests.iter().any(|it| it.contains(r#"method="OTHER""#)), "{requests:#?}");
    assert!(requests.iter().any(|it| it.contains(r#"endpoint="/api/v1/servers/{id}""#)), "{requests:#?}");
    // Buckets of one histogram are some twenty.
    let all = series(&after_twice);
    let whole = all.iter().filter(|series| !series.contains("_bucket{")).count();
    assert!((20..300).contains(&whole), "{whole}: {all:#?}");
}

#[tokio::test]
async fn every_series_is_described_with_its_labels() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("counted", "demo").await;
    api.act(server, "start").await;
    hostile(&stack, &api, 1).await;
    let text = scraped(&stack, &api).await;
    for series in series(&text) {
        let (name, labels) = parts(&series);
        let of =
            described::ALL.iter().find(|of| of.name == name).unwrap_or_else(|| panic!("nobody describes {series}"));
        let unknown: Vec<_> = labels.iter().filter(|label| !of.labels.contains(label)).collect();
        assert!(unknown.is_empty(), "{series} has {unknown:?}");
        assert!(text.contains(&format!("# HELP {name} {}\n", of.help)), "{name} has no help");
        let kind = format!("{:?}", of.kind).to_lowercase();
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} is no {kind}");
    }
}
