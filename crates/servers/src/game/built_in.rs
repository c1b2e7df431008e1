//! Games that come with AGIS: one file each, in `crates/servers/games`.

/// Lists the files of this folder with their texts.
macro_rules! files {
    ($($file:literal,)*) => {
        &[$(($file, include_str!(concat!("../../games/", $file)))),*]
    };
}

/// Name and text of each file.
pub(super) const FILES: &[(&str, &str)] =
    files!["bzflag.toml", "demo.toml", "minetest.toml", "openarena.toml", "openttd.toml", "teeworlds.toml",];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_listed() {
        let folder = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/games")).expect("the folder");
        let found: BTreeSet<_> =
            folder.map(|file| file.expect("a file").file_name().into_string().expect("a name")).collect();
        assert_eq!(found, FILES.iter().map(|(file, _)| (*file).to_owned()).collect());
    }
}
