alter table server_shares
    validate constraint server_shares_commands,
    validate constraint server_shares_permissions;
