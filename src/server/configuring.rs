//! Another configuration while the server runs: limits, times and keys hold from the next request on. Nobody who waits is
//! sent away, and a wait that has begun ends as it was begun. Only the WebSockets of collectors end where OpAMP is switched off.

use std::sync::Arc;

use crate::config::Config;

use super::Server;

/// Operations that may wait or be under way, if the operator says so.
pub(super) fn operations_max(config: &Config) -> usize {
    match config.server.bulk.dispatches_pending_max {
        0 => usize::MAX,
        set => set,
    }
}

impl Server {
    /// `config` is in force from now on.
    pub(super) fn configured(&mut self, config: Arc<Config>) {
        self.limits.head_bytes_max = config.server.limits.header_bytes_max;
        self.operations_max = operations_max(&config);
        self.batcher.bind(self.operations_max);
        self.fleet_mut().configured(config.clone());
        self.config = config;
        if !self.config.server.feature_flags.enable_opamp {
            self.close_sockets();
        }
        self.look_at_standing();
    }
}
