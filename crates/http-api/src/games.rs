//! `/games`

use actix_web::web::{Data, Json, Query};
use agis_servers::game::{Protocol, Tried};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::Caller,
    page::{List, list_query, word},
    problem::Problem,
    services::Services,
    words,
};

/// A game that a server can be created for.
#[derive(Serialize, ToSchema)]
#[schema(as = Game, examples(json!({
    "game_type": "openttd", "title": "OpenTTD", "port": 3979, "protocol": "tcp", "cost_per_hour": 20,
    "unavailable": null, "documentation": "https://wiki.openttd.org/en/Manual/Dedicated%20server", "eula": null,
    "tried": "run"
})))]
pub(crate) struct GameDto {
    /// The key of the game, as in `game_type` of a server.
    game_type: String,
    /// The name for people.
    title: String,
    /// The port of its servers, if it is free. Null where the host assigns ports.
    #[schema(minimum = 1)]
    port: Option<u16>,
    #[schema(value_type = words::Protocol)]
    protocol: &'static str,
    /// Credits per hour.
    #[schema(minimum = 0)]
    cost_per_hour: i32,
    /// Why no server can be created for it at the moment, for people. Null where no reason is known.
    unavailable: Option<String>,
    /// The page that its entry in the catalogue follows.
    documentation: Option<String>,
    /// The licence that the owner of a server has to accept before its first start.
    eula: Option<String>,
    #[schema(value_type = Option<words::Tried>)]
    tried: Option<&'static str>,
}

list_query! {
    GamesQuery {
        /// Games with this protocol.
        #[param(value_type = Option<words::Protocol>)]
        protocol,
    }
}

/// List the games
///
/// Sorted by `game_type`. Games that cannot be played at the moment are listed with the reason.
#[utoipa::path(
    get, path = "/api/v1/games", operation_id = "listGames", tag = "games", params(GamesQuery),
    responses((status = 200, description = "One page of the list.", body = List<GameDto>)),
)]
pub(crate) async fn list(
    _: Caller,
    services: Data<Services>,
    query: Query<GamesQuery>,
) -> Result<Json<List<GameDto>>, Problem> {
    let (after, limit) = query.piece::<String>()?;
    let protocol = word("protocol", query.protocol.as_ref(), &Protocol::ALL, Protocol::as_str)?;
    let mut unavailable = services.servers.unavailable_games().await?;
    let games = services.servers.catalogue().games();
    let games = games
        .filter(|game| after.as_ref().is_none_or(|after| game.key > *after))
        .filter(|game| protocol.is_none_or(|protocol| game.protocol() == protocol))
        .take(limit as usize)
        .map(|game| GameDto {
            game_type: game.key.clone(),
            title: game.title.clone(),
            port: game.port(),
            protocol: game.protocol().as_str(),
            cost_per_hour: game.cost_per_hour,
            unavailable: unavailable.remove(&game.key),
            documentation: game.about.documentation.clone(),
            eula: game.about.eula.clone(),
            tried: game.about.tried.map(Tried::as_str),
        });
    Ok(Json(List::new(games.collect(), limit, |game| game.game_type.clone())))
}
