//! The stand-in for Discord, tried by a bot on the libraries that the real one is built on.

mod bot;
mod gateway;
mod requests;

use agis_discord_stand_in::{CHANNEL, Discord, GUILD};
use bot::Bot;
use twilight_model::application::interaction::InteractionData;
use twilight_model::application::interaction::application_command::CommandOptionValue;

#[tokio::test]
async fn typed_command_arrives_and_is_answered() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let ann = discord.person(101, "Ann");
    discord.role(55, "Mods");
    let line =
        "/echo the text text:hello there whole:-3 yes:True user:@Ann place:#general role:@Mods who:@Mods number:1.5";

    let reply = discord.command(&ann, line).await;

    assert!(!reply.late() && reply.ephemeral() && reply.kind() == Some(4), "{reply:?}");
    let text = reply.text();
    assert!(text.contains("You said") && text.contains("hello there") && text.contains("Press me"), "{text}");
    let heard = bot.heard();
    let [interaction] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(interaction.guild_id.map(|id| id.get()), Some(GUILD));
    assert_eq!(interaction.channel.as_ref().map(|channel| channel.id.get()), Some(CHANNEL));
    assert_eq!(interaction.author_id().map(|id| id.get()), Some(101));
    assert!(interaction.member.as_ref().is_some_and(|member| member.permissions.is_some()));
    let Some(InteractionData::ApplicationCommand(data)) = &interaction.data else { panic!("{interaction:?}") };
    let CommandOptionValue::SubCommandGroup(group) = &data.options[0].value else { panic!("{data:?}") };
    let CommandOptionValue::SubCommand(options) = &group[0].value else { panic!("{data:?}") };
    assert_eq!(options[0].value, CommandOptionValue::String("hello there".to_owned()));
    assert_eq!(options[1].value, CommandOptionValue::Integer(-3));
    assert_eq!(options[7].value, CommandOptionValue::Number(1.5));
    let resolved = data.resolved.as_ref().expect("resolved");
    assert_eq!((resolved.users.len(), resolved.members.len()), (1, 1));
    assert_eq!((resolved.roles.len(), resolved.channels.len()), (1, 1));
    bot.assert_well();
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn button_is_pressed_by_those_who_see_it() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let (ann, ben) = (discord.person(101, "Ann"), discord.person(102, "Ben"));
    let reply = discord.command(&ann, "/echo the text text:a").await;
    let message = reply.message().expect("a message");

    let others = discord.try_choose(&ben, message.id, "Press me", &[]).await;
    assert!(others.is_err_and(|refusal| refusal.to_string().contains("sees no such message")));
    let pressed = reply.press(&ann, "Press me").await;
    assert_eq!(pressed.kind(), Some(7));
    assert!(reply.text().contains("pressed"));
    assert_eq!(reply.message().map(|message| message.edits), Some(1));
    let again = discord.try_choose(&ann, message.id, "press:1", &[]).await;
    assert!(again.is_err_and(|refusal| refusal.to_string().contains("disabled")));
    bot.assert_well();
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn suggestions_are_shown_and_taken_by_name() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let ann = discord.person(101, "Ann");
    let choices = discord.autocomplete(&ann, "/echo the text text:").await;
    assert_eq!((choices.len(), choices[7].name.as_str()), (25, "Choice 7"));
    let reply = discord.command(&ann, "/echo the text text:Choice 7").await;
    assert!(reply.text().contains("String(\"7\")"), "{}", reply.text());
    bot.assert_well();
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn a_deferral_thinks_until_it_is_edited() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let ann = discord.person(101, "Ann").in_dm();
    let reply = discord.command(&ann, "/slow").await;
    assert_eq!(reply.kind(), Some(5));
    let answer = reply.answered().await;
    assert_eq!((answer.content.as_str(), answer.is_ephemeral()), ("done", true));
    reply.until("the follow-up", |message| message.content == "and more").await;
    assert_eq!(discord.dms(101).len(), 2);
    assert!(bot.heard()[0].is_dm());
    bot.assert_well();
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn silence_is_a_complaint() {
    let discord = Discord::start().await;
    let _bot = Bot::start(&discord).await;
    let reply = discord.command(&discord.person(101, "Ann"), "/silent").await;
    assert!(reply.late() && reply.message().is_none());
    let complaints = discord.complaints();
    assert!(complaints.len() == 1 && complaints[0].starts_with("late"), "{complaints:?}");
}

#[tokio::test]
async fn command_is_shown_to_those_who_may_use_it() {
    let discord = Discord::start().await;
    let _bot = Bot::start(&discord).await;
    let ann = discord.person(101, "Ann");
    assert!(discord.try_command(&ann, "/admins").await.is_err());
    discord.set_admin(&ann, true);
    assert!(discord.try_command(&ann, "/admins").await.is_ok());
}
