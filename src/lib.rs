//! A control plane for Elastic Agents: a drop-in replacement for Fleet Server.
//!
//! Modules in dependency order; a module uses only what stands above it. Nothing below
//! [`reactor`] knows mio, nothing outside `store::embedded` knows SQL, nothing outside
//! `store::elastic` knows HTTP to Elasticsearch.

pub mod version;
pub mod time;
pub mod slots;
pub mod timers;
pub mod config;
pub mod log;
pub mod metrics;
pub mod tls;
pub mod http;
pub mod websocket;
pub mod connection;
pub mod model;
pub mod store;
pub mod pgp;
pub mod api;
pub mod fleet;
pub mod task;
pub mod handlers;
pub mod server;
pub mod reactor;
pub mod agent_mode;
pub mod serve;
pub mod operator;
