//! Output keys that are as they have to be: those of many agents are read in two requests, the documents and the secrets. After
//! a new revision that is what nearly all agents need, thousands at once. Whoever needs more is seen to one by one
//! (`output_keys`).

use super::Elastic;
use super::indices::Index;
use super::lookup::Wanted;
use super::output_keys::{self, Outputs};
use crate::model::{AgentOutput, ApiKey, KeyNeed, KeysWanted, OutputCluster, Secrets};
use crate::store::Operation;

impl Elastic {
    /// For each operation the keys wanted, in the order of the needs, if all are there and none has to be changed.
    pub(super) fn known_keys(&self, part: &[Operation]) -> Vec<Option<Vec<Option<ApiKey>>>> {
        let wanted: Vec<Option<&KeysWanted>> = part.iter().map(wanted).collect();
        let outputs = self.outputs_of_all(&wanted);
        let stored: Vec<Option<Vec<&AgentOutput>>> = wanted
            .iter()
            .zip(&outputs)
            .map(|(wanted, outputs)| stored_as_needed((*wanted)?, outputs.as_ref()?))
            .collect();
        let ids: Vec<String> = stored
            .iter()
            .flatten()
            .flatten()
            .filter_map(|output| Some(output.secret_id()?.to_owned()))
            .collect();
        // without them each is read, and its trouble told, on its own
        let secrets = if ids.is_empty() { Ok(Secrets::default()) } else { self.secrets(&ids) };
        let Ok(secrets) = secrets else { return part.iter().map(|_| None).collect() };
        let keys = |stored: &AgentOutput| output_keys::key_of(stored, &secrets).map(Some);
        stored.into_iter().map(|stored| stored?.into_iter().map(keys).collect()).collect()
    }

    /// What the documents say of their outputs; `None` for whom nothing is wanted or known.
    fn outputs_of_all(&self, wanted: &[Option<&KeysWanted>]) -> Vec<Option<Outputs>> {
        let agents = wanted.iter().flatten().map(|wanted| wanted.agent.as_str());
        let look_ups: Vec<Wanted<'_>> =
            agents.map(|id| Wanted { index: Index::Agents, id, part: output_keys::PART }).collect();
        let mut documents = if look_ups.len() > 1 { self.look_up(&look_ups) } else { Vec::new() }.into_iter();
        let mut outputs = |_: &KeysWanted| output_keys::outputs_in(&documents.next()?.ok()??).ok();
        wanted.iter().map(|wanted| outputs((*wanted)?)).collect()
    }
}

fn wanted(operation: &Operation) -> Option<&KeysWanted> {
    match operation {
        // a key elsewhere may have to be asked for there
        Operation::OutputKeys(wanted) if wanted.needs.iter().all(is_here) => Some(wanted),
        _ => None,
    }
}

fn is_here(need: &KeyNeed) -> bool {
    matches!(need.cluster, OutputCluster::Own)
}

/// What is stored for each need, if it is just that and nothing else.
fn stored_as_needed<'a>(wanted: &KeysWanted, outputs: &'a Outputs) -> Option<Vec<&'a AgentOutput>> {
    let stored = |need: &KeyNeed| {
        outputs.get(&need.output).filter(|output| output.permissions_hash == need.permissions_hash)
    };
    (outputs.len() == wanted.needs.len()).then(|| wanted.needs.iter().map(stored).collect())?
}
