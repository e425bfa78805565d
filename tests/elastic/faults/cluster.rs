//! The cluster itself is in trouble.

use std::time::Duration;

use super::breakable::Breakable;
use super::{Scene, is_degraded, options};
use crate::cluster::pause;
use crate::site::{Site, patient};
use crate::support::{Process, Request, eventually, free_port};

/// Seconds that a cluster is silent for, where the environment does not say otherwise (`FLEET_FREEZE_SECONDS`).
const FREEZE_SECONDS: u64 = 5;
/// For answers to be given up within a short freeze.
const SHORT_TIMEOUT_SECONDS: u64 = 2;

pub(super) fn silence() -> Duration {
    let seconds = std::env::var("FLEET_FREEZE_SECONDS");
    Duration::from_secs(seconds.map_or(FREEZE_SECONDS, |seconds| seconds.parse().unwrap()))
}

#[test]
fn a_cluster_that_is_stopped_and_started_again() {
    let Some(cluster) = Breakable::take() else { return };
    let site = Site::new(&cluster);
    let server = site.serve_with(options(&site, cluster.url()));
    let scene = Scene::on(&site, &server);
    cluster.stop();
    is_degraded(&server);
    scene.all_are_parked();
    cluster.start_again();
    scene.ends_well("stopped and started again");
}

#[test]
fn a_cluster_that_is_killed_and_comes_back_with_its_data() {
    let Some(cluster) = Breakable::take() else { return };
    let site = Site::new(&cluster);
    let server = site.serve_with(options(&site, cluster.url()));
    let scene = Scene::on(&site, &server);
    cluster.kill();
    is_degraded(&server);
    scene.all_are_parked();
    cluster.start_again();
    scene.ends_well("kill -9");
}

#[test]
fn a_server_that_starts_while_there_is_no_cluster() {
    let Some(cluster) = Breakable::take() else { return };
    let site = Site::new(&cluster);
    let installation = site.serve().stop();
    cluster.kill();
    let port = free_port();
    let process = Process::spawn(installation.command(port), false);
    process.stderr.wait_for("listening");
    let shown = || patient(port).expect("it listens").ask(&Request::get("/api/status")).status;
    assert_eq!(shown(), 503);
    cluster.start_again();
    eventually("it serves", || (shown() == 200).then_some(()));
}

fn frozen(timeout_seconds: u64, name: &str) {
    let Some(cluster) = Breakable::take() else { return };
    let site = Site::new(&cluster);
    let silence = silence();
    let timeout = format!("{timeout_seconds}s");
    let server = site.serve_with(options(&site, cluster.url()).set("output.elasticsearch.timeout", timeout));
    let scene = Scene::on(&site, &server);
    cluster.freeze();
    pause(silence);
    scene.all_are_parked();
    cluster.thaw();
    scene.ends_well(&format!("frozen for {} s, {name}", silence.as_secs()));
}

#[test]
fn a_frozen_cluster() {
    frozen(90, "answers waited for");
}

#[test]
fn a_frozen_cluster_whose_answers_are_given_up() {
    frozen(SHORT_TIMEOUT_SECONDS, "answers given up after 2 s");
}
