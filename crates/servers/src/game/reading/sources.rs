//! Files of a catalogue: the one that an operator names, those that it includes, and those that come with AGIS.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{super::built_in, Mistake, texts::Texts};

/// Maximum number of files that a catalogue consists of.
const FILES_MAX: usize = 100;
/// Maximum size of a file, in bytes. No catalogue is known to have a tenth of it.
const FILE_MAX: u64 = 1 << 20;
/// Key at the top of a file that lists further files.
const INCLUDE: &str = "include";
/// Key at the top of the first file that names the catalogue to extend.
const EXTEND: &str = "extend";
/// Name of the catalogue that comes with AGIS.
const BUILT_IN: &str = "built-in";

/// Texts of a catalogue, and the mistakes that were found while they were gathered.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) texts: Texts,
    /// Number of files that are not AGIS' own. They are the first ones.
    own: usize,
    mistakes: Vec<Mistake>,
    /// Files that are read.
    read: Vec<PathBuf>,
    /// Files still to read, and the place that includes each.
    queue: VecDeque<(PathBuf, usize)>,
    extends: bool,
}

impl Sources {
    /// Gathers the catalogue that comes with AGIS.
    pub(super) fn built_in() -> Self {
        Self { extends: true, ..Self::default() }.complete()
    }

    /// Takes a text, which can include no files.
    pub(super) fn of_text(text: &str) -> Self {
        let mut sources = Self::default();
        sources.add("", text.as_bytes(), None);
        sources.complete()
    }

    /// Gathers a file and those that it includes.
    ///
    /// # Errors
    /// Returns the reason why the file itself cannot be read.
    pub(super) fn of_file(path: &Path) -> io::Result<Self> {
        let mut sources = Self { read: vec![identity(path)], ..Self::default() };
        sources.add("", &content(path)?, path.parent());
        while let Some((path, place)) = sources.queue.pop_front() {
            sources.include(&path, place);
        }
        Ok(sources.complete())
    }

    fn complete(mut self) -> Self {
        self.own = self.texts.len();
        let files = if self.extends { built_in::FILES } else { &[] };
        for (file, text) in files {
            self.texts.add(&format!("built-in {file}"), text);
        }
        self
    }

    /// Returns the tables of all games, and every mistake.
    pub(super) fn games(&self) -> (DeTable<'_>, Vec<Mistake>) {
        let mut mistakes = self.mistakes.clone();
        let [mut own, mut games] = [DeTable::new(), DeTable::new()];
        for file in 0..self.texts.len() {
            let (document, found) = self.texts.document(file);
            mistakes.extend(found);
            let is_own = file < self.own;
            let tables = document.into_iter().filter(|(key, _)| ![INCLUDE, EXTEND].contains(&key.get_ref().as_ref()));
            for (key, value) in tables {
                let into = if is_own { &mut own } else { &mut games };
                match into.get_key_value(&**key.get_ref()) {
                    Some((other, _)) => {
                        let problem = format!("this game is in {} already", self.texts.name(other.span().start));
                        mistakes.push(self.texts.mistake(key.span().start, key.get_ref(), &problem));
                    }
                    None => drop(into.insert(key, value)),
                }
            }
        }
        for (key, value) in own {
            let has_title = value.get_ref().as_table().is_some_and(|fields| fields.contains_key("title"));
            if self.extends && !has_title && !games.contains_key(&**key.get_ref()) {
                let problem = "no game of this name comes with AGIS, and a game of your own needs a `title`";
                mistakes.push(self.texts.mistake(key.span().start, key.get_ref(), problem));
            } else {
                put(&mut games, key, value);
            }
        }
        (games, mistakes)
    }

    /// Checks whether a place is in a file that comes with AGIS.
    pub(super) fn is_built_in(&self, place: usize) -> bool {
        self.texts.file(place) >= Some(self.own)
    }

    fn include(&mut self, path: &Path, place: usize) {
        let shown = path.display();
        let problem = if self.read.len() >= FILES_MAX {
            format!("{shown} would be one of more than {FILES_MAX} files")
        } else if self.read.contains(&identity(path)) {
            format!("{shown} is included already, or includes this file")
        } else {
            match content(path) {
                Ok(content) => {
                    self.read.push(identity(path));
                    return self.add(&shown.to_string(), &content, path.parent());
                }
                Err(error) => format!("{shown} cannot be read: {error}"),
            }
        };
        self.tell(place, INCLUDE, &problem);
    }

