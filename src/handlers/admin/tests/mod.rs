//! The operator's API, driven through the core without sockets, on the store in memory.

mod acting;
mod listing;
mod policies;
mod secrets;
mod size;
mod tokens;
mod world;

use serde_json::{Value, json};

use world::World;
