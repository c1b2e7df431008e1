//! `/games`

use actix_web::web::{Data, Json};
use agis_servers::game::Protocol;
use serde::Serialize;

use crate::{auth::Caller, page::List, server::Services};

#[derive(Serialize)]
pub(crate) struct GameDto {
    game_type: String,
    title: String,
    port: u16,
    protocol: &'static str,
    cost_per_hour: i32,
}

pub(crate) async fn list(_: Caller, services: Data<Services>) -> Json<List<GameDto>> {
    let games = services.servers.catalogue().games().map(|game| GameDto {
        game_type: game.key.clone(),
        title: game.title.clone(),
        port: game.port,
        protocol: match game.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        },
        cost_per_hour: game.cost_per_hour,
    });
    Json(List::whole(games.collect()))
}
