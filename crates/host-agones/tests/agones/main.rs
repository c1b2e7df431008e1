//! Promises of the host, tried on a cluster: the stand-in, or with `AGIS_TEST_KUBECONFIG` a real one
//! (`cargo xtask test --agones`). Nothing is asked of the stand-in that a real cluster could not be asked, but in `stand_in` and `blind`.
//!
//! On a real cluster with Agones `AGIS_TEST_GAME_IMAGE` names a game that tells Agones' SDK when it is ready; the default
//! is Agones' own example. Each test has a host's name and a server's number of its own.

mod blind;
mod contract;
mod crashes;
mod faults;
mod fences;
mod lifecycle;
mod moving;
mod noticing;
mod scene;
mod stand_in;
