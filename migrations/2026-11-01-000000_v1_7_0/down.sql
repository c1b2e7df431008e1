-- Everything goes. Where there are users it does not: this would take the data of the Go version with it.
do $$
begin
    if exists (select from users) then
        raise exception 'there are users, whose data this would drop; to begin anew, drop the database yourself';
    end if;
end
$$;
drop table if exists user_stats;
drop function if exists update_user_stats_updated_at();
drop table if exists api_keys;
drop table if exists server_schedules;
drop table if exists game_servers;
drop table if exists users;
