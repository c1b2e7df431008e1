//! Templates: schedules with which people begin, for both transports.

use crate::work::{InvalidLine, Work};

/// Template of one schedule or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Name in requests.
    pub name: &'static str,
    /// Title for people.
    pub title: &'static str,
    /// Its schedules.
    pub drafts: &'static [Draft],
}

/// Schedule without its servers and its time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draft {
    /// Expression of its times.
    pub cron: &'static str,
    lines: &'static str,
}

impl Draft {
    /// Returns the work of each run.
    ///
    /// # Errors
    /// Fails if a line is no step; a test sees to it that none is.
    pub fn work(&self) -> Result<Work, InvalidLine> {
        Work::of_lines(self.lines)
    }
}

/// All templates, by name.
pub const ALL: &[Template] = &[
    Template {
        name: "evenings",
        title: "Evenings only: start at 18:00, stop at 23:00",
        drafts: &[
            Draft { cron: "0 18 * * *", lines: "start" },
            Draft { cron: "0 23 * * *", lines: "stop warn 10m 5m 1m" },
        ],
    },
    Template {
        name: "nightly-restart",
        title: "Nightly restart at 05:00, with a warning",
        drafts: &[Draft { cron: "0 5 * * *", lines: "restart warn 15m 5m 1m" }],
    },
    Template {
        name: "weekly-reset",
        title: "Weekly reset on Mondays at 06:00: stop with a warning, rest, start",
        drafts: &[Draft {
            cron: "0 6 * * 1",
            lines: "stop warn 1h 15m 5m 1m\nwait until stopped 10m\nwait 1m\nfinally start\n\
                    finally wait until ready 15m",
        }],
    },
];

/// Returns the template of this name.
pub fn named(name: &str) -> Option<&'static Template> {
    ALL.iter().find(|template| template.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timing;

    #[test]
    fn every_template_can_be_used() {
        assert!(ALL.is_sorted_by_key(|template| template.name));
        for template in ALL {
            assert_eq!(named(template.name), Some(template));
            for draft in template.drafts {
                Timing::parse(draft.cron, "Europe/Berlin").expect(template.name);
                draft.work().expect(template.name).check().expect(template.name);
            }
        }
    }
}
