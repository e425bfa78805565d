//! All shards of the swarm, one thread each.

use std::io;
use std::sync::Arc;

use crate::agent::Agent;
use crate::script::Script;
use crate::shard::{Pace, Shard, Until, World};
use crate::tally::Tally;

/// The swarm.
pub(crate) struct Crew {
    shards: Vec<Shard>,
}

impl Crew {
    /// Deals `agents` out to `threads` shards.
    pub(crate) fn new(world: &Arc<World>, agents: Vec<Agent>, threads: usize) -> io::Result<Self> {
        let mut hands: Vec<Vec<Agent>> = Vec::new();
        hands.resize_with(threads.max(1), Vec::new);
        for (place, agent) in agents.into_iter().enumerate() {
            hands[place % threads.max(1)].push(agent);
        }
        let shard = |(number, hand)| Shard::new(Arc::clone(world), hand, number);
        Ok(Self { shards: (0..).zip(hands).map(shard).collect::<io::Result<_>>()? })
    }

    /// Begins a phase and gives each shard its script.
    pub(crate) fn begin<S>(&mut self, pace: &Pace, script: impl Fn() -> S) -> Vec<S> {
        let at_once_max = pace.at_once_max.div_ceil(self.shards.len());
        for shard in &mut self.shards {
            shard.begin(Pace { at_once_max, ..pace.clone() });
        }
        self.shards.iter().map(|_| script()).collect()
    }

    /// Runs all shards, each in its thread (one alone runs in this one).
    pub(crate) fn run<S: Script>(&mut self, scripts: &mut [S], until: Until) -> io::Result<()> {
        if let ([shard], [script]) = (&mut *self.shards, &mut *scripts) {
            return shard.run(script, until);
        }
        std::thread::scope(|scope| {
            let pairs = self.shards.iter_mut().zip(scripts);
            let running: Vec<_> =
                pairs.map(|(shard, script)| scope.spawn(move || shard.run(script, until))).collect();
            let mut ended = running.into_iter().map(|thread| thread.join());
            ended.try_for_each(|end| end.unwrap_or_else(|_| Err(io::Error::other("a shard panicked"))))
        })
    }

    /// Closes all connections at once.
    pub(crate) fn drop_connections(&mut self) {
        self.shards.iter_mut().for_each(Shard::drop_connections);
    }

    /// All agents, shard by shard.
    pub(crate) fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.shards.iter().flat_map(Shard::agents)
    }

    /// How many agents there are.
    pub(crate) fn size(&self) -> usize {
        self.agents().count()
    }

    /// Agents that did not finish the phase.
    pub(crate) fn unsettled(&self) -> usize {
        self.shards.iter().map(Shard::unsettled).sum()
    }

    /// Everybody's counts since the last time.
    pub(crate) fn take_tally(&mut self) -> Tally {
        let mut sum = Tally::default();
        for shard in &mut self.shards {
            sum.add(&shard.take_tally());
        }
        sum
    }
}
