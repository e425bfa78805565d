//! The operator names other hosts while the server runs.

use std::fs;

use rustix::process::Signal;

use super::{Scene, is_degraded, options};
use crate::cluster::Cluster;
use crate::site::Site;
use crate::support::free_port;

#[test]
fn hosts_that_are_changed_to_wrong_ones_and_back() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.yml");
    let write = |url: &str| fs::write(&file, format!("output.elasticsearch.hosts: [\"{url}\"]\n")).unwrap();
    write(cluster.url());
    let options = options(&site, cluster.url()).without("output.elasticsearch.hosts.0");
    let server = site.serve_with(options.argument("-c").argument(file.display().to_string()));
    let scene = Scene::on(&site, &server);
    // nobody listens there
    write(&format!("http://127.0.0.1:{}", free_port()));
    server.process.signal(Signal::HUP);
    server.process.stderr.wait_for("in force: output.elasticsearch");
    is_degraded(&server);
    scene.all_are_parked();
    write(cluster.url());
    server.process.signal(Signal::HUP);
    scene.ends_well("hosts changed to wrong ones and back");
}
