//! Many items done together, and, where that fails, in ever smaller parts: one that cannot be done now must not hold up the
//! others.

use std::time::{Duration, Instant};

/// Time that is spent on finding out which item of many cannot be done.
const PATIENCE: Duration = Duration::from_secs(12);

/// Parts that are still to be done.
pub(crate) struct Parts<'a, T> {
    parts: Vec<&'a [T]>,
    until: Instant,
}

impl<'a, T> Parts<'a, T> {
    /// Begins with all items as one part.
    pub(crate) fn of(items: &'a [T]) -> Self {
        let parts = if items.is_empty() { vec![] } else { vec![items] };
        Self { parts, until: Instant::now() + PATIENCE }
    }

    /// Takes the next part.
    pub(crate) fn next(&mut self) -> Option<&'a [T]> {
        self.parts.pop()
    }

    /// Has the halves of a part that failed done one after the other; `false` if it is a single item, or if there is no more
    /// time: then the other parts are left, too.
    pub(crate) fn split(&mut self, part: &'a [T]) -> bool {
        if Instant::now() > self.until {
            self.parts.clear();
            return false;
        }
        if part.len() <= 1 {
            return false;
        }
        let (left, right) = part.split_at(part.len() / 2);
        self.parts.extend([right, left]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_item_holds_up_no_other() {
        let (mut done, mut failed) = (vec![], vec![]);
        let mut parts = Parts::of(&[1, 2, 3, 4, 5]);
        while let Some(part) = parts.next() {
            match part.contains(&4) {
                false => done.extend(part),
                true if parts.split(part) => {}
                true => failed.extend(part),
            }
        }
        assert_eq!((done, failed), (vec![1, 2, 3, 5], vec![4]));
        assert!(Parts::<u8>::of(&[]).next().is_none());
    }
}
