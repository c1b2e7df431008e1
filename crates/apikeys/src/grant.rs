//! What a key may do, as one value, and the rule by which keys come from keys.
//!
//! A key gives nothing that it has not itself: not a scope, not a server, not a request, not an address, not an hour.
//! Everything that makes, changes or rotates a key asks `Grant::given`, with the rows of both keys locked. So whatever
//! keys do to one another, each of them stays within one that a person made. That all of them together have no more
//! requests than those, [`crate::family`] sees to.

use std::time::Duration;

use agis_base::Timestamp;
use thiserror::Error;

use crate::{
    address::Blocks,
    scope::{Scope, Scopes},
};

const DAY_S: u64 = 24 * 3600;

/// What a key may do: on what, how often, from where, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What it may do.
    pub scopes: Scopes,
    /// Requests per hour.
    pub rate_limit: u32,
    /// From where it may be used.
    pub allowed_ips: Blocks,
    /// When it ends; none where it does not.
    pub expires_at: Option<Timestamp>,
}

/// What is wanted of a new key; what is absent comes from the key that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it may do.
    pub scopes: Scopes,
    /// Requests per hour.
    pub rate_limit: Option<u32>,
    /// Requests per hour where nothing is said; less where the key that asks has less.
    pub default_rate_limit: u32,
    /// From where it may be used.
    pub allowed_ips: Option<Blocks>,
    /// Days until it ends. It ends with the key that asks at the latest.
    pub ttl_days: Option<u32>,
}

/// What may be changed of a key; `None` leaves a value as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// A new name.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Option<Scopes>,
    /// Requests per hour.
    pub rate_limit: Option<u32>,
    /// From where it may be used.
    pub allowed_ips: Option<Blocks>,
}

/// In what respect a key would have more than the one that asks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Beyond {
    /// The key that asks has not this scope.
    #[error("your key has not the scope '{0}', so it cannot give it, nor widen or rotate a key that has it")]
    Scope(Scope),
    /// The key that asks has a lower limit.
    #[error("your key has {0} requests per hour, so it cannot give more, nor widen or rotate a key that has more")]
    Limit(u32),
    /// The key would draw on too many buckets.
    #[error(
        "this key, or one that it made, draws on the limits of as many keys as it may, so yours cannot raise its limit; make \
         a new key"
    )]
    Makers,
    /// The key that asks may be used from fewer addresses.
    #[error(
        "your key may be used from some addresses only, so it cannot give more of them, nor widen or rotate a key that has more"
    )]
    Addresses,
    /// The key that asks ends earlier.
    #[error("your key ends at {}, so it cannot widen a key that ends later", .0.format("%Y-%m-%dT%H:%M:%SZ"))]
    End(Timestamp),
}

impl Wanted {
    /// What a new key may do, if the key that asks may give it; none asks where a person does.
    ///
    /// # Errors
    /// Where that would be more than the key that asks may do.
    pub fn granted(&self, held: Option<&Grant>, now: Timestamp) -> Result<Grant, Beyond> {
        let Self { scopes, rate_limit, default_rate_limit, allowed_ips, ttl_days } = self.clone();
        let default = held.map_or(default_rate_limit, |held| held.rate_limit.min(default_rate_limit));
        let grant = Grant {
            scopes,
            rate_limit: rate_limit.unwrap_or(default),
            allowed_ips: allowed_ips.or_else(|| held.map(|held| held.allowed_ips.clone())).unwrap_or_default(),
            expires_at: ttl_days.map(|days| now + Duration::from_secs(u64::from(days) * DAY_S)),
        };
        grant.ending_with(held).given(held)
    }
}

impl Grant {
    /// This with a change. To narrow is always allowed; a change that widens anything makes this key one that the key
    /// which asks gives anew, with all that it has then.
    ///
    /// # Errors
    /// Where the change widens, and the result would be more than the key that asks may do.
    pub fn changed(&self, held: Option<&Self>, change: &KeyChange) -> Result<Self, Beyond> {
        let KeyChange { name: _, scopes, rate_limit, allowed_ips } = change.clone();
        let after = Self {
            scopes: scopes.unwrap_or_else(|| self.scopes.clone()),
            rate_limit: rate_limit.unwrap_or(self.rate_limit),
            allowed_ips: allowed_ips.unwrap_or_else(|| self.allowed_ips.clone()),
            expires_at: self.expires_at,
        };
        if after.within(self).is_ok() { Ok(after) } else { after.given(held) }
    }

    /// What the key may do that takes the place of one with this. Whoever rotates a key can use it.
    ///
    /// # Errors
    /// Where that would be more than the key that asks may do.
    pub fn rotated(&self, held: Option<&Self>) -> Result<Self, Beyond> {
        self.clone().ending_with(held).given(held)
    }

