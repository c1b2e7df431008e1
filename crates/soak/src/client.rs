//! REST as a careful program uses it: each wish has an `Idempotency-Key` and is sent until it is answered.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use crate::problems::Problems;

/// How long one wish is repeated: longer than any outage that is made here, and than the lease of an attempt whose process was
/// killed. Leases are by the database's clock: each jump back lengthens those that are held by as much.
const PATIENCE: Duration = Duration::from_secs(420);
const TIMEOUT: Duration = Duration::from_secs(35);

#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    addresses: [String; 2],
    key: String,
    problems: Problems,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn new(addresses: [String; 2], key: String, problems: Problems) -> Self {
        Self { http: reqwest::Client::new(), addresses, key, problems }
    }

    /// An answer that is not about an outage; none where there was none in time, which is a problem.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Option<Answer> {
        let (once, began) = (Uuid::new_v4().to_string(), Instant::now());
        let mut last = String::new();
        while began.elapsed() < PATIENCE {
            let address = fastrand::choice(&self.addresses)?;
            let mut request = self.http.request(method.clone(), format!("{address}{path}"));
            request = request.bearer_auth(&self.key).timeout(TIMEOUT);
            if method == Method::POST {
                request = request.header("Idempotency-Key", &once);
            }
            if let Some(body) = &body {
                request = request.json(body);
            }
            match self.attempt(request).await {
                Ok(answer) if is_final(&answer) => return Some(self.judged(&method, path, answer)),
                Ok(answer) => last = format!("{} {}", answer.status, answer.body),
                Err(error) => last = error.to_string(),
            }
            sleep(Duration::from_millis(fastrand::u64(300..1500))).await;
        }
        self.problems.found("a request without an answer", format!("{method} {path}: {last}"));
        None
    }

    async fn attempt(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    /// Players ask for nothing that is forbidden, so only what happened meanwhile (404, 409) explains a refusal.
    fn judged(&self, method: &Method, path: &str, answer: Answer) -> Answer {
        let expected = answer.status.is_success() || [404, 409].contains(&answer.status.as_u16());
        if !expected {
            self.problems
                .found(&format!("an answer {}", answer.status.as_u16()), format!("{method} {path}: {}", answer.body));
        }
        answer
    }
}

/// Whether repeating it changes nothing.
fn is_final(answer: &Answer) -> bool {
    let again = answer.status == StatusCode::SERVICE_UNAVAILABLE
        || answer.status == StatusCode::TOO_MANY_REQUESTS
        || answer.body["code"] == "idempotency_in_flight";
    !again
}
