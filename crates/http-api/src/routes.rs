//! The table of the routes.

use crate::{
    console, games, keys, operations,
    resource::{Table, resource},
    schedules, servers, users,
};

/// What stands under `/api/v1`.
pub(crate) fn table() -> Table {
    Table::default()
        // Tried in this order: first those that are compared, then those that are searched for their parts.
        .service(resource("/auth/keys").get(keys::list).post(keys::create))
        .service(resource("/servers").get(servers::list).post(servers::create))
        .service(resource("/schedules").get(schedules::list).post(schedules::create))
        .service(resource("/schedules/preview").post(schedules::preview))
        .service(resource("/users/me").get(users::me))
        .service(resource("/users/me/stats").get(users::stats))
        .service(resource("/games").get(games::list))
        .service(resource("/auth/keys/{id}").get(keys::get).patch(keys::change).delete(keys::revoke))
        .service(resource("/auth/keys/{id}/rotate").post(keys::rotate))
        .service(resource("/servers/{id}").get(servers::get).patch(servers::change).delete(servers::delete))
        .service(resource("/servers/{id}/start").post(servers::start))
        .service(resource("/servers/{id}/stop").post(servers::stop))
        .service(resource("/servers/{id}/restart").post(servers::restart))
        .service(resource("/servers/{id}/logs").get(console::logs))
        .service(resource("/servers/{id}/command").post(console::command))
        .service(resource("/servers/{id}/operations").get(operations::of_server))
        .service(resource("/servers/{id}/schedules").get(schedules::of_server))
        .service(resource("/operations/{id}").get(operations::get))
        .service(resource("/schedules/{id}").get(schedules::get).patch(schedules::change).delete(schedules::delete))
        .service(resource("/schedules/{id}/run").post(schedules::run_now))
        .service(resource("/schedules/{id}/runs").get(schedules::runs))
}
