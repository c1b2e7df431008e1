//! The stores on a real database.

mod due;
mod idle;
mod migrations;
mod notices;
mod planning;
mod players;
mod ports;
mod progress;
mod relay;
mod restarts;
mod retention;
mod scene;
mod schedules;
mod shares;