    fn tell(&mut self, place: usize, field: &str, problem: &str) {
        self.mistakes.push(self.texts.mistake(place, field, problem));
    }

    /// Adds a file, and the files that it includes to the queue. Their paths are relative to `folder`.
    fn add(&mut self, name: &str, content: &[u8], folder: Option<&Path>) {
        let text = match str::from_utf8(content) {
            Ok(text) => text,
            Err(error) => {
                let line = content[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
                let (file, problem) = (name.to_owned(), "this is not UTF-8".to_owned());
                return self.mistakes.push(Mistake { file, line, field: String::new(), problem });
            }
        };
        let file = self.texts.add(name, text);
        let (document, _) = self.texts.document(file);
        let at = |key| document.get_key_value(key).map(|(key, value)| (key.span().start, value.get_ref()));
        let extend = at(EXTEND).map(|(place, value)| (place, value.as_str() == Some(BUILT_IN)));
        let include = at(INCLUDE).map(|(place, value)| (place, listed(value)));
        match extend {
            None => {}
            Some((_, true)) if file == 0 => self.extends = true,
            Some((place, true)) => self.tell(place, EXTEND, "must stand in the first file, not in an included one"),
            Some((place, false)) => self.tell(place, EXTEND, "must be \"built-in\""),
        }
        match (include, folder) {
            (None, _) => {}
            (Some((place, _)), None) => self.tell(place, INCLUDE, "must not be there: this catalogue is no file"),
            (Some((place, None)), _) => {
                self.tell(place, INCLUDE, "must be a list of paths, such as `[\"more.toml\", \"games.d/*.toml\"]`")
            }
            (Some((_, Some(paths))), Some(folder)) => {
                paths.iter().for_each(|(path, place)| self.enqueue(&folder.join(path), *place))
            }
        }
    }

    fn enqueue(&mut self, path: &Path, place: usize) {
        match matching(path) {
            Ok(found) => self.queue.extend(found.into_iter().map(|path| (path, place))),
            Err(error) => self.tell(place, INCLUDE, &format!("{} cannot be read: {error}", path.display())),
        }
    }
}

/// Puts a value into a table: a table is merged with the one that is there, and any other value replaces it.
fn put<'a>(into: &mut DeTable<'a>, key: Spanned<Cow<'a, str>>, value: Spanned<DeValue<'a>>) {
    let there = into.remove(&**key.get_ref()).map(Spanned::into_inner);
    let span = value.span();
    let value = match (there, value.into_inner()) {
        (Some(DeValue::Table(mut there)), DeValue::Table(news)) => {
            news.into_iter().for_each(|(key, value)| put(&mut there, key, value));
            DeValue::Table(there)
        }
        (_, value) => value,
    };
    into.insert(key, Spanned::new(span, value));
}

/// Returns the paths of a list, with their places; `None` if it is no such list.
fn listed(value: &DeValue<'_>) -> Option<Vec<(String, usize)>> {
    value.as_array()?.iter().map(|item| Some((item.get_ref().as_str()?.to_owned(), item.span().start))).collect()
}

/// Returns the path, or the files that a path with a `*` in its last part matches, in the order of their names.
fn matching(path: &Path) -> io::Result<Vec<PathBuf>> {
    let pattern = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('*'));
    let (Some((begin, end)), Some(folder)) = (pattern, path.parent()) else { return Ok(vec![path.to_owned()]) };
    let is_meant = |name: &str| {
        name.len() >= begin.len() + end.len()
            && name.starts_with(begin)
            && name.ends_with(end)
            && !name.starts_with('.')
    };
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    let mut found: Vec<_> =
        names.iter().filter(|name| name.to_str().is_some_and(is_meant)).map(|name| folder.join(name)).collect();
    found.sort();
    Ok(found)
}

/// Returns one path for each file, however it is named.
fn identity(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    // To open a pipe would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is no file"));
    }
    let mut content = vec![];
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_MAX {
        return Err(io::Error::other("this file is larger than 1 MiB"));
    }
    Ok(content)
}

#[cfg(test)]
pub(super) mod tests;
