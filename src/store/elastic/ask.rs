//! Requests, and the two ways of asking: one thing, or many in one request. Both ask again as long as that may help; what
//! is asked is safe to repeat unless its request says otherwise.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Elastic;
use super::client::{Client, Content, Request, Response};
use super::failure::{Cure, Trouble};
use crate::store::StoreError;

/// What came of one of many.
pub(super) type Single<T> = Result<T, Trouble>;

/// What `GET /` of a cluster tells.
#[derive(Deserialize)]
pub(super) struct Greeting {
    pub(super) version: Version,
}

/// Of a cluster.
#[derive(Deserialize)]
pub(super) struct Version {
    pub(super) number: String,
}

/// A request without a body.
pub(super) fn plain(method: &'static str, path: impl Into<String>) -> Request {
    Request {
        method,
        path: path.into(),
        body: Vec::new(),
        content: Content::Json,
        authorization: None,
        repeatable: true,
        small_answer: false,
        timeout: None,
    }
}

/// A request with a JSON body.
pub(super) fn json(method: &'static str, path: impl Into<String>, body: &impl Serialize) -> Request {
    // our own types always have a JSON text
    Request { body: serde_json::to_vec(body).unwrap_or_default(), ..plain(method, path) }
}

/// A POST of lines.
pub(super) fn lines(path: impl Into<String>, body: String) -> Request {
    Request { body: body.into_bytes(), content: Content::Lines, ..plain("POST", path) }
}

impl Elastic {
    /// The answer to a request, tried again as long as that may help. Anything but 2xx is an error.
    pub(super) fn call(&self, request: &Request) -> Result<Vec<u8>, StoreError> {
        self.patiently(|| self.once(request))
    }

    /// The same of any cluster.
    pub(super) fn call_on(&self, client: &Client, request: &Request) -> Result<Vec<u8>, StoreError> {
        self.patiently(|| once_on(client, request))
    }

    /// The same of any cluster; `None` if it says itself that there is no such thing. A 404 of somebody in between says
    /// nothing.
    pub(super) fn call_on_unless_missing(
        &self,
        client: &Client,
        request: &Request,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.patiently(|| {
            let response = response_of(client, request)?;
            match response.status {
                200..300 => Ok(Some(response.body)),
                404 if is_elasticsearchs(&response) => Ok(None),
                404 => Err(Trouble::unknown("a 404 that is not the cluster's".to_owned())),
                _ => Err(Trouble::refused(&response)),
            }
        })
    }

    /// What an attempt comes to, which is repeated as long as that may help.
    pub(super) fn patiently<R>(&self, attempt: impl Fn() -> Single<R>) -> Result<R, StoreError> {
        let mut retry = 0;
        loop {
            match attempt() {
                Ok(result) => return Ok(result),
                Err(trouble) if trouble.cure == Cure::Wait && retry < self.patience.retries_max => {
                    self.patience.before_retry(retry);
                    retry += 1;
                }
                Err(trouble) => return Err(trouble.error),
            }
        }
    }

    /// The answer to a request that is sent once. Anything but 2xx is trouble.
    pub(super) fn once(&self, request: &Request) -> Single<Vec<u8>> {
        once_on(&self.client, request)
    }

    /// The response to a request that is sent once, whatever its status.
    pub(super) fn response(&self, request: &Request) -> Single<Response> {
        response_of(&self.client, request)
    }

    /// Asks for many things in one request and answers each in its place. What is refused for a while is asked again, alone
    /// or with others of that kind; what is refused because of one of them is asked in parts, until that one stands alone.
    pub(super) fn grouped<T, R>(
        &self,
        things: &[T],
        ask: impl Fn(&[&T]) -> Single<Vec<Single<R>>>,
    ) -> Vec<Result<R, StoreError>> {
        let mut answers: Vec<Option<Single<R>>> = things.iter().map(|_| None).collect();
        let mut waiting: Vec<usize> = (0..things.len()).collect();
        for retry in 0..=self.patience.retries_max {
            if waiting.is_empty() {
                break;
            }
            if retry > 0 {
                self.patience.before_retry(retry - 1);
            }
            let asked: Vec<&T> = waiting.iter().map(|index| &things[*index]).collect();
            for (index, answer) in waiting.iter().zip(in_parts(&asked, &ask)) {
                answers[*index] = Some(answer);
            }
            waiting
                .retain(|index| matches!(&answers[*index], Some(Err(trouble)) if trouble.cure == Cure::Wait));
        }
        let settled =
            answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(Trouble::garbled("nothing"))));
        settled.map(|answer| answer.map_err(|trouble| trouble.error)).collect()
    }
}

/// Whether Elasticsearch itself has answered, as far as the body shows: it always answers with a JSON object.
pub(super) fn is_elasticsearchs(response: &Response) -> bool {
    serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(&response.body)
        .is_ok_and(|fields| !fields.is_empty())
}

/// The body of a 2xx answer of any cluster to a request that is sent once.
pub(super) fn once_on(client: &Client, request: &Request) -> Single<Vec<u8>> {
    let response = response_of(client, request)?;
    if (200..300).contains(&response.status) {
        return Ok(response.body);
    }
    Err(Trouble::refused(&response))
}

fn response_of(client: &Client, request: &Request) -> Single<Response> {
    client.send(request).map_err(|error| Trouble::unanswered(&error, request))
}

/// Asks once; in halves, in their order, where that may help.
fn in_parts<T, R>(asked: &[&T], ask: &impl Fn(&[&T]) -> Single<Vec<Single<R>>>) -> Vec<Single<R>> {
    match ask(asked) {
        Ok(answers) if answers.len() == asked.len() => answers,
        Ok(_) => asked.iter().map(|_| Err(Trouble::garbled("several questions"))).collect(),
        Err(trouble) if trouble.cure == Cure::Divide && asked.len() > 1 => {
            let (first, second) = asked.split_at(asked.len() / 2);
            let mut answers = in_parts(first, ask);
            answers.extend(in_parts(second, ask));
            answers
        }
        Err(trouble) => asked.iter().map(|_| Err(trouble.clone())).collect(),
    }
}
