//! Promises of a host, seen on a real engine. `AGIS_TEST_ENGINE` names the engine: `podman`, the default, or `docker`.

mod bench;
mod console;
mod contained;
mod contract;
mod end;
mod faults;
mod files;
mod proxy;
mod pull;
mod start;

use agis_base::ServerId;

const ONE: ServerId = ServerId(1);
const TWO: ServerId = ServerId(2);
