//! Labels of a server. Pure.

use std::collections::BTreeSet;

pub use agis_base::{InvalidLabel, Label};

use crate::service::{ServersError, invalid};

/// Maximum number of labels of a server.
pub const LABELS_MAX: usize = 10;

/// Reads the labels of a server, each once, in order.
///
/// # Errors
/// Fails if a text is no label, or if there are too many.
pub fn read(texts: &[String]) -> Result<Vec<Label>, ServersError> {
    if texts.len() > LABELS_MAX {
        return Err(invalid("labels", format!("has at most {LABELS_MAX} labels")));
    }
    let labels: Result<BTreeSet<Label>, _> = texts.iter().map(|text| text.parse()).collect();
    labels.map(|labels| labels.into_iter().collect()).map_err(|error| invalid("labels", format!("each {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_once_each_and_in_order() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let labels = read(&texts(&["b", "a", "B"])).expect("labels");
        assert_eq!(labels.iter().map(Label::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert!(read(&texts(&["a b"])).is_err_and(|error| error.to_string().starts_with("labels: each has 1 to 32")));
        assert!(read(&vec!["a".to_owned(); LABELS_MAX + 1]).is_err());
    }
}
