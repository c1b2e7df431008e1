//! The loops on a real database, with hosts of the tests' own.

mod billing;
mod chains;
mod consoles;
mod fairness;
mod players;
mod progress;
#[path = "../../../storage/tests/storage/scene.rs"]
mod scene;
mod steps;
