//! Rights of a key as one value, and the rule by which keys make keys.
//!
//! A key never gives more than it has: no further scope, server, request, address or hour. Every action that makes,
//! changes or rotates a key asks `Grant::given` while the rows of both keys are locked. So each key stays within one
//! that a person made. [`crate::family`] keeps the requests of all of them together within those of that key.

use std::time::Duration;

use agis_base::Timestamp;
use thiserror::Error;

use crate::{
    address::Blocks,
    scope::{Scope, Scopes},
};

const DAY_S: u64 = 24 * 3600;

/// Rights of a key: its scopes, limit, addresses and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Scopes of the key.
    pub scopes: Scopes,
    /// Limit in requests per hour.
    pub rate_limit: u32,
    /// Addresses from which the key can be used.
    pub allowed_ips: Blocks,
    /// Time at which the key ends; `None` if it never does.
    pub expires_at: Option<Timestamp>,
}

/// Rights that a new key should get. Absent ones come from the key that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Scopes of the new key.
    pub scopes: Scopes,
    /// Limit in requests per hour; `None` for the default.
    pub rate_limit: Option<u32>,
    /// Default limit in requests per hour. The key that asks may have a lower one, which then holds.
    pub default_rate_limit: u32,
    /// Addresses from which the key can be used; `None` for those of the key that asks.
    pub allowed_ips: Option<Blocks>,
    /// Days until the key ends; `None` for no end. The key that asks may end earlier, and the new key with it.
    pub ttl_days: Option<u32>,
}

/// Change of a key; `None` leaves a value as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// New name.
    pub name: Option<String>,
    /// New scopes.
    pub scopes: Option<Scopes>,
    /// New limit in requests per hour.
    pub rate_limit: Option<u32>,
    /// New addresses from which the key can be used.
    pub allowed_ips: Option<Blocks>,
}

/// Right that a key would have and the key that asks does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Beyond {
    /// The key that asks does not have this scope.
    #[error("your key does not have the scope '{0}', so it cannot give it, nor widen or rotate a key that has it")]
    Scope(Scope),
    /// The key that asks has this lower limit, in requests per hour.
    #[error("your key has {0} requests per hour, so it cannot give more, nor widen or rotate a key that has more")]
    Limit(u32),
    /// The key would draw on too many buckets.
    #[error(
        "this key, or one that it made, already draws on the limits of the maximum number of keys, so yours cannot raise \
         its limit; make a new key"
    )]
    Makers,
    /// The key that asks can be used from fewer addresses.
    #[error(
        "your key can be used from some addresses only, so it cannot give more of them, nor widen or rotate a key that has more"
    )]
    Addresses,
    /// The key that asks ends at this earlier time.
    #[error("your key ends at {}, so it cannot widen a key that ends later", .0.format("%Y-%m-%dT%H:%M:%SZ"))]
    End(Timestamp),
}

impl Wanted {
    /// Returns the rights of a new key if the key that asks may give them. `held` are the rights of that key; `None` if
    /// a person asks.
    ///
    /// # Errors
    /// Fails if the new key would have more rights than the key that asks.
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
    /// Returns these rights with a change. Narrowing is always allowed. If a change widens anything, the key that asks
    /// gives all rights of the result anew.
    ///
    /// # Errors
    /// Fails if the change widens, and the result would have more rights than the key that asks.
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

    /// Returns the rights of a key that replaces one with these rights. Whoever rotates a key can use the new one.
    ///
    /// # Errors
    /// Fails if the result would have more rights than the key that asks.
    pub fn rotated(&self, held: Option<&Self>) -> Result<Self, Beyond> {
        self.clone().ending_with(held).given(held)
    }

    /// Returns these rights if the key that asks may give them. A person may give all.
    fn given(self, held: Option<&Self>) -> Result<Self, Beyond> {
        held.map_or(Ok(()), |held| self.within(held)).map(|()| self)
    }

    fn ending_with(self, held: Option<&Self>) -> Self {
        let ends = self.expires_at.into_iter().chain(held.and_then(|held| held.expires_at));
        Self { expires_at: ends.min(), ..self }
    }

    /// Checks that no right goes beyond `wider`.
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

    /// Use of a key: the permission on a server (or on anything that later versions add), the address, and the
    /// time.
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

    /// Checks a use as a request does, and not as the rule does.
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

    /// Actions of keys on keys. The first key acts on the second.
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
