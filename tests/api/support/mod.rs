//! What the tests share: a server process with its own data directory, clients over real sockets, and waits that end with a
//! message. Knows no case.

// each of the test programs uses its part
#![allow(dead_code, unused_imports)]

mod agent;
mod certificates;
pub(crate) mod files;
mod fleet;
mod go;
mod http;
mod in_process;
mod metrics;
mod opamp;
mod operator;
mod options;
mod output;
mod server;
mod store;
pub(crate) mod stream;
mod wait;

pub(crate) use agent::{Agent, event, online};
pub(crate) use certificates::{Authority, Pair};
pub(crate) use go::build_with_go;
pub(crate) use http::{Connection, Request, Response, gzip};
pub(crate) use metrics::{Metrics, Scrape};
pub(crate) use opamp::{Socket, collector, described, frame, uid};
pub(crate) use options::Options;
pub(crate) use output::Output;
pub(crate) use server::{Failed, Installation, Process, Server, executable, free_port, succeeds};
pub(crate) use store::{Opened, action, minutes_from_now, now_millis};
pub(crate) use stream::roots;
pub(crate) use wait::{PATIENCE, eventually, in_thread};
