//! The world that all parts of the stand-in share, and its address.

use crate::schema::Schemas;
use crate::state::World;

pub(crate) type Hub = agis_test_support::hub::Hub<Facts, World>;

#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) url: String,
    pub(crate) schemas: &'static Schemas,
}