    /// This, if the key that asks may give it. A person may give anything.
    fn given(self, held: Option<&Self>) -> Result<Self, Beyond> {
        held.map_or(Ok(()), |held| self.within(held)).map(|()| self)
    }

    fn ending_with(self, held: Option<&Self>) -> Self {
        let ends = self.expires_at.into_iter().chain(held.and_then(|held| held.expires_at));
        Self { expires_at: ends.min(), ..self }
    }

    /// Whether this is no more than `wider` in any respect.
    fn within(&self, wider: &Self) -> Result<(), Beyond> {
        if let Some(scope) = wider.scopes.first_beyond(&self.scopes) {
            return Err(Beyond::Scope(scope));
        }
        if self.rate_limit > wider.rate_limit {
            return Err(Beyond::Limit(wider.rate_limit));
        }
        if !self.allowed_ips.are_within(&wider.allowed_ips) {
            return Err(Beyond::Addresses);
        }
        match wider.expires_at {
            Some(end) if self.expires_at.is_none_or(|own| own > end) => Err(Beyond::End(end)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use agis_base::{Reach, ServerId};
    use proptest::prelude::*;

    use super::*;
    use crate::{Permission, address::Block};

    fn day(number: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(number * DAY_S)
    }

    fn scopes(words: &str) -> Scopes {
        words.split_whitespace().map(|word| word.parse::<Scope>().expect("a scope")).collect()
    }

    fn blocks(words: &str) -> Blocks {
        words.split_whitespace().map(|word| word.parse::<Block>().expect("a block")).collect()
    }

    fn grant(words: &str, rate_limit: u32, from: &str, until: Option<u64>) -> Grant {
        Grant { scopes: scopes(words), rate_limit, allowed_ips: blocks(from), expires_at: until.map(day) }
    }

    fn to(words: Option<&str>, rate_limit: Option<u32>, from: Option<&str>) -> KeyChange {
        KeyChange { name: None, scopes: words.map(scopes), rate_limit, allowed_ips: from.map(blocks) }
    }

    #[test]
    fn widening_needs_a_key_with_all_of_it() {
        let (everything, keys_only) = (grant("*", 100, "", None), grant("write:keys", 100, "", None));
        let brief = grant("*", 100, "127.0.0.1", Some(1));
        let (narrow, restricted) = (grant("read:keys", 10, "", None), grant("*", 10, "192.0.2.1", None));
        let no_change = to(None, None, None);
        let table = [
            ("its scopes", &brief, &narrow, to(Some("*"), None, None), Err(Beyond::Addresses)),
            ("and its addresses", &brief, &narrow, to(Some("*"), None, Some("127.0.0.1")), Err(Beyond::End(day(1)))),
            (
                "addresses of a key with more scopes",
                &keys_only,
                &restricted,
                to(None, None, Some("")),
                Err(Beyond::Scope(Scope::All)),
            ),
            (
                "requests of a key with more scopes",
                &keys_only,
                &restricted,
                to(None, Some(11), None),
                Err(Beyond::Scope(Scope::All)),
            ),
            ("more requests than it has", &everything, &narrow, to(None, Some(101), None), Err(Beyond::Limit(100))),
            ("within it", &everything, &narrow, to(Some("*"), Some(100), None), Ok(())),
            ("nothing", &narrow, &restricted, no_change, Ok(())),
            ("one thing, and narrows another", &keys_only, &restricted, to(Some("write:keys"), Some(11), None), Ok(())),
        ];
        for (what, held, key, change, expected) in table {
            assert_eq!(key.changed(Some(held), &change).map(drop), expected, "widens {what}");
            assert!(key.changed(None, &change).is_ok(), "a person widens {what}");
        }
    }

    #[test]
    fn to_narrow_is_always_allowed() {
        let (weak, strong) = (grant("write:keys", 1, "192.0.2.1", Some(1)), grant("*", 100, "", None));
        for change in
            [to(Some("read:servers:7"), None, None), to(None, Some(99), None), to(None, None, Some("10.0.0.0/8"))]
        {
            assert!(strong.changed(Some(&weak), &change).is_ok(), "{change:?}");
        }
    }

    #[test]
    fn successor_has_no_more_than_the_asking_key() {
        let (brief, endless) = (grant("*", 100, "", Some(1)), grant("*", 100, "", None));
        assert_eq!(endless.rotated(Some(&brief)), Ok(brief.clone()));
        assert_eq!(brief.rotated(Some(&endless)), Ok(brief));
        assert_eq!(endless.rotated(Some(&grant("write:keys", 100, "", None))), Err(Beyond::Scope(Scope::All)));
    }

    /// What anybody can do with a key: on which server (or anything that later versions add), from where, when.
    type Deed = (Option<(Permission, Option<ServerId>)>, IpAddr, Timestamp);

    fn deeds() -> Vec<Deed> {
        let servers = || [None, Some(ServerId(1)), Some(ServerId(2))].into_iter();
        let permissions = Permission::ALL.into_iter().flat_map(|it| servers().map(move |server| Some((it, server))));
        let places: Vec<IpAddr> =
            ["10.1.2.3", "10.2.0.1", "192.0.2.1", "2001:db8::1"].map(|it| it.parse().expect("an address")).into();
        let mut all = vec![];
        for what in permissions.chain([None]) {
            for place in &places {
                all.extend((0..4).map(|number| (what, *place, day(number))));
            }
        }
        all
    }

    /// Asks what requests ask, and nothing of what the rule asks.
    fn allows(grant: &Grant, (what, from, at): &Deed) -> bool {
        let allowed = match what {
            None => grant.scopes.iter().any(|scope| scope == Scope::All),
            Some((permission, server)) => grant.scopes.reach(*permission).is_some_and(|reach| match server {
                None => reach == Reach::Every,
                Some(server) => reach.covers(*server),
            }),
        };
        allowed && grant.allowed_ips.allow(Some(*from)) && grant.expires_at.is_none_or(|end| end > *at)
    }

    /// What keys do: the first does it with the second.
    #[derive(Debug, Clone)]
    enum Step {
        Create(usize, Wanted),
        Change(usize, usize, KeyChange),
        Rotate(usize, usize),
    }

    fn any_scopes() -> impl Strategy<Value = Scopes> {
        let words = [
            "*",
            "write:keys",
            "read:keys",
            "write:servers",
            "read:servers",
            "write:servers:1",
            "read:servers:2",
            "write:schedules:1",
        ];
        prop::collection::vec(prop::sample::select(words.to_vec()), 1..4).prop_map(|words| scopes(&words.join(" ")))
    }

    fn any_blocks() -> impl Strategy<Value = Blocks> {
        let words = ["", "", "10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "0.0.0.0/0", "::/0", "10.0.0.0/8 2001:db8::1"];
        prop::sample::select(words.to_vec()).prop_map(blocks)
    }

    fn any_end() -> impl Strategy<Value = Option<Timestamp>> {
        prop::option::of((0_u64..4).prop_map(day))
    }

    prop_compose! {
        fn any_grant()(scopes in any_scopes(), rate_limit in 1_u32..6, allowed_ips in any_blocks(), expires_at in any_end()) -> Grant {
            Grant { scopes, rate_limit, allowed_ips, expires_at }
        }
    }

    prop_compose! {
        fn any_wanted()(
            scopes in any_scopes(), rate_limit in prop::option::of(1_u32..6), default_rate_limit in 1_u32..6,
            allowed_ips in prop::option::of(any_blocks()), ttl_days in prop::option::of(0_u32..4),
        ) -> Wanted {
            Wanted { scopes, rate_limit, default_rate_limit, allowed_ips, ttl_days }
        }
    }

    prop_compose! {
        fn any_change()(
            scopes in prop::option::of(any_scopes()), rate_limit in prop::option::of(1_u32..6),
            allowed_ips in prop::option::of(any_blocks()),
        ) -> KeyChange {
            KeyChange { name: None, scopes, rate_limit, allowed_ips }
        }
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let any = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
        prop_oneof![
            1 => (any(), any_wanted()).prop_map(|(by, wanted)| Step::Create(by, wanted)),
            2 => (any(), any(), any_change()).prop_map(|(by, of, change)| Step::Change(by, of, change)),
            1 => (any(), any()).prop_map(|(by, of)| Step::Rotate(by, of)),
        ]
    }

    proptest! {
        #[test]
        fn every_key_stays_within_a_persons_key(
            roots in prop::collection::vec(any_grant(), 1..4),
            steps in prop::collection::vec(any_step(), 1..30),
        ) {
            let mut keys = roots.clone();
            for step in steps {
                let before = keys.clone();
                let key = |index: usize| before[index % before.len()].clone();
                match step {
                    Step::Create(by, wanted) => keys.extend(wanted.granted(Some(&key(by)), day(0))),
                    Step::Rotate(by, of) => keys.extend(key(of).rotated(Some(&key(by)))),
                    Step::Change(by, of, change) => {
                        if let Ok(after) = key(of).changed(Some(&key(by)), &change) {
                            let of = of % keys.len();
                            keys[of] = after;
                        }
                    }
                }
            }
            let deeds = deeds();
            for key in &keys {
                let can: Vec<_> = deeds.iter().filter(|deed| allows(key, deed)).collect();
                let is_within = |root: &&Grant| {
                    key.rate_limit <= root.rate_limit && can.iter().all(|deed| allows(root, deed))
                };
                prop_assert!(roots.iter().find(is_within).is_some(), "{key:?} is within none of {roots:?}");
            }
        }
    }
}
