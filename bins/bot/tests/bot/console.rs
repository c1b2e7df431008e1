//! `/server command`: the words of a game, and its answer.

use agis_test_support::wait;

use crate::{
    common::{
        SOON, Stack,
        rcon::{self, Rcon},
    },
    scene::Scene,
};

impl Scene {
    /// The RCON of a running server.
    async fn rcon(&self, name: &str) -> Rcon {
        let query = "select id from game_servers where name = $1";
        let id: i32 = self.stack.sql().await.query_one(query, &[&name]).await.expect("a server").get(0);
        Rcon::of(&self.stack, id.into()).await
    }
}

async fn with_forts(settings: &[(&str, &str)]) -> Scene {
    let stack = Stack::start().await;
    stack.add_game(&rcon::game());
    Scene::on(stack, settings).await
}

#[tokio::test]
async fn command_brings_the_answer_of_the_game() {
    let scene = with_forts(&[]).await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "forts").await;
    let stopped = scene.refused(&ann, "/server command server:Sky command:status").await;
    assert!(stopped.contains("This server does not run"), "{stopped}");
    scene.running(&ann, "Sky").await;
    let early = scene.refused(&ann, "/server command server:Sky command:early").await;
    assert!(early.contains("takes no commands at the moment"), "{early}");
    let game = scene.rcon("Sky").await;
    let answer = scene.look(&ann, "/server command server:Sky command:status **all** `now`").await;
    assert!(answer.contains("Answer of Sky") && answer.contains("you said status **all** ˋnowˋ"), "{answer}");
    let quiet = scene.look(&ann, "/server command server:Sky command:quiet").await;
    assert!(quiet.contains("No answer of Sky") && quiet.contains("may have acted all the same"), "{quiet}");
    let foreign = scene.refused(&ben, "/server command server:Sky command:status").await;
    assert!(foreign.contains("There is no such server"), "{foreign}");
    assert_eq!(game.heard(), ["status **all** `now`", "quiet"]);
    let sql = scene.stack.sql().await;
    let rows = sql.query("select actor, origin, outcome from server_commands order by id", &[]).await.expect("rows");
    let told: Vec<[String; 3]> = rows.iter().map(|row| [row.get(0), row.get(1), row.get(2)]).collect();
    let by_ann = |outcome: &str| ["101", "discord", outcome].map(str::to_owned);
    assert_eq!(told, ["refused", "answered", "unanswered"].map(by_ann));
    scene.assert_clean();
}

#[tokio::test]
async fn command_without_an_answer_is_said_to_be_sent() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    scene.running(&ann, "Sky").await;
    let sent = scene.look(&ann, "/server command server:Sky command:say \"hi\" all").await;
    assert!(sent.contains("Sent to Sky") && sent.contains("/server logs"), "{sent}");
    let logs = scene.look(&ann, "/server logs server:Sky lines:50").await;
    assert!(logs.contains("> say \"hi\" all"), "it is sent as it was typed: {logs}");
    let elsewhere = "update game_servers set host = 'elsewhere'";
    scene.stack.sql().await.execute(elsewhere, &[]).await.expect("a host that nobody serves");
    let refused = scene.refused(&ann, "/server command server:Sky command:hi").await;
    assert!(refused.contains("No process serves the host of this server"), "{refused}");
    scene.assert_clean();
}

#[tokio::test]
async fn killed_api_leaves_a_command_unknown() {
    let scene = with_forts(&[]).await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "forts").await;
    scene.running(&ann, "Sky").await;
    let game = scene.rcon("Sky").await;
    let reply = scene.discord.command(&ann, "/server command server:Sky command:quiet").await;
    assert!(!reply.late());
    game.until_heard("quiet").await;
    let Scene { bot, api, discord, stack } = scene;
    api.kill();
    let api = stack.api(&[]).await;
    let scene = Scene { bot, api, discord, stack };
    reply.until("the truth", |message| message.text().contains("Nobody knows whether the game got")).await;
    scene.look(&ann, "/server command server:Sky command:status").await;
    assert_eq!(game.heard(), ["quiet", "status"]);
    scene.assert_clean();
}

#[tokio::test]
async fn killed_bot_leaves_one_command_and_its_outcome() {
    let scene = with_forts(&[]).await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "forts").await;
    scene.running(&ann, "Sky").await;
    let game = scene.rcon("Sky").await;
    let reply = scene.discord.command(&ann, "/server command server:Sky command:slow").await;
    game.until_heard("slow").await;
    wait::until(SOON, "a deferral", async || reply.kind().map(drop)).await;
    let scene = scene.killed().await;
    reply.until("the truth", |message| message.text().contains("AGIS was restarted")).await;
    let answered = "server_commands where outcome = 'answered'";
    wait::until(SOON, "the outcome", async || (scene.count(answered).await == 1).then_some(())).await;
    assert_eq!(game.heard(), ["slow"]);
    scene.assert_clean();
}

#[tokio::test]
async fn shared_console_takes_the_commands_of_its_list() {
    let scene = with_forts(&[]).await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "forts").await;
    scene.running(&ann, "Sky").await;
    let game = scene.rcon("Sky").await;
    let ben_is = ben.name();
    scene.look(&ann, &format!("/server share server:Sky with:{ben_is} may:start")).await;
    let refused = scene.refused(&ben, "/server command server:Sky command:say hi").await;
    assert!(refused.contains("may see this server, but not do this"), "{refused}");
    let shared = format!("/server share server:Sky with:{ben_is} may:console commands:say, whitelist add");
    let shared = scene.look(&ann, &shared).await;
    assert!(shared.contains("console; only the commands say, whitelist add"), "{shared}");
    let info = scene.look(&ann, "/server info server:Sky").await;
    assert!(info.contains("only the commands say, whitelist add"), "{info}");
    let answer = scene.look(&ben, "/server command server:Sky command:say hi").await;
    assert!(answer.contains("you said say hi"), "{answer}");
    for command in ["stop", "Say hi", "say hi;stop"] {
        let refused = scene.refused(&ben, &format!("/server command server:Sky command:{command}")).await;
        assert!(refused.contains("letter by letter: say, whitelist add."), "{command}: {refused}");
    }
    scene.look(&ann, &format!("/server share server:Sky with:{ben_is} may:console")).await;
    scene.look(&ben, "/server command server:Sky command:stop").await;
    let wrong = format!("/server share server:Sky with:{ben_is} may:start commands:say");
    let refused = scene.refused(&ann, &wrong).await;
    assert!(refused.contains("`commands` limits the permission 'console'"), "{refused}");
    scene.look(&ann, &format!("/server unshare server:Sky with:{ben_is}")).await;
    let refused = scene.refused(&ben, "/server command server:Sky command:stop").await;
    assert!(refused.contains("There is no such server"), "{refused}");
    assert_eq!(game.heard(), ["say hi", "stop"]);
    scene.assert_clean();
}
