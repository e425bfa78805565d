//! What was answered with 200 is on disk: `kill -9` under load, again and again, and a look at the system calls.

mod backup;
mod rounds;
mod syncs;
