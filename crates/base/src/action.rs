use serde::{Deserialize, Serialize};

use crate::words;

words! {
    /// Action on a server that a schedule may take as well as a person.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    PowerAction {
        /// Bring the server up for players.
        Start = "start",
        /// Stop the server.
        Stop = "stop",
        /// Stop the server, then start it.
        Restart = "restart",
    }
}
