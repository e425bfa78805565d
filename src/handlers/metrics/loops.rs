//! The loop and the process: connections, TLS, queues, memory.

use super::Moment;
use crate::metrics::Family;

pub(super) fn families(moment: &Moment<'_>) -> Vec<Family> {
    let mut families = network(moment);
    families.extend(queues(moment));
    families.extend(process(moment));
    families
}

fn network(moment: &Moment<'_>) -> Vec<Family> {
    let network = &moment.figures.network;
    let handshakes = [
        ("full", network.handshakes.saturating_sub(network.resumed)),
        ("resumed", network.resumed),
        ("failed", network.handshakes_failed),
    ];
    vec![
        Family::gauge("fleet_server_connections", "Connections, by listener.")
            .each("listener", moment.figures.connections.iter().copied()),
        Family::counter("fleet_server_connections_opened_total", "Connections of agents taken in.")
            .only(network.opened),
        Family::counter("fleet_server_connections_closed_total", "Connections of agents closed.")
            .only(network.closed),
        Family::counter(
            "fleet_server_connections_rejected_total",
            "Connections closed when accepted, for want of places.",
        )
        .only(network.rejected),
        Family::counter("fleet_server_tls_handshakes_total", "TLS handshakes, by what became of them.")
            .each("result", handshakes),
        Family::histogram(
            "fleet_server_loop_turn_seconds",
            "How long a turn of the loop takes, waits left out.",
        )
        .only(&network.turns),
    ]
}

fn queues(moment: &Moment<'_>) -> Vec<Family> {
    let (figures, queues) = (moment.figures, &moment.figures.queues);
    let bounds = queues.iter().filter_map(|queue| queue.bound.map(|bound| (queue.name, bound)));
    vec![
        Family::gauge("fleet_server_queue_depth", "How much waits in a queue or is held by a buffer.")
            .each("queue", queues.iter().map(|queue| (queue.name, queue.depth))),
        Family::gauge("fleet_server_queue_bound", "How much may wait there.").each("queue", bounds),
        Family::gauge("fleet_server_handlers", "Handlers at work.").only(figures.handlers),
        Family::gauge("fleet_server_answers_in_flight", "Answers on their way, all routes.")
            .only(figures.answering),
        Family::counter("fleet_server_handler_bugs_total", "Handlers that panicked or waited for nothing.")
            .only(moment.fleet.counters.handler_bugs),
        Family::counter("fleet_server_log_lines_dropped_total", "Lines that the log had no room for.")
            .only(figures.log_lines_dropped),
    ]
}

/// Under the names that every client of Prometheus uses. What the system does not tell has no value.
fn process(moment: &Moment<'_>) -> Vec<Family> {
    let (process, now) = (moment.process, moment.now);
    let processor = process.user_seconds.zip(process.system_seconds).map(|(user, system)| user + system);
    let started = now.wall.0 as f64 / 1e3 - now.mono.as_secs_f64();
    let gauge = |name, help, value: Option<u64>| {
        value.into_iter().fold(Family::gauge(name, help), |family, value| family.only(value))
    };
    let processor_time = Family::counter("process_cpu_seconds_total", "Time on processors.");
    vec![
        gauge("process_resident_memory_bytes", "Memory that is resident.", process.resident_bytes),
        processor.into_iter().fold(processor_time, Family::only),
        gauge("process_open_fds", "Descriptors that are open.", process.open_files),
        gauge("process_max_fds", "Descriptors that may be open.", process.open_files_max),
        gauge("process_threads", "Threads.", process.threads),
        Family::gauge("process_start_time_seconds", "When the process started, since 1970.").only(started),
        Family::gauge("fleet_server_uptime_seconds", "How long the server has run.")
            .only(now.mono.as_secs_f64()),
    ]
}
