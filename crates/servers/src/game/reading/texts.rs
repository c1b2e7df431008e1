//! Texts of a catalogue's files, as one text: a place in it leads to a file and a line.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::Mistake;

/// Texts of several files.
#[derive(Default)]
pub(super) struct Texts {
    joined: String,
    /// Name of each file, and the place at which its text begins.
    files: Vec<(String, usize)>,
}

impl Texts {
    /// Adds a file, and returns its number. The one that an operator names has the name "".
    pub(super) fn add(&mut self, file: &str, text: &str) -> usize {
        self.files.push((file.to_owned(), self.joined.len()));
        self.joined.push_str(text);
        self.len() - 1
    }

    /// Returns the number of files.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns the document of a file, with places in all texts, and every place at which its text is not TOML.
    pub(super) fn document(&self, file: usize) -> (DeTable<'_>, Vec<Mistake>) {
        let start = self.files[file].1;
        let end = self.files.get(file + 1).map_or(self.joined.len(), |(_, next)| *next);
        let text = &self.joined[start..end];
        let (document, errors) = DeTable::parse_recoverable(text);
        let mistakes = errors.iter().map(|error| {
            let place = error.span().unwrap_or_default();
            let problem = match (error.message(), text.get(place.clone())) {
                ("duplicate key", Some(key)) if !key.is_empty() => format!("{key} is there twice"),
                (message, _) => message.to_owned(),
            };
            self.mistake(start + place.start, "", &problem)
        });
        (table_at(document.into_inner(), start), mistakes.collect())
    }

    /// Returns a mistake at this place.
    pub(super) fn mistake(&self, at: usize, field: &str, problem: &str) -> Mistake {
        let (file, line) = self.line(at);
        Mistake { file: file.to_owned(), line, field: field.to_owned(), problem: problem.to_owned() }
    }

    /// Names a place to people.
    pub(super) fn name(&self, at: usize) -> String {
        match self.line(at) {
            ("", line) => format!("line {line}"),
            (file, line) => format!("{file}, line {line}"),
        }
    }

    /// Sorts mistakes by their places.
    pub(super) fn sort(&self, mistakes: &mut [Mistake]) {
        let file = |mistake: &Mistake| self.files.iter().position(|(file, _)| *file == mistake.file);
        mistakes.sort_by_key(|mistake| (file(mistake), mistake.line));
    }

    /// Returns the number of the file that has a place; `None` without files.
    pub(super) fn file(&self, at: usize) -> Option<usize> {
        self.files.iter().rposition(|(_, start)| *start <= at)
    }

    /// Returns the file and the line of a place, from 1.
    fn line(&self, at: usize) -> (&str, usize) {
        let (file, start) = self.file(at).map_or(("", 0), |file| (&*self.files[file].0, self.files[file].1));
        let before = self.joined.as_bytes().get(start..at).unwrap_or_default();
        (file, before.iter().filter(|byte| **byte == b'\n').count() + 1)
    }
}

/// Moves every place in a table by `start`.
fn table_at(table: DeTable<'_>, start: usize) -> DeTable<'_> {
    table.into_iter().map(|(name, value)| (moved(name, start), value_at(value, start))).collect()
}

fn value_at(value: Spanned<DeValue<'_>>, start: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(table_at(table, start)),
        DeValue::Array(mut items) => {
            items.iter_mut().for_each(|item| *item = value_at(item.clone(), start));
            DeValue::Array(items)
        }
        other => other,
    };
    moved(Spanned::new(span, value), start)
}

fn moved<T>(value: Spanned<T>, start: usize) -> Spanned<T> {
    let span = value.span();
    Spanned::new(span.start + start..span.end + start, value.into_inner())
}
