//! How much memory a request under way takes.

use std::rc::Rc;
use std::time::Duration;

use crate::connection::Listener;
use crate::handlers::{Request, admin};
use crate::http::{HttpConnection, Limits, Received};
use crate::slots::SlotId;
use crate::task::{Loan, Task};
use crate::time::{Now, Timestamp};

/// The bound of every handler's future (architecture.md, "What keeps it honest").
const FUTURE_BYTES_MAX: usize = 2_048;

fn request(line: &str) -> Request {
    let bytes = format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut rest = bytes.as_bytes();
    let Received::Head(head) = HttpConnection::new().receive(&mut rest, &Limits::default()) else {
        panic!("no head")
    };
    let now = Now { mono: Duration::ZERO, wall: Timestamp(0) };
    let connection = SlotId { index: 0, generation: 0 };
    Request {
        connection,
        listener: Listener::Admin,
        is_encrypted: false,
        head,
        id: String::new(),
        part: String::new(),
        started: now,
    }
}

#[test]
fn no_handler_is_large() {
    for (method, path, _) in admin::route::ROUTES {
        let request = request(&format!("{method} {path}").replace("{id}", "x").replace("{part}", "1"));
        let now = request.started;
        Task::new(&Rc::new(Loan::default()), now, |cx| {
            let handler = admin::start(cx, request);
            let bytes = std::mem::size_of_val(&*handler);
            assert!(bytes <= FUTURE_BYTES_MAX, "{method} {path}: {bytes}");
            handler
        });
    }
}
