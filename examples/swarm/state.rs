//! Enrolled agents in a file, so that a later run (of another scenario, after a restart of the server) can
//! use them.

use std::{fs, path::Path};

use crate::agent::Agent;
use crate::keep;

/// The agents of `path`, at most `count`, numbered; none when there is no such file.
pub(crate) fn load(path: &Path, count: usize) -> Result<Vec<Agent>, String> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read(path).map_err(|error| said(&error))?;
    let mut agents: Vec<Agent> = serde_json::from_slice(&text).map_err(|error| said(&error))?;
    agents.truncate(count);
    for (index, agent) in agents.iter_mut().enumerate() {
        agent.index = index;
    }
    Ok(agents)
}

/// Writes those that are enrolled.
pub(crate) fn save<'a>(path: &Path, agents: impl Iterator<Item = &'a Agent>) -> Result<(), String> {
    let enrolled: Vec<_> = agents.filter(|agent| agent.identity.is_some()).collect();
    let text = serde_json::to_vec(&enrolled).map_err(|error| format!("{}: {error}", path.display()))?;
    keep::write_private(path, &text)
}
