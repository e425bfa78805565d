//! Clients that are no agents: garbage, half a request, keys that are none, a load balancer's look at the status.

use fleet_server::model::ApiKey;
use serde_json::json;

use crate::agenda::Happening;
use crate::request::{self, Kind, Manner, Request};
use crate::run::Sim;
use crate::wire::Owner;

impl Sim {
    pub(crate) fn stranger_comes(&mut self) {
        let (bytes, statuses) = self.strange_request();
        let wire = self.connect(Owner::Nobody);
        self.tally.strangers += 1;
        self.ask(wire, Request::new(Kind::Other { statuses }, self.mono, bytes));
        if !self.calm {
            let next = self.dice.millis(1_000, 60_000);
            self.agenda.plan(self.mono + next, Happening::Stranger);
        }
    }

    /// What it sends, and what it may get.
    fn strange_request(&mut self) -> (Vec<u8>, &'static [u16]) {
        let manner = Manner::new(&mut self.dice);
        let check_in = json!({"status": "online"});
        let key = ApiKey { id: "no".into(), secret: "key".into() }.token();
        let someone = self.agents.iter().find_map(|agent| agent.identity.clone());
        match self.dice.below(7) {
            0 => (b"GET /api/status HTTP/1.1\r\nHost: fleet\r\n\r\n".to_vec(), &[]),
            1 => (b"GET / HTTP/1.1\r\n\r\n\r\n\r\n".to_vec(), &[400, 408, 499]),
            2 => (b"POST /api/fleet/agents/enroll HTTP/1.1\r\nHost: fle".to_vec(), &[408]),
            3 => (vec![b'x'; 20_000], &[400, 431, 408]),
            4 => {
                let path = request::path("nobody", "checkin");
                (request::post(&path, &key, &check_in, manner, true), &[401, 408, 429, 503])
            }
            // somebody else's agent: that one must stay where it is
            _ => match someone {
                Some(identity) => {
                    let path = request::path(&identity.id, "checkin");
                    (request::post(&path, &key, &check_in, manner, true), &[401, 408, 429, 503])
                }
                None => (b"GET /nothing HTTP/1.1\r\nHost: fleet\r\n\r\n".to_vec(), &[404, 408]),
            },
        }
    }
}
