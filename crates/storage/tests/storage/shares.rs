//! Servers that are shared, by the rules of `servers`.

use std::time::Duration;

use agis_accounts::UserStore;
use agis_base::{GuildId, RoleId, ServerId, UserId};
use agis_servers::{
    Grantee, Permission, Permissions, Servers, ServersError, SharingError,
    access::{AllowedCommands, CommandList, Granted},
    store::{Billing, ShareStore},
};
use tokio_postgres::Client;

use crate::scene::{OWNER, Scene, servers};

const STRANGER: &str = "100000000000000002";

fn user(id: &str) -> UserId {
    UserId::from_stored(id)
}

fn member(id: &str) -> Grantee {
    Grantee::Member(user(id))
}

fn role(guild: &str, role: &str) -> Grantee {
    Grantee::Role { guild: GuildId::from_stored(guild), role: RoleId::from_stored(role) }
}

async fn share(rules: &Servers, server: ServerId, grantee: &Grantee, permissions: &[Permission]) {
    let permissions: Permissions = permissions.iter().copied().collect();
    rules.share(&user(OWNER), server, grantee, permissions).await.expect("shared");
}

async fn server(sql: &Client) -> ServerId {
    let insert = "insert into game_servers (discord_id, name, game_type, host)
                  select discord_id, 'ours', 'demo', 'here' from users returning id";
    ServerId(sql.query_one(insert, &[]).await.expect("a server").get(0))
}

#[tokio::test]
async fn only_the_owner_shares_and_fifty_at_most() {
    let Scene { sql, db, .. } = &Scene::start().await;
    let (rules, server) = (servers(db, Billing::Off), server(sql).await);
    db.ensure(&user(STRANGER), 100).await.expect("a user");
    let read: Permissions = [Permission::Read].into_iter().collect();
    let by = async |who: &str, grantee: &Grantee, permissions| {
        let refused = rules.share(&user(who), server, grantee, permissions).await.map(drop);
        refused.map_err(|error| error.to_string())
    };
    let missing = Err("there is no such server, or it is not yours".to_owned());
    assert_eq!(by(STRANGER, &member("5"), read).await, missing);
    assert_eq!(
        by(OWNER, &member(OWNER), read).await,
        Err("grantee: is somebody else: an owner may do everything".into())
    );
    assert_eq!(by(OWNER, &member(STRANGER), Permissions::default()).await, Err("permissions: has at least one".into()));
    for permission in Permission::ALL {
        share(&rules, server, &member(STRANGER), &[*permission]).await;
        let refused = rules.share(&user(STRANGER), server, &member("5"), read).await;
        assert!(
            matches!(refused, Err(SharingError::Servers(ServersError::NotAllowed))),
            "with '{permission}': {refused:?}"
        );
        let refused = rules.unshare(&user(STRANGER), server, &member(STRANGER)).await;
        assert!(matches!(refused, Err(ServersError::NotAllowed)), "with '{permission}': {refused:?}");
        let refused = rules.shares(&user(STRANGER), server).await;
        assert!(matches!(refused, Err(ServersError::NotAllowed)), "with '{permission}': {refused:?}");
    }
    // Sharing again replaces what was there.
    let shares = rules.shares(&user(OWNER), server).await.expect("shares");
    assert_eq!(shares.len(), 1);
    assert_eq!(shares[0].permissions, [Permission::Schedule].into_iter().collect());
    assert_eq!((&shares[0].grantee, &shares[0].granted_by), (&member(STRANGER), &user(OWNER)));
    for guild in 1..50 {
        share(&rules, server, &role(&guild.to_string(), &guild.to_string()), &[Permission::Read]).await;
    }
    let refused = rules.share(&user(OWNER), server, &member("5"), read).await;
    assert!(matches!(refused, Err(SharingError::TooManyShares(50))), "{refused:?}");
    share(&rules, server, &member(STRANGER), &[Permission::Stop]).await;
    for taken_back in [true, false] {
        let was_there = rules.unshare(&user(OWNER), server, &member(STRANGER)).await.expect("taken back");
        assert_eq!(was_there, taken_back);
    }
    assert_eq!(by(OWNER, &member("5"), read).await, Ok(()));
}

#[tokio::test]
async fn commands_of_all_shares_are_allowed() {
    let Scene { sql, db, .. } = &Scene::start().await;
    let (rules, server) = (servers(db, Billing::Off), server(sql).await);
    let console = |commands: Option<&[&str]>| {
        let list = |commands: &[&str]| {
            let commands: Vec<_> = commands.iter().map(|it| (*it).to_owned()).collect();
            CommandList::new(&commands).expect("a list")
        };
        Granted { permissions: [Permission::Console].into_iter().collect(), commands: commands.map(list) }
    };
    let share = async |grantee: &Grantee, granted: Granted| {
        rules.share(&user(OWNER), server, grantee, granted).await.expect("shared");
    };
    let allowed = async || db.allowed_commands(&user(STRANGER), server).await.expect("commands");
    let listed = |commands: &[&str]| console(Some(commands)).commands.map(AllowedCommands::Listed);
    assert_eq!(allowed().await, None);
    share(&member(STRANGER), [Permission::Start].into_iter().collect::<Permissions>().into()).await;
    assert_eq!(allowed().await, None);
    share(&member(STRANGER), console(Some(&["say"]))).await;
    assert_eq!(allowed().await, listed(&["say"]));
    share(&role("7", "8"), console(None)).await;
    assert_eq!(allowed().await, listed(&["say"]), "a role of others");
    rules.note_roles(&user(STRANGER), &GuildId::from_stored("7"), &[RoleId::from_stored("8")]).await.expect("a role");
    assert_eq!(allowed().await, Some(AllowedCommands::Every));
    sql.execute("update member_roles set seen_at = now() - interval '25 hours'", &[]).await.expect("an old role");
    assert_eq!(allowed().await, listed(&["say"]), "a role that nobody saw for a day");
}

#[tokio::test]
async fn longest_unseen_members_are_looked_at_first() {
    let Scene { sql, db, .. } = &Scene::start().await;
    let (rules, server) = (servers(db, Billing::Off), server(sql).await);
    let stale = async |hours: u64, limit: u32| {
        let members = rules.stale_members(Duration::from_secs(hours * 3600), limit).await.expect("members");
        members.into_iter().map(|(user, guild)| format!("{user} {guild}")).collect::<Vec<_>>()
    };
    for (member, guild, hours) in [("1", "7", 5), ("2", "7", 9), ("3", "7", 1), ("4", "8", 99)] {
        rules
            .note_roles(&user(member), &GuildId::from_stored(guild), &[RoleId::from_stored("70")])
            .await
            .expect("noted");
        let query =
            format!("update member_roles set seen_at = now() - interval '{hours} hours' where discord_id = '{member}'");
        sql.batch_execute(&query).await.expect("another time");
    }
    assert_eq!(stale(4, 10).await, Vec::<String>::new(), "nothing is shared with a role");
    share(&rules, server, &role("7", "71"), &[Permission::Read]).await;
    assert_eq!(stale(4, 10).await, ["2 7", "1 7"]);
    assert_eq!(stale(4, 1).await, ["2 7"]);
    rules.note_roles(&user("2"), &GuildId::from_stored("7"), &[RoleId::from_stored("70")]).await.expect("noted");
    assert_eq!(stale(4, 10).await, ["1 7"]);
}
