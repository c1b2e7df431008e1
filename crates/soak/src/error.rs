use std::error::Error;

/// An outcome of the soak itself. Faults of the programs are [problems](crate::problems::Problems) instead.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// An error and its causes, in one line: PostgreSQL's own text is only "db error".
pub(crate) fn in_full(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
