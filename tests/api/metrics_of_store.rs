//! Metrics of the store: on each store, what it is and how long its operations take.

use crate::support::{Metrics, Options};

#[test]
fn the_store_is_measured_by_operation() {
    let (server, metrics) = Metrics::of_server(Options::plain());
    server.enrol();
    let text = metrics.scrape();
    assert_eq!(text.value("fleet_server_store_operation_seconds_count{operation=\"enroll\"}"), 1.0);
    assert!(text.value("fleet_server_queue_bound{queue=\"store_read\"}") > 1_000.0);
    let store = text.0.lines().find(|line| line.starts_with("fleet_server_store_info{")).unwrap();
    if server.installation.cluster().is_some() {
        assert!(store.contains("kind=\"elasticsearch\"") && !store.contains("watch=\"\""), "{store}");
        assert!(text.value("fleet_server_elasticsearch_requests_total{api=\"bulk\"}") > 0.0);
    }
}
