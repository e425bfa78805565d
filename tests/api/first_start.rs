//! What the first start on the embedded store prints.

use rustix::process::Signal;

use crate::support::{Options, Server};

#[test]
fn a_second_start_prints_no_token() {
    let server = Server::start().stop().start();
    let installation = &server.installation;
    let token = installation.token.clone().unwrap();
    let mut process = server.process;
    process.signal(Signal::TERM);
    process.wait();
    assert!(!process.stdout.whole().contains(&token), "{}", process.stdout.text());
}

#[test]
fn the_first_start_says_all_that_an_operator_needs() {
    let server = Server::start();
    let token = server.token().to_owned();
    let authority = server.authority();
    let mut process = server.process;
    process.signal(Signal::TERM);
    process.wait();
    let (printed, log) = (process.stdout.whole(), process.stderr.whole());
    let url = format!("https://localhost:{}", server.port);
    let enroll = format!("elastic-agent enroll --url={url} --enrollment-token={token}");
    for part in [&url, &token, &enroll, &format!("--certificate-authorities={}", authority.display())] {
        assert!(printed.contains(part), "{part} is not in:\n{printed}");
    }
    assert!(!log.contains(&token), "the token is in the log");
}

#[test]
fn the_line_that_enrols_over_plain_http_says_that_it_may() {
    let server = Server::with(Options::plain());
    let enroll = format!("--enrollment-token={} --insecure\n", server.token());
    let mut process = server.process;
    process.signal(Signal::TERM);
    process.wait();
    assert!(process.stdout.whole().contains(&enroll), "{}", process.stdout.text());
}

#[test]
fn the_token_printed_is_shown_later() {
    let server = Server::start();
    let shown = server.operate(&["token", "list"]).json();
    let id = shown.to_string();
    let key_id = shown["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{id}"));
    let shown = server.operate(&["token", "show", key_id]).json().to_string();
    assert!(shown.contains(server.token()), "{shown}");
}
