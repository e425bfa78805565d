//! A network that drops packets: nothing is refused and no connection ends, there is only silence.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use socket2::{SockFilter, SockRef};

use super::cluster::silence;
use super::{Scene, options};
use crate::cluster::{Cluster, pause};
use crate::load::CLIENTS;
use crate::proxy::in_thread;
use crate::site::Site;

/// The only instruction of a socket's packet filter: "return 0", which lets no byte of any packet in.
const NOTHING: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// Between a server and a cluster; ends when dropped.
struct Network {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    listener: TcpListener,
    /// `HOST:PORT` of the cluster.
    cluster: String,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    drops: bool,
    ended: bool,
    /// The server's connections, also those that are over.
    connections: Vec<Arc<TcpStream>>,
}

impl Network {
    /// In front of the cluster at this URL.
    fn before(cluster: &str) -> Network {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cluster = cluster.trim_start_matches("http://").to_owned();
        let shared = Arc::new(Shared { listener, cluster, state: Mutex::default(), bell: Condvar::new() });
        let serving = Arc::clone(&shared);
        in_thread(move || {
            for server in serving.listener.incoming().flatten() {
                if serving.state().ended {
                    break;
                }
                // whom the cluster does not take is cut off
                let _ = Shared::carry(&serving, server);
            }
        });
        Network { address, shared }
    }

    /// What takes the place of the cluster's URL.
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on what the server sends is neither read nor acknowledged, by nobody; and it is sent nothing.
    fn drop_packets(&self) {
        let mut state = self.shared.state();
        state.drops = true;
        deafen(&self.shared.listener);
        state.connections.iter().for_each(deafen);
    }

    /// From now on everything comes through, also what is sent again.
    fn heal(&self) {
        let mut state = self.shared.state();
        if !std::mem::take(&mut state.drops) {
            return;
        }
        let hears = |socket: SockRef<'_>| socket.detach_filter().unwrap();
        hears(SockRef::from(&self.shared.listener));
        state.connections.iter().for_each(|connection| hears(SockRef::from(connection)));
        self.shared.bell.notify_all();
    }
}

impl State {
    fn add(&mut self, connection: &Arc<TcpStream>) {
        if self.drops {
            deafen(connection);
        }
        self.connections.push(Arc::clone(connection));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        // a test may have failed in the silence, in which nobody can connect
        self.heal();
        // wakes the one that accepts
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    /// Carries bytes both ways, until either side ends the connection.
    fn carry(shared: &Arc<Shared>, server: TcpStream) -> io::Result<()> {
        server.set_nodelay(true)?;
        let server = Arc::new(server);
        let cluster = Arc::new(TcpStream::connect(&shared.cluster)?);
        cluster.set_nodelay(true)?;
        shared.state().add(&server);
        for (from, to) in [(&server, &cluster), (&cluster, &server)] {
            let (from, to, shared) = (Arc::clone(from), Arc::clone(to), Arc::clone(shared));
            in_thread(move || {
                // either side has ended it
                let _ = shared.copy(&from, &to);
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        }
        Ok(())
    }

    fn copy(&self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        loop {
            let count = from.read(&mut bytes)?;
            drop(self.bell.wait_while(self.state(), |state| state.drops));
            if count == 0 {
                return Ok(());
            }
            to.write_all(&bytes[..count])?;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Packets for this socket are thrown away before TCP sees them.
fn deafen(socket: &impl AsFd) {
    SockRef::from(socket).attach_filter(&[NOTHING]).unwrap();
}

#[test]
fn a_network_that_drops_packets() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let network = Network::before(cluster.url());
    let server = site.serve_with(options(&site, &network.url()));
    let scene = Scene::on(&site, &server);
    network.drop_packets();
    let (silence, before) = (silence(), scene.load.acknowledged());
    pause(silence);
    // what the cluster had answered already
    assert!(scene.load.acknowledged() <= before + CLIENTS, "packets come through");
    scene.all_are_parked();
    network.heal();
    scene.ends_well(&format!("packets dropped for {} s", silence.as_secs()));
}
