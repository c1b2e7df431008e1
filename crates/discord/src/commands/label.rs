//! Labels as they are typed.

use agis_servers::{Label, ServersError, label};

use crate::{call::Args, wording::Refusal};

/// Returns the label that a command is about, if it names one.
pub(crate) fn typed(args: &Args) -> Result<Option<Label>, Refusal> {
    let label = args.text("label").map(|text| text.parse()).transpose();
    label.map_err(|error: label::InvalidLabel| ServersError::Invalid { field: "label", rule: error.to_string() }.into())
}

/// Reads labels with commas between them; `-` stands for none.
pub(crate) fn read(typed: &str) -> Result<Vec<Label>, Refusal> {
    let texts = typed.split(',').map(str::trim).filter(|text| !text.is_empty() && typed.trim() != "-");
    Ok(label::read(&texts.map(str::to_owned).collect::<Vec<_>>())?)
}
