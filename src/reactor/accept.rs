//! Taking connections in, and not taking them in while descriptors are out.

use std::io;
use std::time::Duration;

use rustix::io::Errno;

use super::connection::Phase;
use super::core::{Core, Jobs};
use super::listeners::Doors;
use super::network::Timer;
use super::socket::Socket;
use super::turn::Turn;
use crate::server::{Event, Listener};

/// Connections taken from one door in one turn.
const ACCEPTS_PER_TURN_MAX: usize = 1_024;
/// Connections of those who look at metrics; further ones are closed when accepted.
pub(super) const METRICS_CONNECTIONS_MAX: u32 = 100;
/// How long accepting pauses, unless a connection closes before.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether connections are taken in.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    /// Nothing is accepted until a descriptor is free.
    pub(super) paused: bool,
    /// The log knows that descriptors are out.
    told: bool,
}

impl<C: Core, J: Jobs> Turn<'_, C, J> {
    /// Takes waiting connections in, a bounded number from each door.
    pub(super) fn accept(&mut self, doors: &mut Doors, accepting: &mut Accepting) {
        if accepting.paused && !std::mem::take(&mut self.network.descriptor_freed) {
            return;
        }
        accepting.paused = false;
        for door in &mut doors.doors {
            for _ in 0..ACCEPTS_PER_TURN_MAX {
                if !door.ready {
                    break;
                }
                match door.accept() {
                    Ok(socket) => self.take_in(socket, door.listener),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        door.ready = false;
                        if std::mem::take(&mut accepting.told) {
                            log::info!("connections are accepted again");
                        }
                    }
                    Err(error) if is_of_the_connection(&error) => {}
                    Err(error) => return self.pause(accepting, &error),
                }
            }
        }
    }

    fn pause(&mut self, accepting: &mut Accepting, error: &io::Error) {
        accepting.paused = true;
        self.network.descriptor_freed = false;
        self.network.timers.set(self.now.mono + PAUSE, Timer::Accept);
        if !std::mem::replace(&mut accepting.told, true) {
            log::warn!("connections wait until one closes: {error}");
        }
    }

    fn take_in(&mut self, socket: Socket, listener: Listener) {
        let most = self.network.bounds.connections_max;
        // 429 begins at the limit; beyond 110 % not even that is affordable (http-api.md, Rate limits)
        let most = most.saturating_add(most / 10);
        let most = match listener {
            Listener::External | Listener::Internal => most,
            Listener::Admin => 0,
            Listener::Metrics => METRICS_CONNECTIONS_MAX,
        };
        if most > 0 && *self.network.counts.of(listener) >= most {
            self.network.figures.rejected += u64::from(listener.is_for_agents());
            return;
        }
        let tls = listener.is_for_agents() && self.network.certificates.is_some();
        let phase = if tls { Phase::Waiting } else { Phase::Open };
        let Some(id) = self.network.add(socket, listener, phase) else { return };
        if tls {
            self.network.set_deadline(id, self.now.mono + self.network.bounds.handshake_time_max);
        } else {
            let peer = self.network.connections.get(id).and_then(|connection| connection.socket.peer());
            self.tell(Event::Opened { connection: id, listener, tls: false, peer });
        }
    }
}

/// Whether an error of accept(2) means the connection that was to be accepted, not us.
fn is_of_the_connection(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    let of_the_connection = [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::INTR,
        Errno::PROTO,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
        Errno::TIMEDOUT,
        Errno::PERM,
    ];
    errno.is_some_and(|errno| of_the_connection.contains(&errno))
}
