//! Figures, as a table or as JSON. A figure's name ends in its unit.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use tabwriter::TabWriter;

use crate::proc::{Memory, Process, sockets};
use crate::tally::{Tally, Times};

/// All that a run found out.
pub(crate) struct Report {
    scenario: &'static str,
    sections: Vec<Section>,
    lost: u64,
}

/// Figures of one phase.
pub(crate) struct Section {
    name: &'static str,
    figures: Vec<(String, Value)>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self { scenario, sections: Vec::new(), lost: 0 }
    }

    /// Adds a phase.
    pub(crate) fn add(&mut self, section: Section) {
        self.sections.push(section);
    }

    /// Adds failures, and the agents lost by them.
    pub(crate) fn add_failures(&mut self, tally: &Tally, unsettled: usize) {
        let mut section = Section::new("failures");
        for (kind, (count, detail)) in &tally.failures {
            section.set(kind, json!({ "count": count, "first": detail }));
        }
        section.set("agents_lost", json!(tally.lost));
        section.set("agents_unfinished", json!(unsettled));
        self.lost += tally.lost + unsettled as u64;
        self.add(section);
    }

    /// Whether every agent did what the scenario wants of it.
    pub(crate) fn is_good(&self) -> bool {
        self.lost == 0
    }

    /// Prints to standard output.
    pub(crate) fn print(&self, as_json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if as_json {
            return writeln!(out, "{}", self.document());
        }
        let mut table = TabWriter::new(&mut out).padding(3);
        for section in &self.sections {
            writeln!(table, "{} {}", self.scenario, section.name)?;
            for (name, value) in &section.figures {
                writeln!(table, "  {}\t{}", name.replace('_', " "), shown(value))?;
            }
        }
        table.flush()
    }

    fn document(&self) -> Value {
        let sections = self.sections.iter().map(|section| {
            let figures: Map<_, _> = section.figures.iter().cloned().collect();
            (section.name.to_owned(), Value::Object(figures))
        });
        json!({ "scenario": self.scenario, "figures": sections.collect::<Map<_, _>>() })
    }
}

impl Section {
    /// A section without figures.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, figures: Vec::new() }
    }

    /// Adds a figure of any form.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.figures.push((name.to_owned(), value));
    }

    /// Adds a number, if there is one.
    pub(crate) fn number(&mut self, name: &str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|value| value.is_finite()) {
            self.set(name, json!(rounded(value)));
        }
    }

    /// Adds p50, p99 and the last of `times`.
    pub(crate) fn times(&mut self, name: &str, times: &mut Times) {
        self.number(&format!("{name}_p50_ms"), times.percentile(0.5));
        self.number(&format!("{name}_p99_ms"), times.percentile(0.99));
        self.number(&format!("{name}_last_ms"), times.percentile(1.0));
    }

    /// Adds a process's memory at one moment, and the machine's sockets beside it.
    pub(crate) fn memory(&mut self, moment: &str, memory: Option<Memory>) {
        if let Some(memory) = memory {
            self.set(&format!("{moment}_resident_kb"), json!(memory.resident));
            self.set(&format!("{moment}_proportional_kb"), json!(memory.proportional));
        }
        if let Some(sockets) = sockets() {
            self.set(&format!("{moment}_tcp_in_use"), json!(sockets.in_use));
            self.set(&format!("{moment}_tcp_time_wait"), json!(sockets.time_wait));
            self.set(&format!("{moment}_tcp_buffers_kb"), json!(sockets.kilobytes));
        }
    }

    /// Adds the CPU seconds that `process` used since `before`, and how much that is for each of `count`.
    pub(crate) fn cpu(&mut self, name: &str, before: Option<f64>, process: Process, count: f64) {
        let Some(used) = process.cpu_seconds().zip(before).map(|(now, before)| now - before) else { return };
        self.number(&format!("{name}_s"), used);
        self.number(&format!("{name}_each_ms"), used * 1000.0 / count);
    }

    /// Adds the highest memory since the last reset.
    pub(crate) fn peak(&mut self, memory: Option<Memory>) {
        if let Some(memory) = memory {
            self.set("peak_resident_kb", json!(memory.peak));
        }
    }

    /// Adds what each of `agents` added to the memory between two moments.
    pub(crate) fn per_agent(&mut self, before: Option<Memory>, now: Option<Memory>, agents: usize) {
        let (Some(before), Some(now)) = (before, now) else { return };
        let bytes = |before: u64, now: u64| (now as f64 - before as f64) * 1024.0 / agents.max(1) as f64;
        self.number("per_agent_resident_bytes", bytes(before.resident, now.resident));
        self.number("per_agent_proportional_bytes", bytes(before.proportional, now.proportional));
    }
}

/// Three digits behind the point below 100, one above: no figure here is better than that.
fn rounded(value: f64) -> f64 {
    let scale = if value.abs() < 100.0 { 1000.0 } else { 10.0 };
    (value * scale).round() / scale
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| *value != "");
            fields.map(|(name, value)| format!("{name} {}", shown(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
