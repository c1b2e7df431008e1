//! Commands that people sent to games.

use std::time::Duration;

use agis_base::{CommandId, OperationId, Reason, ServerId, StoreError, Timestamp, UserId};
use agis_servers::{
    Origin,
    console::{CommandOutcome, CommandRecord, NewCommand},
    rcon::{RconPassword, RconSeat},
    server::Status,
    store::{CommandStore, Page, REPLY_KEPT},
};
use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    chains,
    db::Db,
    error::Fault,
    schema::{game_servers, now, server_commands},
    servers::{PortsColumn, endpoint},
    word::{Stored, every, stored},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = server_commands)]
struct CommandRow {
    id: Uuid,
    server_id: i32,
    actor: String,
    origin: Stored<Origin>,
    command: String,
    wants_reply: bool,
    outcome: Stored<CommandOutcome>,
    reply: Option<String>,
    error: Option<String>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = game_servers)]
struct SeatRow {
    game_type: String,
    address: Option<String>,
    port: Option<i32>,
    ports: Option<PortsColumn>,
    rcon_password: Option<String>,
}

impl CommandRow {
    fn into_record<R>(self) -> Result<CommandRecord, Fault<R>> {
        Ok(CommandRecord {
            command: NewCommand {
                id: CommandId(self.id),
                server: ServerId(self.server_id),
                actor: UserId::from_stored(&self.actor),
                origin: self.origin.known("server_commands.origin")?,
                line: self.command,
                wants_reply: self.wants_reply,
            },
            outcome: self.outcome.known("server_commands.outcome")?,
            reply: self.reply,
            error: self.error,
            created_at: self.created_at,
            finished_at: self.finished_at,
        })
    }
}

#[async_trait]
impl CommandStore for Db {
    async fn note_command(&self, command: &NewCommand) -> Result<(), StoreError> {
        self.run(async |conn| {
            let NewCommand { id, server, actor, origin, line, wants_reply } = command;
            if *origin == Origin::Schedule && chains::has_ended(conn, OperationId(id.0)).await? {
                return Err(Fault::Refused(StoreError::Conflict("the step of this command has ended".into())));
            }
            let row = (
                server_commands::server_id.eq(server.0),
                server_commands::actor.eq(actor.as_str()),
                server_commands::origin.eq(stored(*origin)),
                server_commands::command.eq(line),
                server_commands::wants_reply.eq(*wants_reply),
                server_commands::outcome.eq(stored(CommandOutcome::Sent)),
            );
            let insert = diesel::insert_into(server_commands::table).values((server_commands::id.eq(id.0), row));
            if insert.on_conflict(server_commands::id).do_nothing().execute(conn).await? > 0 {
                return Ok(());
            }
            // The game did not get one that was refused, so it may be sent again.
            let refused = server_commands::outcome.eq(stored(CommandOutcome::Refused));
            let noted = diesel::update(server_commands::table.find(id.0).filter(refused))
                .set((
                    server_commands::outcome.eq(stored(CommandOutcome::Sent)),
                    server_commands::error.eq(None::<String>),
                    server_commands::finished_at.eq(None::<Timestamp>),
                ))
                .execute(conn)
                .await?;
            if noted == 0 {
                return Err(Fault::Refused(StoreError::Conflict("this command was noted before".into())));
            }
            Ok(())
        })
        .await
    }

    async fn end_command(
        &self,
        id: CommandId,
        outcome: CommandOutcome,
        reply: Option<&str>,
        error: Option<&Reason>,
    ) -> Result<(), StoreError> {
        self.run(async |conn| {
            let reply = reply.map(|reply| reply.chars().take(REPLY_KEPT).collect::<String>());
            let unknown = [CommandOutcome::Sent, CommandOutcome::Unanswered].map(stored);
            let open = server_commands::table.find(id.0).filter(server_commands::outcome.eq_any(unknown));
            diesel::update(open)
                .set((
                    server_commands::outcome.eq(stored(outcome)),
                    server_commands::reply.eq(reply),
                    server_commands::error.eq(error.map(|error| &**error)),
                    server_commands::finished_at.eq(now().nullable()),
                ))
                .execute(conn)
                .await?;
            Ok(())
        })
        .await
    }

    async fn sent_command(&self, id: CommandId) -> Result<Option<CommandRecord>, StoreError> {
        self.read(async |mut conn| {
            let row = server_commands::table.find(id.0).select(CommandRow::as_select());
            row.first(&mut conn).await.optional()?.map(CommandRow::into_record).transpose()
        })
        .await
    }

    async fn commands(&self, server: ServerId, page: Page<CommandId>) -> Result<Vec<CommandRecord>, StoreError> {
        self.read(async |mut conn| {
            let rows: Vec<CommandRow> = server_commands::table
                .filter(server_commands::server_id.eq(server.0))
                .filter(server_commands::id.lt(page.after.map_or(Uuid::max(), |id| id.0)))
                .filter(server_commands::outcome.eq_any(every::<CommandOutcome>()))
                .filter(server_commands::origin.eq_any(every::<Origin>()))
                .order(server_commands::id.desc())
                .limit(page.limit.into())
                .select(CommandRow::as_select())
                .load(&mut conn)
                .await?;
            rows.into_iter().map(CommandRow::into_record).collect()
        })
        .await
    }

    async fn rcon_password(&self, server: ServerId) -> Result<Option<RconPassword>, StoreError> {
        self.read(async |mut conn| {
            let row = game_servers::table.find(server.0).select(game_servers::rcon_password);
            let password: Option<Option<String>> = row.first(&mut conn).await.optional()?;
            Ok(password.flatten().map(RconPassword::from_stored))
        })
        .await
    }

    async fn rcon_seat(&self, server: ServerId) -> Result<Option<RconSeat>, StoreError> {
        self.read(async |mut conn| {
            let running = game_servers::table.find(server.0).filter(game_servers::status.eq(stored(Status::Running)));
            let row: Option<SeatRow> = running.select(SeatRow::as_select()).first(&mut conn).await.optional()?;
            Ok(row.and_then(|row| {
                let endpoint = endpoint(row.address, row.port, row.ports)?;
                let password = row.rcon_password.map(RconPassword::from_stored);
                Some(RconSeat { game_type: row.game_type, endpoint, password })
            }))
        })
        .await
    }

    async fn forget_commands(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget_older(
            "delete from server_commands where id in
                 (select id from server_commands where created_at < $1
                  order by created_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }
}
