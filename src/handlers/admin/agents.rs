//! `GET /api/fleet/agents` and `/{id}`.
//!
//! A list comes in two ways: with `page` and `perPage` as Kibana numbers them, which counts all agents for `total`; or with
//! `searchAfter` (empty at first, then the `nextSearchAfter` of the answer before), which goes through any number of agents
//! without looking at one twice.

use serde::Serialize;

use super::agent_item::item;
use super::agent_status::{InactivityTimeouts, status};
use super::error::Refusal;
use super::facts::{self, AgentPages};
use super::filter::Filter;
use super::query::{Page, Query};
use super::{Answered, json};
use crate::handlers::Request;
use crate::model::Agent;
use crate::model::raw::Raw;
use crate::task::Cx;
use crate::time::Timestamp;

/// The agents that `kuery` names. `showInactive` is Kibana's, and may be given: none are hidden here.
pub(super) async fn list(cx: Cx, request: Request) -> Answered {
    let query = Query::read(&request.head, &["kuery", "page", "perPage", "searchAfter", "showInactive"])?;
    query.flag("showInactive")?;
    let filter = Filter::parse(query.text("kuery").unwrap_or_default())?;
    let after = query.text("searchAfter");
    let mut pages =
        AgentPages::new(filter.policy_id.clone(), after.unwrap_or_default().to_owned()).with_metadata();
    let mut window = Box::new(Window {
        page: query.page()?,
        after: after.is_some(),
        timeouts: facts::inactivity_timeouts(&cx).await?,
        filter,
        now: cx.now().wall,
        found: 0,
        items: Vec::new(),
        last: String::new(),
    });
    drop((query, request));
    while let Some(agents) = pages.next(&cx).await?
        && !window.is_enough()
    {
        window = cx
            .work(move || {
                window.add(&agents);
                window
            })
            .await
            .ok_or(Refusal::Internal)?;
    }
    let text = cx.work(move || window.answer()).await.ok_or(Refusal::Internal)?;
    Ok(json(text))
}

/// One agent with all that it said of itself.
pub(super) async fn show(cx: Cx, request: Request) -> Answered {
    let agent = facts::agent(&cx, &request.id).await?;
    let timeouts = facts::inactivity_timeouts(&cx).await?;
    let now = cx.now().wall;
    let text =
        cx.work(move || item(&agent, status(&agent, &timeouts, now))).await.ok_or(Refusal::Internal)?;
    Ok(json(format!(r#"{{"item":{}}}"#, text.get())))
}

/// The part of the list that is wanted, while the agents go by.
struct Window {
    page: Page,
    /// Whether the list begins behind a known agent and ends when it is full.
    after: bool,
    timeouts: InactivityTimeouts,
    filter: Filter,
    now: Timestamp,
    /// How many fitted so far.
    found: usize,
    items: Vec<Raw>,
    /// Id of the last item.
    last: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    items: &'a [Raw],
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<usize>,
    per_page: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_search_after: Option<&'a str>,
}

impl Window {
    fn add(&mut self, agents: &[Agent]) {
        for agent in agents {
            if self.is_enough() {
                return;
            }
            let status = status(agent, &self.timeouts, self.now);
            if self.filter.status.is_some_and(|wanted| wanted != status) {
                continue;
            }
            self.found += 1;
            let comes_before = !self.after && self.found <= self.page.skipped();
            if !comes_before && !self.is_full() {
                self.items.push(item(agent, status));
                self.last.clone_from(&agent.id);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.page.size
    }

    /// Whether no further agent has to be looked at.
    fn is_enough(&self) -> bool {
        self.after && self.is_full()
    }

    fn answer(&self) -> String {
        let numbered = |number| (!self.after).then_some(number);
        let list = List {
            items: &self.items,
            total: numbered(self.found),
            page: numbered(self.page.number),
            per_page: self.page.size,
            next_search_after: self.is_enough().then_some(self.last.as_str()),
        };
        serde_json::to_string(&list).unwrap_or_default()
    }
}
