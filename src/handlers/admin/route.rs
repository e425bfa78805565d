//! Which path and method leads to which procedure. `{id}` and `{part}` stand for one segment each, percent-decoded; the first row that fits
//! wins, so a fixed segment stands before an id.

use super::error::Refusal;
use super::{
    Answered, action_status, agents, apply, artifacts, backup, cancel, files, handler, orders, policies,
    secrets, server_status, tokens,
};
use crate::handlers::Request;
use crate::http::percent_decode;
use crate::task::{Cx, Handler};

type Start = fn(Cx, Request) -> Handler;

/// Method, path, procedure. Where Kibana has no such path, it says so.
pub(super) const ROUTES: &[(&str, &str, Start)] = &[
    ("GET", "/api/status", |cx, request| handler(server_status::show(cx, request))),
    ("GET", "/api/fleet/agent_policies", |cx, request| handler(policies::list(cx, request))),
    ("POST", "/api/fleet/agent_policies/delete", |cx, request| handler(policies::delete_named(cx, request))),
    ("GET", "/api/fleet/agent_policies/{id}", |cx, request| handler(policies::show(cx, request))),
    ("DELETE", "/api/fleet/agent_policies/{id}", |cx, request| handler(policies::delete(cx, request))),
    ("GET", "/api/fleet/agent_policies/{id}/full", |cx, request| handler(policies::full(cx, request))),
    // ours
    ("PUT", "/api/fleet/agent_policies/{id}/full", |cx, request| handler(apply::apply(cx, request))),
    ("GET", "/api/fleet/enrollment_api_keys", |cx, request| handler(tokens::list(cx, request))),
    ("POST", "/api/fleet/enrollment_api_keys", |cx, request| handler(tokens::create(cx, request))),
    ("GET", "/api/fleet/enrollment_api_keys/{id}", |cx, request| handler(tokens::show(cx, request))),
    ("DELETE", "/api/fleet/enrollment_api_keys/{id}", |cx, request| handler(tokens::revoke(cx, request))),
    // ours, as are all of artifacts
    ("GET", "/api/fleet/artifacts", |cx, request| handler(artifacts::list(cx, request))),
    ("POST", "/api/fleet/artifacts", |cx, request| handler(artifacts::add(cx, request))),
    ("DELETE", "/api/fleet/artifacts/{id}", |cx, request| handler(artifacts::delete(cx, request))),
    // ours
    ("POST", "/api/fleet/secrets", |cx, request| handler(secrets::set(cx, request))),
    ("GET", "/api/fleet/agents", |cx, request| handler(agents::list(cx, request))),
    ("GET", "/api/fleet/agents/action_status", |cx, request| handler(action_status::list(cx, request))),
    ("POST", "/api/fleet/agents/actions/{id}/cancel", |cx, request| handler(cancel::cancel(cx, request))),
    ("POST", "/api/fleet/agents/bulk_upgrade", |cx, request| handler(orders::upgrade(cx, request))),
    ("POST", "/api/fleet/agents/bulk_unenroll", |cx, request| handler(orders::unenroll(cx, request))),
    ("POST", "/api/fleet/agents/bulk_reassign", |cx, request| handler(orders::reassign(cx, request))),
    ("POST", "/api/fleet/agents/bulk_request_diagnostics", |cx, request| {
        handler(orders::diagnostics(cx, request))
    }),
    // ours: Kibana sets one agent at a time
    ("POST", "/api/fleet/agents/bulk_settings", |cx, request| handler(orders::settings(cx, request))),
    ("GET", "/api/fleet/agents/{id}", |cx, request| handler(agents::show(cx, request))),
    ("POST", "/api/fleet/agents/{id}/upgrade", |cx, request| handler(orders::upgrade(cx, request))),
    ("POST", "/api/fleet/agents/{id}/unenroll", |cx, request| handler(orders::unenroll(cx, request))),
    ("POST", "/api/fleet/agents/{id}/reassign", |cx, request| handler(orders::reassign(cx, request))),
    ("POST", "/api/fleet/agents/{id}/request_diagnostics", |cx, request| {
        handler(orders::diagnostics(cx, request))
    }),
    ("POST", "/api/fleet/agents/{id}/actions", |cx, request| handler(orders::action(cx, request))),
    ("GET", "/api/fleet/agents/{id}/uploads", |cx, request| handler(files::uploads_of(cx, request))),
    ("GET", "/api/fleet/agents/files/{id}/{part}", |cx, request| Box::pin(files::content(cx, request))),
    // ours, as are all of files that agents are to get
    ("GET", "/api/fleet/files", |cx, request| handler(files::list_all(cx, request))),
    ("POST", "/api/fleet/files", |cx, request| handler(files::begin(cx, request))),
    ("DELETE", "/api/fleet/files/{id}", |cx, request| handler(files::delete(cx, request))),
    ("POST", "/api/fleet/files/{id}/complete", |cx, request| handler(files::complete(cx, request))),
    ("PUT", "/api/fleet/files/{id}/{part}", |cx, request| handler(files::chunk(cx, request))),
    // ours
    ("POST", "/api/fleet/backup", |cx, request| handler(backup::backup(cx, request))),
];

