//! Containers as the catalogue writes them, and their rules.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use serde::Deserialize;

use super::{
    super::{Container, ContainerUser, Mount, Placeholder, template::placeholders},
    rules::{Broken, Rules, unknown_placeholders, unknown_value},
    written::Written,
};

/// Capabilities that a game may keep; capabilities(7). All others reach beyond the container.
const CAPABILITIES: [&str; 12] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_NICE",
];
/// Folders that belong to the kernel and the engine.
const RESERVED: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Maximum length of an image's reference, in bytes.
const IMAGE_MAX: usize = 255;
/// Folder for temporary files of a container that names none.
const TEMPORARY: &str = "/tmp";

/// Fields of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenContainer {
    image: String,
    #[serde(default)]
    entrypoint: Vec<String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    world: Option<WrittenMounts>,
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default)]
    read_only: Option<bool>,
    #[serde(default)]
    tmp: Option<Vec<String>>,
    #[serde(default)]
    public_ports: bool,
}

/// Path of the world, or a path for each of its folders.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a path, or a table of folders and their paths")]
enum WrittenMounts {
    Whole(String),
    Folders(BTreeMap<String, String>),
}

impl WrittenContainer {
    /// Returns every text whose placeholders a host fills in.
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        self.entrypoint.iter().chain(&self.command).chain(self.env.values())
    }

    /// Returns the program; `None` if the image names it.
    pub(super) fn program(&self) -> Option<&String> {
        self.entrypoint.first()
    }

    /// Returns the container; `None` if its account breaks a rule.
    pub(super) fn container(&self) -> Option<Container> {
        let user = match &self.user {
            Some(text) => Some(user(text)?),
            None => None,
        };
        Some(Container {
            image: self.image.clone(),
            entrypoint: self.entrypoint.clone(),
            command: self.command.clone(),
            user,
            mounts: self.mounts(),
            capabilities: self.capabilities.clone(),
            is_read_only: self.read_only.unwrap_or(true),
            temporary: self.temporary(),
            has_public_ports: self.public_ports,
        })
    }

    fn mounts(&self) -> Vec<Mount> {
        match &self.world {
            None => vec![],
            Some(WrittenMounts::Whole(path)) => vec![Mount { folder: String::new(), path: path.clone() }],
            Some(WrittenMounts::Folders(folders)) => {
                let mount = |(folder, path): (&String, &String)| Mount { folder: folder.clone(), path: path.clone() };
                folders.iter().map(mount).collect()
            }
        }
    }

    fn temporary(&self) -> Vec<String> {
        self.tmp.clone().unwrap_or_else(|| vec![TEMPORARY.to_owned()])
    }
}

/// Returns every rule that a game's container breaks.
pub(super) fn broken_rules(game: &Written) -> Vec<Broken> {
    let mut rules = Rules::default();
    let Some(container) = &game.container else { return rules.0 };
    rules.check(
        !is_reference(&container.image),
        &["container", "image"],
        "must be an image with a tag or a digest, such as `docker.io/library/busybox:1.37`",
    );
    for (field, parts) in [("entrypoint", &container.entrypoint), ("command", &container.command)] {
        for (place, part) in parts.iter().enumerate() {
            let path = ["container", field, &place.to_string()];
            rules.check(part.contains('\0'), &path, "must not contain a NUL: no program can be given one");
            text(&mut rules, game, &path, part);
        }
    }
    for (name, value) in &container.env {
        let path = ["container", "env", name.as_str()];
        rules.environment(&path, name, value);
        text(&mut rules, game, &path, value);
    }
    rules.check(
        container.user.as_deref().is_some_and(|text| user(text).is_none()),
        &["container", "user"],
        "must be a number, or two with a colon between them: `1000:1000`",
    );
    rules.check(
        !game.env.is_empty(),
        &["env"],
        "must not be there with a `container`: its variables are in `container.env`",
    );
    for (place, name) in container.capabilities.iter().enumerate() {
        rules.check(
            !CAPABILITIES.contains(&name.as_str()),
            &["container", "capabilities", &place.to_string()],
            &format!("must be one of {}", CAPABILITIES.join(", ")),
        );
    }
    paths(&mut rules, container);
    rules.0
}

/// Checks a text of a container, which may hold placeholders.
fn text(rules: &mut Rules, game: &Written, path: &[&str], text: &str) {
    if let Some(problem) = unknown_value(game, text) {
        rules.check(true, path, &problem);
    }
    for word in unknown_placeholders(text) {
        let problem = format!(
            "`{word}` is not a placeholder; use `{{name}}`, `{{port}}`, `{{bind}}`. Braces with a space in them stay"
        );
        rules.check(true, path, &problem);
    }
    let names_agis = placeholders(text).any(|(_, placeholder)| placeholder == Placeholder::Agis);
    rules.check(names_agis, path, "`{agis}` is a program of the machine, which a container does not have");
}

