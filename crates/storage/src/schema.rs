//! The columns that this program reads or writes; `migrations/` is the authority.

use std::time::Duration;

use diesel::{pg::data_types::PgInterval, prelude::*};

diesel::table! {
    users (discord_id) {
        discord_id -> Text,
        credits -> Integer,
        tier -> Text,
        join_date -> Timestamptz,
    }
}

diesel::table! {
    game_servers (id) {
        id -> Integer,
        discord_id -> Text,
        name -> Text,
        name_shape -> Nullable<Text>,
        game_type -> Text,
        description -> Nullable<Text>,
        is_public -> Bool,
        status -> Text,
        desired -> Text,
        generation -> BigInt,
        status_generation -> BigInt,
        host -> Nullable<Text>,
        address -> Nullable<Text>,
        port -> Nullable<Integer>,
        ports -> Nullable<Jsonb>,
        settings -> Jsonb,
        launch_settings -> Jsonb,
        run_settings -> Nullable<Jsonb>,
        restart_policy -> Nullable<Jsonb>,
        restarts -> Array<Timestamptz>,
        restart_max -> Nullable<Integer>,
        restart_generation -> Nullable<BigInt>,
        restart_at -> Nullable<Timestamptz>,
        rcon_password -> Nullable<Text>,
        error_message -> Nullable<Text>,
        cost_per_hour -> Integer,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        stopped_at -> Nullable<Timestamptz>,
        deleted_at -> Nullable<Timestamptz>,
        latest_slot -> Nullable<Timestamptz>,
        warned_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    server_batches (id) {
        id -> Integer,
        discord_id -> Text,
        label -> Text,
        action -> Text,
        at_most -> Nullable<Integer>,
        stagger_s -> Nullable<Integer>,
        origin -> Text,
        channel_id -> Nullable<Text>,
        request_id -> Nullable<Text>,
        trace_id -> Nullable<Text>,
        created_at -> Timestamptz,
        next_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    server_batch_items (batch_id, server_id) {
        batch_id -> Integer,
        server_id -> Integer,
        server_name -> Text,
        place -> Integer,
        operation_id -> Nullable<Uuid>,
        untouched -> Nullable<Text>,
    }
}

diesel::table! {
    server_labels (server_id, label) {
        server_id -> Integer,
        label -> Text,
    }
}

diesel::table! {
    server_holds (server_id) {
        server_id -> Integer,
        since -> Timestamptz,
        until -> Nullable<Timestamptz>,
        reason -> Nullable<Text>,
        held_by -> Text,
    }
}

diesel::table! {
    server_idle (server_id) {
        server_id -> Integer,
        rule -> Jsonb,
        empty_since -> Nullable<Timestamptz>,
        stop_at -> Nullable<Timestamptz>,
        is_last -> Nullable<Bool>,
        asleep_since -> Nullable<Timestamptz>,
        asleep_generation -> Nullable<BigInt>,
        saves_from -> Nullable<Timestamptz>,
        saved_credits -> BigInt,
    }
}

diesel::table! {
    server_commands (id) {
        id -> Uuid,
        server_id -> Integer,
        actor -> Text,
        origin -> Text,
        command -> Text,
        wants_reply -> Bool,
        outcome -> Text,
        reply -> Nullable<Text>,
        error -> Nullable<Text>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    credit_ledger (id) {
        id -> BigInt,
        discord_id -> Text,
        amount -> Integer,
        balance -> Integer,
        kind -> Text,
        game_type -> Nullable<Text>,
        reason -> Nullable<Text>,
        command_id -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// One row: until when nothing was charged.
    billing (the_only) {
        the_only -> Bool,
        free_until -> Timestamptz,
    }
}

diesel::table! {
    operations (id) {
        id -> Uuid,
        server_id -> Integer,
        action -> Text,
        state -> Text,
        origin -> Text,
        actor -> Text,
        idempotency_key -> Nullable<Text>,
        channel_id -> Nullable<Text>,
        generation -> BigInt,
        error -> Nullable<Text>,
        attempt -> Integer,
        lease_until -> Nullable<Timestamptz>,
        available_at -> Timestamptz,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        request_id -> Nullable<Text>,
        trace_id -> Nullable<Text>,
        killed_after_grace -> Nullable<Bool>,
        progress -> Nullable<Text>,
        image -> Nullable<Text>,
    }
}

diesel::table! {
    server_shares (server_id, kind, grantee_id) {
        server_id -> Integer,
        kind -> Text,
        grantee_id -> Text,
        guild_id -> Nullable<Text>,
        permissions -> Array<Text>,
        commands -> Nullable<Array<Text>>,
        granted_by -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    member_roles (discord_id, guild_id) {
        discord_id -> Text,
        guild_id -> Text,
        roles -> Array<Text>,
        seen_at -> Timestamptz,
    }
}

diesel::table! {
    /// A view of the two: what each share lets each person do.
    server_grants (server_id, discord_id) {
        server_id -> Integer,
        discord_id -> Text,
        permissions -> Array<Text>,
        commands -> Nullable<Array<Text>>,
        seen_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    server_leavers (server_id, discord_id) {
        server_id -> Integer,
        discord_id -> Text,
    }
}

diesel::table! {
    unavailable_games (host, game_type) {
        host -> Text,
        game_type -> Text,
        reason -> Text,
        seen_at -> Timestamptz,
    }
}

diesel::table! {
    deferrals (key) {
        key -> Text,
        process -> Uuid,
    }
}

diesel::table! {
    server_schedules (id) {
        id -> Integer,
        server_id -> Nullable<Integer>,
        discord_id -> Text,
        action -> Text,
        cron_expression -> Nullable<Text>,
        timezone -> Text,
        enabled -> Bool,
        disabled_reason -> Nullable<Text>,
        missed_run_policy -> Text,
        last_run -> Nullable<Timestamptz>,
        next_run -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        zone_version -> Text,
        planned_at -> Nullable<Timestamptz>,
        work -> Nullable<Jsonb>,
        at -> Nullable<Timestamptz>,
        label -> Nullable<Text>,
        at_most -> Nullable<Integer>,
        stagger_s -> Nullable<Integer>,
    }
}

diesel::table! {
    schedule_runs (schedule_id, slot) {
        schedule_id -> Integer,
        slot -> Timestamptz,
        action -> Text,
        local_slots -> Array<Timestamp>,
        state -> Text,
        reason -> Nullable<Text>,
        slots -> BigInt,
        claimed_at -> Timestamptz,
        operation_id -> Nullable<Uuid>,
        finished_at -> Nullable<Timestamptz>,
        begun_at -> Nullable<Timestamptz>,
        look_at -> Nullable<Timestamptz>,
        ended_by -> Nullable<Text>,
        of_slot -> Nullable<Timestamptz>,
        server_id -> Nullable<Integer>,
    }
}

diesel::table! {
    schedule_run_steps (schedule_id, slot, place) {
        schedule_id -> Integer,
        slot -> Timestamptz,
        place -> SmallInt,
        step -> Jsonb,
        state -> Text,
        reason -> Nullable<Text>,
        operation_id -> Uuid,
        started_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        postponed_s -> Integer,
    }
}

diesel::table! {
    server_announcements (server_id) {
        server_id -> Integer,
        channel_id -> Text,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Integer,
        key_hash -> Text,
        discord_id -> Text,
        name -> Text,
        scopes -> Array<Text>,
        rate_limit -> Integer,
        allowed_ips -> Array<Text>,
        bucket -> Nullable<Integer>,
        maker_buckets -> Array<Integer>,
        maker_limits -> Array<Integer>,
        replaced_by -> Nullable<Integer>,
        last_used -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    idempotency_keys (key) {
        key -> Text,
        discord_id -> Text,
        fingerprint -> Bytea,
        attempt -> Uuid,
        lease_until -> Nullable<Timestamptz>,
        resource -> Nullable<Integer>,
        status -> Nullable<SmallInt>,
        content_type -> Nullable<Text>,
        location -> Nullable<Text>,
        body -> Nullable<Bytea>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    notices (id) {
        id -> BigInt,
        recipient -> Text,
        channel_id -> Nullable<Text>,
        kind -> Text,
        server_id -> Integer,
        server_name -> Text,
        action -> Nullable<Text>,
        reason -> Text,
        operation_id -> Nullable<Uuid>,
        generation -> Nullable<BigInt>,
        attempts -> Integer,
        next_attempt_at -> Timestamptz,
        lease_until -> Nullable<Timestamptz>,
        state -> Text,
        last_error -> Nullable<Text>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        schedule_id -> Nullable<Integer>,
        slot -> Nullable<Timestamptz>,
        due_at -> Nullable<Timestamptz>,
        next_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(operations -> game_servers (server_id));
diesel::joinable!(server_holds -> game_servers (server_id));
diesel::joinable!(schedule_runs -> server_schedules (schedule_id));
diesel::allow_tables_to_appear_in_same_query!(
    users,
    game_servers,
    server_shares,
    member_roles,
    server_grants,
    server_leavers,
    server_holds,
    server_idle,
    server_labels,
    server_batches,
    server_batch_items,
    notices,
    operations,
    server_schedules,
    schedule_runs,
    schedule_run_steps,
    server_announcements,
    api_keys,
);

// `diesel::dsl::now` is a timestamp without a zone.
diesel::define_sql_function! {
    /// The beginning of the transaction, by the server's clock.
    fn now() -> Timestamptz;
}

diesel::define_sql_function! {
    /// `+` of a moment and a time.
    fn timestamptz_pl_interval(
        at: diesel::sql_types::Nullable<diesel::sql_types::Timestamptz>,
        time: diesel::sql_types::Interval,
    ) -> diesel::sql_types::Nullable<diesel::sql_types::Timestamptz>;
}

diesel::define_sql_function! {
    /// This moment, by the server's clock.
    fn clock_timestamp() -> Timestamptz;
}

/// Returns this time as an interval.
pub(crate) fn interval(time: Duration) -> PgInterval {
    PgInterval::from_microseconds(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

/// Returns the moment that is this time after now, by the server's clock.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn after(time: Duration) -> _ {
    let time: PgInterval = interval(time);
    timestamptz_pl_interval(clock_timestamp().nullable(), time)
}
