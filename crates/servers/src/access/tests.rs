use super::*;
use crate::{operation::Identity, power::tests::server, server::Desired, server::Status};

const OWNER: &str = "1";
const OTHER: &str = "2";

/// Every set of permissions that somebody may ask for.
fn all_sets() -> impl Iterator<Item = Vec<Permission>> {
    (0..1_u8 << Permission::ALL.len()).map(|bits| {
        let has = |permission: &Permission| bits & bit(*permission) != 0;
        Permission::ALL.iter().copied().filter(has).collect()
    })
}

fn access(user: &str, is_public: bool, shared: Permissions) -> Access {
    let server = Server { is_public, ..server(Desired::Running, Status::Running) };
    Access::of(&server, &UserId::from_stored(user), shared)
}

fn request(action: Action, origin: Origin) -> Request {
    let actor = UserId::from_stored(OTHER);
    Request { server: ServerId(1), action, origin, actor, channel: None, identity: Identity::None, trace: None }
}

#[test]
fn permissions_include_reading() {
    for asked in all_sets() {
        let set: Permissions = asked.iter().copied().collect();
        let mut expected = asked.clone();
        if !expected.is_empty() && !expected.contains(&Permission::Read) {
            expected.insert(0, Permission::Read);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), expected);
        assert_eq!(set.is_empty(), asked.is_empty());
        assert_eq!(set.or(set), set);
    }
}

#[test]
fn owner_may_do_everything() {
    for (asked, is_public) in all_sets().flat_map(|asked| [(asked.clone(), true), (asked, false)]) {
        let access = access(OWNER, is_public, asked.into_iter().collect());
        assert_eq!(access, Access::Owner);
        assert_eq!(access.check(Needed::Ownership), Ok(()));
        assert!(Permission::ALL.iter().all(|permission| access.check((*permission).into()) == Ok(())));
    }
}

#[test]
fn others_may_do_exactly_what_is_shared() {
    for (asked, is_public) in all_sets().flat_map(|asked| [(asked.clone(), true), (asked, false)]) {
        let shared: Permissions = asked.into_iter().collect();
        let access = access(OTHER, is_public, shared);
        let refusal = if shared.is_empty() && !is_public { Refusal::NotFound } else { Refusal::NotAllowed };
        assert_eq!(access.check(Needed::Ownership), Err(refusal.clone()), "{shared:?}");
        for permission in Permission::ALL {
            let expected = if shared.contains(*permission) { Ok(()) } else { Err(refusal.clone()) };
            assert_eq!(access.check((*permission).into()), expected, "{permission} of {shared:?}, public: {is_public}");
        }
    }
}

#[test]
fn operations_need_their_own_permission() {
    use {Action as A, Origin::*, Permission as P};
    let table = [
        (A::Start, Rest, Needed::Permission(P::Start)),
        (A::Stop, Discord, Needed::Permission(P::Stop)),
        (A::Restart, Rest, Needed::Permission(P::Restart)),
        (A::Delete, Rest, Needed::Ownership),
        (A::Start, Schedule, Needed::Permission(P::Schedule)),
        (A::Stop, Schedule, Needed::Permission(P::Schedule)),
        (A::Restart, Schedule, Needed::Permission(P::Schedule)),
        (A::Delete, Schedule, Needed::Ownership),
    ];
    for (action, origin, needed) in table {
        assert_eq!(needed_for(&request(action, origin)), needed, "{action} by {origin}");
    }
}
