//! Limits on which a key draws beside its own, so that making keys multiplies no limit.
//!
//! The limit of a key holds for the key and for all its descendants. A request with a key takes a token from the key's
//! own bucket, from its maker's, and from those of its maker's makers, or is refused. The key's own row lists the
//! makers, so revoking a maker frees no descendant. A key that a person made has no makers.

use crate::{
    api_key::{ApiKey, Maker},
    grant::{Beyond, Grant},
};

/// Maximum number of makers' buckets that a key has beside its own. Later generations have no bucket of their own, and
/// take from their maker's.
pub const MAKERS_MAX: usize = 3;
/// [`MAKERS_MAX`] and the bucket of a maker from which a key takes as from its own.
const LISTED_MAX: usize = MAKERS_MAX + 1;

/// Buckets from which a new key takes tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyBuckets {
    /// Bucket that comes first; `None` for the key's own.
    pub bucket: Option<i32>,
    /// Makers, the nearest first.
    pub makers: Vec<Maker>,
}

impl ApiKey {
    /// Returns the buckets of a key that this one makes.
    pub fn child(&self) -> KeyBuckets {
        let makers = self.listed();
        KeyBuckets { bucket: (makers.len() > MAKERS_MAX).then_some(self.bucket), makers }
    }

    /// Returns the makers of this key after another key has raised its limit, and so given it requests. The key and all
    /// its descendants draw on the giver's bucket from then on, unless they did before.
    ///
    /// # Errors
    /// Fails with [`Beyond::Makers`] if the key or a descendant would draw on too many buckets.
    pub fn makers_after_gift(&self, giver: &Self) -> Result<Vec<Maker>, Beyond> {
        let new = giver.listed().into_iter().filter(|maker| !self.draws_on(maker.bucket));
        let makers: Vec<_> = self.makers.iter().copied().chain(new).collect();
        let most = if self.shares_its_bucket() { LISTED_MAX } else { MAKERS_MAX };
        if makers.len() > most { Err(Beyond::Makers) } else { Ok(makers) }
    }

    /// Checks whether the key takes tokens from this bucket.
    pub fn draws_on(&self, bucket: i32) -> bool {
        self.bucket == bucket || self.makers.iter().any(|maker| maker.bucket == bucket)
    }

    /// Checks whether the key's first bucket is a maker's.
    pub fn shares_its_bucket(&self) -> bool {
        self.makers.iter().any(|maker| maker.bucket == self.bucket)
    }

    /// Returns every bucket from which the key takes a token, with its limit for this key. The first is its own.
    pub fn draws(&self) -> impl Iterator<Item = Maker> {
        let (same, others): (Vec<Maker>, Vec<Maker>) =
            self.makers.iter().copied().partition(|maker| maker.bucket == self.bucket);
        let limit = same.iter().map(|maker| maker.limit).fold(self.grant.rate_limit, u32::min);
        std::iter::once(Maker { bucket: self.bucket, limit }).chain(others)
    }

    /// Returns the rights that this key can use, and so give: its requests are those of its smallest bucket.
    pub fn worth(&self) -> Grant {
        let limits = self.makers.iter().map(|maker| maker.limit);
        Grant { rate_limit: limits.fold(self.grant.rate_limit, u32::min), ..self.grant.clone() }
    }

