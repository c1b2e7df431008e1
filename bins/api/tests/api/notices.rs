//! A notice of an operation that was asked for in a channel.

use std::sync::Arc;

use agis_base::{ChannelId, ServerId, UserId};
use agis_notices::{Kind, Notices};
use agis_servers::{Action, Origin, Policy, Request, Servers, game::Catalogue, operation::Identity, store::Billing};
use agis_storage::{Db, DbConfig};

use crate::common::{OWNER, Stack};

fn database(stack: &Stack) -> Arc<Db> {
    Arc::new(Db::new(&DbConfig { url: stack.database_url(), connections: 6 }).expect("a pool"))
}

#[tokio::test]
async fn notice_names_the_channel_of_its_operation() {
    let stack = Stack::start().await;
    let (api, db) = (stack.api(&[]).await, database(&stack));
    let server = api.server("late", "unready").await;
    let policy = Policy { homes: vec![], servers_per_user: 10, billing: Billing::Off };
    let catalogue = Arc::new(Catalogue::parse("").expect("a catalogue"));
    let rules = Servers::new(&db, catalogue, policy, vec![]);
    let channel = ChannelId::from_stored("400000000000000001");
    let request = Request {
        server: ServerId(server.try_into().expect("an id")),
        action: Action::Start,
        origin: Origin::Discord,
        actor: UserId::from_stored(OWNER),
        channel: Some(channel.clone()),
        identity: Identity::Key("interaction:1".to_owned()),
        trace: None,
    };
    let operation = rules.request(request).await.expect("accepted");
    api.ended(&operation.id.to_string()).await;
    let claimed = Notices::new(db).claim(10).await.expect("notices");
    assert_eq!(claimed.len(), 1);
    let notice = &claimed[0];
    assert_eq!((&notice.channel, notice.operation), (&Some(channel), Some(operation.id)));
    assert_eq!((notice.kind, notice.action.as_deref()), (Kind::OperationFailed, Some("start")));
    assert_eq!((notice.server_name.as_str(), notice.reason.as_str()), ("late", "not ready within 1 s"));
}