/// The handler of a request.
pub(super) fn start(cx: Cx, mut request: Request) -> Handler {
    match find(request.head.method(), request.head.path()) {
        Ok((start, Named { id, part })) => {
            (request.id, request.part) = (id, part);
            start(cx, request)
        }
        Err(refusal) => handler(std::future::ready(Answered::Err(refusal))),
    }
}

fn find(method: &str, path: &str) -> Result<(Start, Named), Refusal> {
    let mut allowed = Vec::new();
    for (row_method, row_path, start) in ROUTES {
        let Some(named) = fits(row_path, path) else { continue };
        if *row_method == method {
            return Ok((*start, named));
        }
        allowed.push(*row_method);
    }
    match allowed.is_empty() {
        true => Err(Refusal::NotFound(format!("there is no {path}"))),
        false => Err(Refusal::Method(allowed.join(", "))),
    }
}

/// What a path names; empty where its form names nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    id: String,
    part: String,
}

/// What `path` names if it is of this form.
fn fits(form: &str, path: &str) -> Option<Named> {
    let mut named = Named::default();
    let mut segments = path.split('/');
    for expected in form.split('/') {
        let segment = segments.next()?;
        let place = match expected {
            "{id}" => &mut named.id,
            "{part}" => &mut named.part,
            _ if expected == segment => continue,
            _ => return None,
        };
        *place = percent_decode(segment).filter(|text| !text.is_empty())?.into_owned();
    }
    segments.next().is_none().then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &str, path: &str) -> Refusal {
        find(method, path).map(|(_, named)| named).unwrap_err()
    }

    #[test]
    fn an_id_is_one_segment_and_percent_decoded() {
        let id = |id: &str, part: &str| Some(Named { id: id.into(), part: part.into() });
        assert_eq!(fits("/a/{id}/b", "/a/x%2Fy/b"), id("x/y", ""));
        assert_eq!(fits("/a/{id}/{part}", "/a/x/y%20z"), id("x", "y z"));
        assert_eq!(fits("/a/{id}", "/a/x/y"), None);
        assert_eq!(fits("/a/{id}", "/a/"), None);
        assert_eq!(fits("/a/{id}", "/a/%zz"), None);
    }

    #[test]
    fn a_fixed_segment_is_no_id() {
        let (_, named) = find("GET", "/api/fleet/agents/action_status").unwrap();
        assert_eq!(named, Named::default());
    }

    #[test]
    fn a_known_path_with_another_method_names_those_allowed() {
        assert_eq!(refused("POST", "/api/fleet/agent_policies/p/full"), Refusal::Method("GET, PUT".into()));
        assert!(matches!(refused("GET", "/api/fleet"), Refusal::NotFound(_)));
    }
}
