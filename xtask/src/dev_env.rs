use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::database::PRIVATE_URL;
use crate::failure::Result;
use crate::state::{State, make_enterable};

/// `dev.env`, a file that a shell sources to talk to the AGIS of `cargo xtask dev`. Each state has its own.
#[derive(Debug)]
pub(crate) struct DevEnv {
    /// The path of the file.
    pub(crate) path: PathBuf,
    pub(crate) api_url: String,
    pub(crate) metrics_url: String,
    pub(crate) api_key: String,
    pub(crate) database_url: String,
    pub(crate) database_is_private: bool,
}

impl DevEnv {
    /// Returns a variable from the file of an earlier run on this state.
    pub(crate) fn read(state: &State, name: &str) -> Option<String> {
        let file = fs::read_to_string(state.dev_env()).ok()?;
        file.lines().find_map(|line| parse(line, name))
    }

    /// Replaces the file; nobody but its owner may read it, as it holds a key.
    pub(crate) fn write(&self) -> Result {
        let path = &self.path;
        path.parent().map_or(Ok(()), make_enterable)?;
        let fresh = path.with_extension("env.new");
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(self.content().as_bytes())?;
        Ok(fs::rename(&fresh, path)?)
    }

    fn content(&self) -> String {
        let private = self.database_is_private.then_some((PRIVATE_URL, &self.database_url));
        let lines = [
            ("AGIS_API_URL", &self.api_url),
            ("AGIS_METRICS_URL", &self.metrics_url),
            ("AGIS_API_KEY", &self.api_key),
            ("DATABASE_URL", &self.database_url),
        ];
        let export = |(name, value): (&str, &String)| format!("export {name}='{}'\n", value.replace('\'', r"'\''"));
        let lines: String = lines.into_iter().chain(private).map(export).collect();
        format!("# Written by `cargo xtask dev`; source it.\n{lines}")
    }
}

fn parse(line: &str, name: &str) -> Option<String> {
    let value = line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix("='")?.strip_suffix('\'')?;
    Some(value.replace(r"'\''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_file_is_read_back() {
        let env = DevEnv {
            path: PathBuf::from("dev.env"),
            api_url: "http://127.0.0.1:8080".to_owned(),
            metrics_url: "http://127.0.0.1:8081".to_owned(),
            api_key: "agis_key".to_owned(),
            database_url: "postgres://u:it's@h/db?a=b&c=d".to_owned(),
            database_is_private: true,
        };
        let content = env.content();
        let read = |name| content.lines().find_map(|line| parse(line, name));
        assert_eq!(read("AGIS_API_KEY"), Some(env.api_key.clone()));
        assert_eq!(read("DATABASE_URL"), Some(env.database_url.clone()));
        assert_eq!(read(PRIVATE_URL), Some(env.database_url.clone()));
        assert_eq!(read("AGIS_API"), None);
    }
}