/// Checks that every folder has a place of its own in the container.
fn paths(rules: &mut Rules, container: &WrittenContainer) {
    let mut taken: Vec<(String, Vec<String>)> = vec![];
    let folders = match &container.world {
        Some(WrittenMounts::Folders(folders)) => folders.clone(),
        _ => BTreeMap::new(),
    };
    let worlds = match &container.world {
        Some(WrittenMounts::Whole(path)) => vec![(vec!["container".to_owned(), "world".to_owned()], path.clone())],
        _ => folders
            .iter()
            .map(|(folder, path)| (["container", "world", folder].map(str::to_owned).to_vec(), path.clone()))
            .collect(),
    };
    let temporary = container.tmp.iter().flatten().enumerate();
    let temporary = temporary
        .map(|(place, path)| (["container", "tmp", &place.to_string()].map(str::to_owned).to_vec(), path.clone()));
    for folder in folders.keys() {
        rules.check(
            !is_folder(folder),
            &["container", "world", folder],
            "must be the name of a folder: letters, digits, `.`, `_` and `-`, and no `.` in front",
        );
    }
    for (field, path) in worlds.into_iter().chain(temporary) {
        let at: Vec<_> = field.iter().map(String::as_str).collect();
        rules.check(!is_place(&path), &at, "must be an absolute path, below `/` and not in `/proc`, `/sys` or `/dev`");
        let meets = |(other, _): &&(String, Vec<String>)| {
            Path::new(other).starts_with(&path) || Path::new(&path).starts_with(other)
        };
        if let Some((other, _)) = taken.iter().find(meets) {
            rules.check(true, &at, &format!("must not be in, or above, `{other}`"));
        }
        taken.push((path, field));
    }
}

fn is_folder(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_part)
}

fn is_place(text: &str) -> bool {
    let path = Path::new(text);
    let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    // The parts of a path leave out what a second spelling of it would have.
    let is_written_so = path.components().collect::<std::path::PathBuf>().as_os_str() == path.as_os_str();
    path.is_absolute()
        && path.parent().is_some()
        && path.components().all(is_plain)
        && is_written_so
        && !text.contains([':', ',']) // The engines' own separators.
        && !text.contains(char::is_control)
        && !RESERVED.iter().any(|reserved| path.starts_with(reserved))
}

fn user(text: &str) -> Option<ContainerUser> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    // The last number means "no account" to the kernel.
    let number = |text: &str| text.parse().ok().filter(|number| *number < u32::MAX);
    Some(ContainerUser { uid: number(uid)?, gid: number(gid)? })
}

/// Checks whether a text is the reference of an image, by the grammar of the distribution project, with a tag or a digest.
fn is_reference(text: &str) -> bool {
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    let (path, tag) = match named.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (named, None),
    };
    let is_digest = |digest: &str| {
        digest.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        })
    };
    let is_tag = |tag: &str| {
        (1..=128).contains(&tag.len())
            && !tag.starts_with(['.', '-'])
            && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let is_part = |(place, part): (usize, &str)| {
        let is_host = place == 0 && path.contains('/');
        let is_inner = |byte: u8| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || b"._-".contains(&byte)
                || is_host && (byte.is_ascii_uppercase() || byte == b':')
        };
        !part.is_empty() && part.bytes().all(is_inner) && !part.starts_with(['.', '_', '-', ':'])
    };
    text.len() <= IMAGE_MAX
        && (tag.is_some() || digest.is_some())
        && digest.is_none_or(is_digest)
        && tag.is_none_or(is_tag)
        && path.split('/').enumerate().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_has_a_tag_or_a_digest() {
        let digest = format!("a/b@sha256:{}", "0a".repeat(32));
        let tagged = format!("localhost:5000/a/b:1@sha256:{}", "0a".repeat(32));
        for good in ["a:1", "docker.io/a/b_c:v1.2-x", "localhost:5000/game:latest", &digest, &tagged] {
            assert!(is_reference(good), "{good}");
        }
        let short = "a@sha256:12";
        for bad in ["", "a", ":1", "a:", "a/b", "A/b", "a b:1", "a:1 ", "a//b:1", "host:5000/a", short, "a:-1", "a\n:1"]
        {
            assert!(!is_reference(bad), "{bad}");
        }
    }

    #[test]
    fn place_in_a_container_is_below_its_root() {
        for good in ["/data", "/opt/game files", "/a/b.c"] {
            assert!(is_place(good), "{good}");
        }
        for bad in [
            "", "/", "data", "/a/../b", "/a/", "/a//b", "/a/./b", "/proc", "/sys/fs", "/dev/shm", "/a:b", "/a,ro",
            "/a\0",
        ] {
            assert!(!is_place(bad), "{bad}");
        }
    }

    #[test]
    fn account_is_one_number_or_two() {
        assert_eq!(user("7"), Some(ContainerUser { uid: 7, gid: 7 }));
        assert_eq!(user("7:8"), Some(ContainerUser { uid: 7, gid: 8 }));
        for bad in ["", "root", "7:", "-1", "4294967295", "1:2:3"] {
            assert_eq!(user(bad), None, "{bad}");
        }
    }
}
