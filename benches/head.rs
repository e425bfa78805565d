//! What a request head costs: an agent's check-in, in one piece and in two.

use divan::{Bencher, black_box};
use fleet_server::http::{HttpConnection, Limits, Received};

const HEAD: &[u8] = b"POST /api/fleet/agents/6f0e52a4-8a1e-4f53-a7f6-0d1f5a7b1c11/checkin? HTTP/1.1\r\n\
    Host: fleet.example.org:8220\r\nUser-Agent: Elastic Agent v9.6.0\r\nContent-Length: 6649\r\n\
    Accept: application/json\r\nAccept-Encoding: gzip\r\nAuthorization: ApiKey bm90IGEga2V5IG9mIGFueWJvZHk6YXQgYWxs\r\n\
    Content-Type: application/json\r\nElastic-Api-Version: 2023-06-01\r\nKbn-Xsrf: 1\r\n\
    X-Request-Id: 5a0f6c1e-93e7-4d0e-8f0b-0a6e6f1d2c3b\r\n\r\n";

fn main() {
    divan::main();
}

/// Pieces that a head comes in.
#[divan::bench(args = [1, 2])]
fn check_in(bencher: Bencher<'_, '_>, pieces: usize) {
    let limits = Limits { head_bytes_max: 8192, headers_max: 100 };
    bencher.bench_local(|| {
        let mut connection = HttpConnection::new();
        let mut heads = 0;
        for mut piece in black_box(HEAD).chunks(HEAD.len().div_ceil(pieces)) {
            while let Received::Head(head) = connection.receive(&mut piece, &limits) {
                black_box(head);
                heads += 1;
            }
        }
        assert_eq!(heads, 1);
    });
}
