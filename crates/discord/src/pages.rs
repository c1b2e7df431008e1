//! Pages of lists, and the buttons that turn them.

use twilight_model::channel::message::component::{Button, ButtonStyle};

use crate::{
    code::{Code, Listed},
    render::card::button,
};

/// Number of items per page: with the longest names they fit an embed.
pub(crate) const PAGE: usize = 10;
/// Last page that is read. A user with more items finds them by name.
const LAST: u32 = 99;

/// Returns the number of items to read for a page: those before it, its own, and one that proves that there are more.
pub(crate) fn read_for(page: u32) -> u32 {
    (page.min(LAST) + 1) * PAGE as u32 + 1
}

/// Page of the items that were read for it, or the last page with items if that one is empty.
pub(crate) struct Piece<'a, T> {
    pub(crate) items: &'a [T],
    pub(crate) buttons: Vec<Button>,
}

impl<'a, T> Piece<'a, T> {
    pub(crate) fn of(list: Listed, page: u32, read: &'a [T]) -> Self {
        let page = (page.min(LAST) as usize).min(read.len().saturating_sub(1) / PAGE);
        let (begin, end) = (page * PAGE, ((page + 1) * PAGE).min(read.len()));
        let turn = |label, page: usize| {
            let page = u32::try_from(page).unwrap_or(LAST);
            button(ButtonStyle::Secondary, label, Code::Turn(list.clone(), page).text())
        };
        let mut buttons = vec![];
        if page > 0 {
            buttons.push(turn("Previous", page - 1));
        }
        if end < read.len() && page < LAST as usize {
            buttons.push(turn("Next", page + 1));
        }
        Self { items: &read[begin..end], buttons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u32, of: usize) -> (Vec<usize>, Vec<String>) {
        let read: Vec<usize> = (0..of.min(read_for(number) as usize)).collect();
        let piece = Piece::of(Listed::Keys, number, &read);
        (piece.items.to_vec(), piece.buttons.into_iter().filter_map(|button| button.label).collect())
    }

    #[test]
    fn every_item_is_on_one_page() {
        for of in [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 3 * PAGE + 1] {
            let pages = of.div_ceil(PAGE).max(1);
            let mut seen = vec![];
            for number in 0..pages {
                let (items, buttons) = page(u32::try_from(number).expect("few"), of);
                seen.extend(items);
                let expected = [(number > 0, "Previous"), (number + 1 < pages, "Next")];
                let expected: Vec<_> = expected.iter().filter(|it| it.0).map(|it| it.1).collect();
                assert_eq!(buttons, expected, "page {number} of {of}");
            }
            assert_eq!(seen, (0..of).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_page_that_is_gone_is_the_last_one() {
        assert_eq!(page(7, PAGE + 1), (vec![PAGE], vec!["Previous".to_owned()]));
        assert_eq!(page(u32::MAX, 3), (vec![0, 1, 2], vec![]));
    }
}
