//! What stands between the server and the cluster, or the cluster itself, answers something else, half of it, or late.

use super::{Scene, is_degraded, options};
use crate::cluster::Cluster;
use crate::proxy::{Fault, Proxy};
use crate::site::Site;

/// Requests that meet the fault before it is over.
const VICTIMS_MIN: usize = 10;

/// Lets requests with this in their path meet a fault, and waits for the server to tell of it where `told`.
fn through(part: &str, fault: Fault, told: bool, name: &str) {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let proxy = Proxy::before(cluster.url());
    let server = site.serve_with(options(&site, proxy.url()));
    let scene = Scene::on(&site, &server);
    proxy.fail(part, fault);
    proxy.wait_for_victims(VICTIMS_MIN);
    if told {
        is_degraded(&server);
    }
    scene.all_are_parked();
    proxy.heal();
    scene.ends_well(name);
}

#[test]
fn everything_is_refused_with_429() {
    through("/", Fault::Refuse(429), true, "429 to everything");
}

#[test]
fn everything_is_refused_with_503() {
    through("/", Fault::Refuse(503), true, "503 to everything");
}

#[test]
fn a_proxy_that_refuses_everybody_with_401() {
    through("/", Fault::Refuse(401), true, "401 by a proxy to everything");
}

#[test]
fn answers_to_writes_are_cut_in_the_middle() {
    through("/_bulk", Fault::Cut, false, "answers to writes cut off");
}

#[test]
fn every_answer_is_cut_in_the_middle() {
    through("/", Fault::Cut, true, "all answers cut off");
}

#[test]
fn every_answer_is_garbage() {
    through("/", Fault::Garbage, true, "garbage");
}

#[test]
fn what_comes_back_is_no_http() {
    through("/", Fault::Noise, true, "no HTTP");
}

#[test]
fn writes_are_slow() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let proxy = Proxy::before(cluster.url());
    let server = site.serve_with(options(&site, proxy.url()));
    let scene = Scene::on(&site, &server);
    proxy.fail("/_bulk", Fault::Hold);
    // each lane of writes has one request under way and waits for it
    proxy.wait_for_victims(2);
    scene.all_are_parked();
    proxy.heal();
    scene.ends_well("slow writes");
}
