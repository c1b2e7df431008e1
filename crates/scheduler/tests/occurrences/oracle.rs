//! A second, slow way to the same answer: look at every minute. Shares no code with the crate.

use agis_scheduler::{Slot, Zone};
use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};

/// An expression of numbers, as lists of what each field takes.
pub(crate) struct Matcher {
    fields: [Vec<bool>; 5],
    either_day: bool,
    every_instant: bool,
}

impl Matcher {
    pub(crate) fn new(text: &str) -> Self {
        let texts: Vec<&str> = text.split(' ').collect();
        let limits = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
        let mut fields = [0, 1, 2, 3, 4].map(|index: usize| field(texts[index], limits[index]));
        fields[4][0] |= fields[4][7];
        let star = |index: usize| texts[index].starts_with('*');
        Self { fields, either_day: !star(2) && !star(4), every_instant: star(0) || star(1) }
    }

    fn day_and_time(&self, wall: &Wall) -> bool {
        let [minute, hour, day, month, weekday] = wall.fields;
        let (day, weekday) = (self.fields[2][day], self.fields[4][weekday]);
        let days = if self.either_day { day || weekday } else { day && weekday };
        self.fields[0][minute] && self.fields[1][hour] && self.fields[3][month] && days
    }
}

fn field(text: &str, (low, high): (usize, usize)) -> Vec<bool> {
    let mut taken = vec![false; high + 1];
    for item in text.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((first, last)) => (number(first), number(last)),
            None => (number(range), number(range)),
        };
        (first..=last).step_by(number(step)).for_each(|value| taken[value] = true);
    }
    taken
}

fn number(text: &str) -> usize {
    text.parse().expect("the oracle is given numbers only")
}

/// One minute of local time, at the instant at which it counts.
struct Wall {
    at: i64,
    local: NaiveDateTime,
    fields: [usize; 5],
    shown: Shown,
}

#[derive(PartialEq)]
enum Shown {
    First,
    Again,
    LeftOut,
}

/// Every local minute of a zone between two instants.
pub(crate) struct Window {
    from: i64,
    until: i64,
    walls: Vec<Wall>,
}

impl Window {
    /// Judges `from` to before `until`; starts to look a day earlier, to know what a repeated hour repeats.
    pub(crate) fn new(zone: &Zone, from: i64, until: i64) -> Self {
        let start = (from - 86_400) / 60 * 60;
        let (first, changes) = (offset(zone, start), changes(zone, start, until));
        let local = |at| at + changes.iter().rfind(|change| change.0 <= at).map_or(first, |change| change.2);
        // Liberia was 44 minutes and 30 seconds behind until 1972.
        let step = if first % 60 == 0 { 60 } else { 30 };
        let mut seen = vec![false; ((until - start) / 60) as usize + 4 * 1_440];
        let (mut walls, mut before) = (Vec::new(), local(start));
        for at in (start..until).step_by(step) {
            let now = local(at);
            let jump = now - before;
            let mut minute = if jump > 60 && jump <= 86_400 { before + 1 } else { now };
            while minute <= now {
                if minute % 60 == 0 {
                    let seen = &mut seen[((minute - start) / 60 + 2 * 1_440) as usize];
                    if at >= from {
                        let shown = if minute < now { Shown::LeftOut } else { Shown::First };
                        walls.push(wall(at, minute, if *seen { Shown::Again } else { shown }));
                    }
                    *seen = true;
                }
                minute += 1;
            }
            before = now;
        }
        Self { from, until, walls }
    }

    /// The last second before the window.
    pub(crate) fn before(&self) -> DateTime<Utc> {
        utc(self.from - 1)
    }

    pub(crate) fn contains(&self, slot: &Slot) -> bool {
        slot.at.timestamp() < self.until
    }

    pub(crate) fn slots(&self, matcher: &Matcher) -> Vec<Slot> {
        let mut slots: Vec<Slot> = Vec::new();
        for wall in self.walls.iter().filter(|wall| matcher.day_and_time(wall)) {
            let due = if matcher.every_instant { wall.shown != Shown::LeftOut } else { wall.shown != Shown::Again };
            let at = utc(wall.at);
            match slots.last_mut() {
                _ if !due => {}
                Some(slot) if slot.at == at => slot.local.push(wall.local),
                _ => slots.push(Slot { at, local: vec![wall.local] }),
            }
        }
        slots
    }
}

fn wall(at: i64, minute: i64, shown: Shown) -> Wall {
    let local = utc(minute).naive_utc();
    let (date, time) = (local.date(), local.num_seconds_from_midnight());
    let weekday = date.weekday().num_days_from_sunday();
    let fields = [(time / 60) % 60, time / 3_600, date.day(), date.month(), weekday];
    Wall { at, local, fields: fields.map(|value| value as usize), shown }
}

fn utc(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(at, 0).expect("within chrono's calendar")
}

/// Seconds east of Greenwich.
fn offset(zone: &Zone, at: i64) -> i64 {
    zone.local(utc(at)).offset().local_minus_utc().into()
}

/// The instants from `from` to `until` at which the offset changes, and the offsets before and after.
pub(crate) fn changes(zone: &Zone, from: i64, until: i64) -> Vec<(i64, i64, i64)> {
    let probe = TimeDelta::days(1).num_seconds();
    let mut found = Vec::new();
    let mut before = offset(zone, from);
    for start in (from..until).step_by(probe as usize) {
        let (mut low, mut high) = (start, start + probe);
        let after = offset(zone, high);
        if after == before {
            continue;
        }
        while high - low > 1 {
            let middle = (low + high) / 2;
            if offset(zone, middle) == before { low = middle } else { high = middle }
        }
        found.push((high, before, after));
        before = after;
    }
    found
}
