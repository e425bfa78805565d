//! Which agents are meant: the small part of Kibana's query language that names a policy and a status, such as
//! `fleet-agents.policy_id:"hosts" and status:online`.

use super::agent_status::AgentStatus;
use super::error::Refusal;

/// Which agents are meant; no condition means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// Those assigned to this policy.
    pub(super) policy_id: Option<String>,
    /// Those in this state.
    pub(super) status: Option<AgentStatus>,
}

impl Filter {
    /// Reads `field:value` pairs joined by `and`.
    pub(super) fn parse(kuery: &str) -> Result<Self, Refusal> {
        let mut filter = Filter::default();
        let mut rest = kuery.trim();
        while !rest.is_empty() {
            let (field, after) = rest.split_once(':').ok_or_else(|| unreadable(rest))?;
            let (value, after) = value(after.trim_start())?;
            filter.add(field.trim(), value)?;
            rest = after.trim_start();
            if !rest.is_empty() {
                rest = conjunction(rest).ok_or_else(|| unreadable(rest))?;
            }
        }
        Ok(filter)
    }

    fn add(&mut self, field: &str, value: String) -> Result<(), Refusal> {
        let twice = match field.strip_prefix("fleet-agents.").unwrap_or(field) {
            "policy_id" => self.policy_id.replace(value).is_some(),
            "status" => {
                let status = AgentStatus::of_name(&value).ok_or_else(|| {
                    let names: Vec<_> = AgentStatus::ALL.iter().map(|status| status.name()).collect();
                    Refusal::BadRequest(format!("the status {value:?} is none of {}", names.join(", ")))
                })?;
                self.status.replace(status).is_some()
            }
            _ => {
                return Err(Refusal::BadRequest(format!(
                    "kuery: {field}: only policy_id and status can be searched"
                )));
            }
        };
        match twice {
            true => Err(Refusal::BadRequest(format!("kuery: {field} is given twice"))),
            false => Ok(()),
        }
    }
}

fn unreadable(at: &str) -> Refusal {
    let at: String = at.chars().take(40).collect();
    Refusal::BadRequest(format!("kuery: expected field:value pairs joined by `and`, found {at:?}"))
}

/// A value, quoted or not, and what follows it.
fn value(text: &str) -> Result<(String, &str), Refusal> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        let is_plain = !value.is_empty() && !value.contains(['(', ')', '"', '*']);
        return if is_plain { Ok((value.to_owned(), rest)) } else { Err(unreadable(text)) };
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    Err(unreadable(text))
}

/// What follows `and`.
fn conjunction(text: &str) -> Option<&str> {
    let (word, rest) = text.split_at_checked(3)?;
    (word.eq_ignore_ascii_case("and") && rest.starts_with(char::is_whitespace)).then(|| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_and_status_are_read() {
        let filter = Filter::parse(r#" fleet-agents.policy_id : "a \"b\" and" AND status:online "#).unwrap();
        assert_eq!(filter.policy_id.as_deref(), Some("a \"b\" and"));
        assert_eq!(filter.status, Some(AgentStatus::Online));
        assert_eq!(Filter::parse("").unwrap(), Filter::default());
    }

    #[test]
    fn anything_else_is_refused_rather_than_ignored() {
        let wrong = [
            "x",
            "tags:a",
            "status:well",
            "policy_id:(a or b)",
            "policy_id:\"a",
            "policy_id:a or status:online",
        ];
        for kuery in wrong.into_iter().chain([
            "policy_id:a and",
            "policy_id:a policy_id:b",
            "policy_id:a and policy_id:b",
            "policy_id:",
        ]) {
            assert!(matches!(Filter::parse(kuery), Err(Refusal::BadRequest(_))), "{kuery}");
        }
    }
}
