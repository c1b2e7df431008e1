//! Promises of a host, seen on real processes.

mod bench;
mod console;
mod contained;
mod contract;
mod end;
mod files;
mod full_disk;
mod kills;
mod limits;
mod ports;
mod share;
mod start;

use agis_base::ServerId;

const ONE: ServerId = ServerId(1);
const TWO: ServerId = ServerId(2);