    /// Returns the key's buckets as its children list them.
    fn listed(&self) -> Vec<Maker> {
        let own = (!self.shares_its_bucket()).then_some(Maker { bucket: self.bucket, limit: self.grant.rate_limit });
        own.into_iter().chain(self.makers.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use agis_base::{KeyId, Timestamp, UserId};
    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::{Blocks, KeyChange, Scope, Wanted};

    fn key(id: i32, limit: u32, place: KeyBuckets) -> ApiKey {
        let scopes = [Scope::All].into_iter().collect();
        ApiKey {
            id: KeyId(id),
            owner: UserId::from_stored("1"),
            name: "k".to_owned(),
            grant: Grant { scopes, rate_limit: limit, allowed_ips: Blocks::default(), expires_at: None },
            bucket: place.bucket.unwrap_or(id),
            makers: place.makers,
            replaced_by: None,
            last_used: None,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn draws(key: &ApiKey) -> Vec<(i32, u32)> {
        key.draws().map(|it| (it.bucket, it.limit)).collect()
    }

    /// Returns a line of keys, each made by the one before.
    fn generations(limits: &[u32]) -> Vec<ApiKey> {
        let mut keys: Vec<ApiKey> = vec![];
        for (id, limit) in (1..).zip(limits) {
            let place = keys.last().map(ApiKey::child).unwrap_or_default();
            keys.push(key(id, *limit, place));
        }
        keys
    }

    #[test]
    fn key_draws_on_all_its_ancestors() {
        let keys = generations(&[1000, 100, 50, 40, 30, 5]);
        let table: [&[(i32, u32)]; 6] = [
            &[(1, 1000)],
            &[(2, 100), (1, 1000)],
            &[(3, 50), (2, 100), (1, 1000)],
            &[(4, 40), (3, 50), (2, 100), (1, 1000)],
            &[(4, 30), (3, 50), (2, 100), (1, 1000)],
            &[(4, 5), (3, 50), (2, 100), (1, 1000)],
        ];
        for (key, expected) in keys.iter().zip(table) {
            assert_eq!(draws(key), expected, "of key {}", key.id);
            assert_eq!(key.shares_its_bucket(), key.id.0 > 4);
        }
    }

    #[test]
    fn key_gives_the_least_of_its_buckets() {
        let mut keys = generations(&[1000, 100, 50]);
        keys[2].makers[0].limit = 7;
        assert_eq!((keys[2].worth().rate_limit, keys[1].worth().rate_limit), (7, 100));
    }

    #[test]
    fn gift_draws_on_the_giver() {
        let (root, giver) = (key(10, 9, KeyBuckets::default()), generations(&[8, 7]).remove(1));
        let listed = |makers: Vec<Maker>| makers.iter().map(|it| it.bucket).collect::<Vec<_>>();
        assert_eq!(root.makers_after_gift(&giver).map(listed), Ok(vec![2, 1]));
        assert_eq!(giver.makers_after_gift(&generations(&[8])[0]).map(listed), Ok(vec![1]));
        for deep in generations(&[9, 9, 9, 9, 9]).split_off(3) {
            assert_eq!(deep.makers_after_gift(&root), Err(Beyond::Makers), "{}", deep.id);
        }
    }

    /// Limits that divide a bucket of [`PARTS`] parts, so that every use is counted exactly.
    const LIMITS: [u32; 9] = [1, 2, 3, 4, 5, 6, 10, 12, 30];
    const PARTS: u32 = 60;

    #[derive(Debug, Clone)]
    enum Step {
        Create(Index, u32),
        Change(Index, Index, u32),
        Rotate(Index, Index),
        Revoke(Index),
        Use(Index, u32),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let (key, limit) = (any::<Index>, || prop::sample::select(LIMITS.to_vec()));
        prop_oneof![
            3 => (key(), limit()).prop_map(|(by, limit)| Step::Create(by, limit)),
            3 => (key(), key(), limit()).prop_map(|(by, of, limit)| Step::Change(by, of, limit)),
            1 => (key(), key()).prop_map(|(by, of)| Step::Rotate(by, of)),
            1 => key().prop_map(Step::Revoke),
            4 => (key(), 1_u32..10).prop_map(|(of, times)| Step::Use(of, times)),
        ]
    }

    /// Keys as the store holds them, and an hour in which no token comes back.
    #[derive(Default)]
    struct World {
        keys: Vec<ApiKey>,
        /// Use of each bucket, in parts.
        used: HashMap<i32, u32>,
        /// Buckets of each key and its ancestors, by the way in which it was made, not by its list.
        came_of: HashMap<KeyId, Vec<i32>>,
        /// Highest limit that the keys of a bucket ever had.
        highest: HashMap<i32, u32>,
        passed: HashMap<i32, u32>,
        passed_in_all: u32,
        last: i32,
    }

    impl World {
        fn add(&mut self, limit: u32, place: KeyBuckets, came_of: Vec<i32>) {
            self.last += 1;
            let key = key(self.last, limit, place);
            self.note(&key);
            let own = (!came_of.contains(&key.bucket)).then_some(key.bucket);
            self.came_of.insert(key.id, came_of.into_iter().chain(own).collect());
            self.keys.push(key);
        }

        fn note(&mut self, key: &ApiKey) {
            if !key.shares_its_bucket() {
                let highest = self.highest.entry(key.bucket).or_default();
                *highest = (*highest).max(key.grant.rate_limit);
            }
        }

        fn step(&mut self, step: Step) {
            if self.keys.is_empty() {
                return;
            }
            let one = |index: Index| self.keys[index.index(self.keys.len())].clone();
            match step {
                Step::Create(by, limit) => self.create(&one(by), limit),
                Step::Change(by, of, limit) => self.change(&one(by), &one(of), limit),
                Step::Rotate(by, of) => self.rotate(&one(by), &one(of)),
                Step::Revoke(of) => {
                    let gone = one(of).id;
                    self.keys.retain(|key| key.id != gone);
                }
                Step::Use(of, times) => {
                    let key = one(of);
                    (0..times).for_each(|_| self.ask(&key));
                }
            }
        }

        fn create(&mut self, by: &ApiKey, limit: u32) {
            let wanted = Wanted {
                scopes: by.grant.scopes.clone(),
                rate_limit: Some(limit),
                default_rate_limit: 1,
                allowed_ips: None,
                ttl_days: None,
            };
            if wanted.granted(Some(&by.worth()), Timestamp::UNIX_EPOCH).is_ok() {
                self.add(limit, by.child(), self.came_of[&by.id].clone());
            }
        }

        fn rotate(&mut self, by: &ApiKey, of: &ApiKey) {
            let has = if by.id == of.id { of.worth() } else { of.grant.clone() };
            if of.replaced_by.is_some() || has.rotated(Some(&by.worth())).is_err() {
                return;
            }
            let place = KeyBuckets { bucket: Some(of.bucket), makers: of.makers.clone() };
            self.add(of.grant.rate_limit, place, self.came_of[&of.id].clone());
            let successor = KeyId(self.last);
            self.keys.iter_mut().filter(|key| key.id == of.id).for_each(|key| key.replaced_by = Some(successor));
        }

        fn change(&mut self, by: &ApiKey, of: &ApiKey, limit: u32) {
            let change = KeyChange { rate_limit: Some(limit), ..KeyChange::default() };
            if of.grant.changed(Some(&by.worth()), &change).is_err() {
                return;
            }
            if limit > of.grant.rate_limit && !of.draws_on(by.bucket) {
                let kin = |key: &ApiKey| key.draws_on(of.bucket);
                let after: Result<Vec<_>, _> =
                    self.keys.iter().filter(|key| kin(key)).map(|key| key.makers_after_gift(by)).collect();
                let Ok(after) = after else { return };
                self.keys.iter_mut().filter(|key| kin(key)).zip(after).for_each(|(key, makers)| key.makers = makers);
            }
            let Some(key) = self.keys.iter_mut().find(|key| key.id == of.id) else { return };
            key.grant.rate_limit = limit;
            let key = key.clone();
            self.note(&key);
            // As the trigger does.
            if key.replaced_by.is_none() && !key.shares_its_bucket() {
                let listed = self.keys.iter_mut().flat_map(|it| &mut it.makers).filter(|it| it.bucket == key.bucket);
                listed.for_each(|maker| maker.limit = limit);
            }
        }

        fn ask(&mut self, key: &ApiKey) {
            let draws = draws(key);
            let fits = |(bucket, limit): &(i32, u32)| self.used.get(bucket).unwrap_or(&0) + PARTS / limit <= PARTS;
            if !draws.iter().all(fits) {
                return;
            }
            draws.iter().for_each(|(bucket, limit)| *self.used.entry(*bucket).or_default() += PARTS / limit);
            self.passed_in_all += 1;
            for bucket in &self.came_of[&key.id] {
                *self.passed.entry(*bucket).or_default() += 1;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn persons_give_all_requests_there_are(
            roots in prop::collection::vec(prop::sample::select(LIMITS.to_vec()), 1..4),
            steps in prop::collection::vec(any_step(), 1..60),
        ) {
            let mut world = World::default();
            roots.iter().for_each(|limit| world.add(*limit, KeyBuckets::default(), vec![]));
            for step in steps {
                world.step(step.clone());
                for key in &world.keys {
                    let buckets: std::collections::HashSet<_> = key.draws().map(|it| it.bucket).collect();
                    prop_assert_eq!(buckets.len(), key.draws().count(), "a bucket twice: {:?}", key);
                    prop_assert!(buckets.len() <= LISTED_MAX, "{:?}", key);
                }
                for (bucket, passed) in &world.passed {
                    prop_assert!(passed <= &world.highest[bucket], "{} of bucket {} after {:?}", passed, bucket, step);
                }
                prop_assert!(world.passed_in_all <= roots.iter().sum(), "{} in all", world.passed_in_all);
            }
        }
    }
}
