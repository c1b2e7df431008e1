//! Names and labels of our objects.

use std::collections::BTreeMap;

use agis_base::{OperationId, ServerId};
use agis_servers::host::Generation;
use kube::ResourceExt;

pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(crate) const AGIS: &str = "agis";
pub(crate) const HOST: &str = "agis.wtg.cluster/host";
pub(crate) const SERVER: &str = "agis.wtg.cluster/server";
pub(crate) const GENERATION: &str = "agis.wtg.cluster/generation";
const OPERATION: &str = "agis.wtg.cluster/operation";
/// Annotation: the sign of readiness, if it is not Agones' SDK.
pub(crate) const READY: &str = "agis.wtg.cluster/ready";
/// Annotation: the exit statuses that the game calls good, as a list in JSON.
pub(crate) const GOOD_EXITS: &str = "agis.wtg.cluster/good-exits";
/// Annotation: the time from which the remains of a deleted server may go, in RFC 3339.
pub(crate) const DELETE_AFTER: &str = "agis.wtg.cluster/delete-after";
/// Annotation: the world of a deleted server is going, or gone.
pub(crate) const FORGOTTEN: &str = "agis.wtg.cluster/forgotten";

/// Maximum length of a label's value.
const VALUE_MAX: usize = 63;

/// Labels and annotations.
pub(crate) type Words = BTreeMap<String, String>;

/// Returns the labels of a server's objects.
pub(crate) fn of_server(host: &str, server: ServerId) -> Words {
    words([(MANAGED_BY, AGIS.to_owned()), (HOST, host.to_owned()), (SERVER, server.to_string())])
}

/// Returns the labels of a generation's objects.
pub(crate) fn of_generation(host: &str, server: ServerId, generation: Generation, operation: OperationId) -> Words {
    let mut labels = of_server(host, server);
    labels.extend(words([(GENERATION, generation.to_string()), (OPERATION, operation.to_string())]));
    labels
}

pub(crate) fn words<const N: usize>(pairs: [(&str, String); N]) -> Words {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Returns the selector of this host's objects.
pub(crate) fn all(host: &str) -> String {
    format!("{MANAGED_BY}={AGIS},{HOST}={host}")
}

/// Returns the selector of a server's objects.
pub(crate) fn all_of(host: &str, server: ServerId) -> String {
    format!("{},{SERVER}={server}", all(host))
}

pub(crate) fn fence(server: ServerId) -> String {
    format!("agis-{server}")
}

pub(crate) fn gameserver(server: ServerId, generation: Generation) -> String {
    format!("agis-{server}-{generation}")
}

pub(crate) fn world(server: ServerId) -> String {
    format!("agis-{server}-world")
}

/// Returns the server of an object, by its labels.
pub(crate) fn server(object: &impl ResourceExt) -> Option<ServerId> {
    object.labels().get(SERVER)?.parse().ok()
}

/// Returns the generation of an object, by its labels.
pub(crate) fn generation(object: &impl ResourceExt) -> Option<Generation> {
    object.labels().get(GENERATION)?.parse().ok()
}

/// Turns a text into the value of a label: invalid characters become `-`.
pub(crate) fn value(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let value: String = text.chars().map(allowed).take(VALUE_MAX).collect();
    value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_the_value_of_a_label() {
        for (name, label) in [
            ("Sunday", "Sunday"),
            ("Sunday's game!", "Sunday-s-game"),
            ("…", ""),
            ("--x_.", "x"),
            ("日曜 server", "server"),
            (&"a".repeat(100), &"a".repeat(63)),
        ] {
            assert_eq!(value(name), label, "{name}");
        }
    }
}
