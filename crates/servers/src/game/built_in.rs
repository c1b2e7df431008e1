//! Games that come with AGIS: one file each, in `crates/servers/games`.

/// Lists the files of this folder with their texts.
macro_rules! files {
    ($($file:literal,)*) => {
        &[$(($file, include_str!(concat!("../../games/", $file)))),*]
    };
}

/// Name and text of each file.
pub(super) const FILES: &[(&str, &str)] = files![
    "bzflag.toml",
    "counter-strike-2.toml",
    "demo.toml",
    "dont-starve-together.toml",
    "enshrouded.toml",
    "factorio.toml",
    "garrys-mod.toml",
    "minecraft-bedrock.toml",
    "minecraft.toml",
    "minetest.toml",
    "openarena.toml",
    "openttd.toml",
    "palworld.toml",
    "project-zomboid.toml",
    "rust.toml",
    "satisfactory.toml",
    "seven-days-to-die.toml",
    "teeworlds.toml",
    "terraria.toml",
    "v-rising.toml",
    "valheim.toml",
];

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
    };

    use super::{super::Catalogue, *};

    fn root(path: &str) -> String {
        format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn every_file_of_the_folder_is_listed() {
        let folder = fs::read_dir(root("games")).expect("the folder");
        let found: BTreeSet<_> =
            folder.map(|file| file.expect("a file").file_name().into_string().expect("a name")).collect();
        assert_eq!(found, FILES.iter().map(|(file, _)| (*file).to_owned()).collect());
    }

    #[test]
    fn every_entry_says_what_people_need() {
        let catalogue = Catalogue::built_in().expect("a catalogue");
        let readme = fs::read_to_string(root("../../README.md")).expect("the README");
        let readme: Vec<_> = readme.split_whitespace().collect();
        let readme = readme.join(" ");
        for (file, text) in FILES {
            let key = file.strip_suffix(".toml").expect("a TOML file");
            let game = catalogue.get(key).unwrap_or_else(|| panic!("{file} has a game of its own name"));
            assert!(text.starts_with("# "), "{key}: a comment says what the game needs");
            assert!(!game.ports.is_empty() && game.limits.memory.is_some() && game.limits.pids.is_some(), "{key}");
            for field in ["ready", "stop"] {
                assert!(text.contains(&format!("\n{field} = ")), "{key} has no {field}");
            }
            if key == "demo" {
                continue;
            }
            assert!(readme.contains(&game.title), "{key} is not in the README");
            assert!(game.about.documentation.is_some() && game.about.tried.is_some(), "{key}");
            assert!(!game.settings.is_empty() && game.settings.iter().all(|setting| !setting.help.is_empty()), "{key}");
            let licence = game.setting("eula").filter(|setting| setting.default.is_none());
            if let Some(address) = &game.about.eula {
                assert!(licence.is_some_and(|setting| setting.help.contains(address)), "{key}");
                let refusal = game.setting_values(&BTreeMap::new()).expect_err("nobody has accepted the licence");
                assert!(refusal.contains("'eula'") && refusal.contains(address), "{refusal}");
            }
            if let Some(container) = game.container() {
                assert!(game.limits.disk.is_some(), "{key}");
                let is_pinned = !container.image.ends_with(":latest");
                assert!(
                    is_pinned || text.contains("no tag but `latest`"),
                    "{key}: a comment says why it is not pinned"
                );
            } else {
                assert!(text.contains("# Debian: apt-get install "), "{key}");
            }
        }
    }
}
