//! Where the input is split changes nothing.

use super::*;

/// Requests of every kind, each with what follows it on the connection.
pub(super) const SAMPLES: &[&[u8]] = &[
    b"GET /api/status HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
      5;x=y\r\nhello\r\nA \t;z\r\n0123456789\r\n0\r\nX-T: v\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    b"\r\nHEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\nrest",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\nGET /2 HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET http://a/b?c HTTP/1.1\r\nHost: a\r\nX-1: 1\r\nX-2: 2\r\nX-3: 3\r\nX-4: 4\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
];

/// The events of a connection fed with these pieces; adjacent pieces of a body are one, each request is
/// answered when it is complete.
fn events_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, String) {
    let mut peer = Peer::new();
    let (mut all, mut output) = (Vec::<Event>::new(), String::new());
    for piece in pieces {
        let mut events = peer.feed(piece);
        while !events.is_empty() {
            let answer = match events.last() {
                Some(Event::End) => Some(Response::new(200, "ok")),
                Some(Event::Bad(bad)) => Some(Response::new(bad.status(), "")),
                _ => None,
            };
            for event in events.drain(..) {
                match (all.last_mut(), event) {
                    (Some(Event::Body(body)), Event::Body(more)) => body.push_str(&more),
                    (_, event) => all.push(event),
                }
            }
            if let Some(response) = answer {
                output += &peer.answer(response).0;
                events = peer.feed("");
            }
        }
    }
    (all, output)
}

#[test]
fn every_split_point_of_every_sample_gives_the_same_events() {
    for sample in SAMPLES {
        let whole = events_of([*sample]);
        assert!(!whole.0.is_empty());
        for at in 0..=sample.len() {
            let (first, second) = sample.split_at(at);
            assert_eq!(events_of([first, second]), whole, "split at {at}");
        }
    }
}

#[test]
fn one_byte_at_a_time_gives_the_same_events() {
    for sample in SAMPLES {
        assert_eq!(events_of(sample.chunks(1)), events_of([*sample]));
    }
}

#[test]
fn every_pair_of_split_points_of_a_chunked_request_gives_the_same_events() {
    let sample = SAMPLES[2];
    let whole = events_of([sample]);
    for first in 0..sample.len() {
        for second in first..sample.len() {
            let pieces = [&sample[..first], &sample[first..second], &sample[second..]];
            assert_eq!(events_of(pieces), whole, "split at {first} and {second}");
        }
    }
}
