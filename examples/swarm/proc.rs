//! What Linux says of the server's process and of the machine's sockets. Elsewhere: nothing.

use std::fs;

/// Unit of the times in `/proc/PID/stat`; 100 on every Linux that can be met.
const TICKS_PER_SECOND: f64 = 100.0;
/// Unit of `mem` in `/proc/net/sockstat`.
const PAGE_KILOBYTES: u64 = 4;

/// A process that is watched; without an id it has no figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) id: Option<u32>,
}

/// Memory of a process, kB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// Shared pages counted in part.
    pub(crate) proportional: u64,
    /// Highest resident figure since the last reset.
    pub(crate) peak: u64,
}

impl Process {
    /// This process.
    pub(crate) fn own() -> Self {
        Self { id: Some(std::process::id()) }
    }

    /// User and system seconds so far, in steps of 10 ms.
    pub(crate) fn cpu_seconds(self) -> Option<f64> {
        let stat = self.read("stat")?;
        // The name in parentheses may hold anything: the fields count from behind it.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let ticks = |place: usize| fields.get(place)?.parse::<u32>().ok();
        Some(f64::from(ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
    }

    /// None when the process is gone or not ours to look at.
    pub(crate) fn memory(self) -> Option<Memory> {
        let status = self.read("status")?;
        let rollup = self.read("smaps_rollup").unwrap_or_default();
        Some(Memory {
            resident: kilobytes(&status, "VmRSS:")?,
            proportional: kilobytes(&rollup, "Pss:").unwrap_or_default(),
            peak: kilobytes(&status, "VmHWM:")?,
        })
    }

    /// Lets the peak start again at what is resident now, where the system allows it.
    pub(crate) fn reset_peak(self) {
        if let Some(id) = self.id {
            // Not allowed: the peak is then that of the process's whole life.
            let _ = fs::write(format!("/proc/{id}/clear_refs"), "5");
        }
    }

    fn read(self, file: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.id?)).ok()
    }
}

/// TCP sockets of the whole machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sockets {
    pub(crate) in_use: u64,
    pub(crate) time_wait: u64,
    /// Buffers of the kernel, kB: not part of any process's memory.
    pub(crate) kilobytes: u64,
}

/// From `/proc/net/sockstat`.
pub(crate) fn sockets() -> Option<Sockets> {
    let text = fs::read_to_string("/proc/net/sockstat").ok()?;
    let fields: Vec<_> =
        text.lines().find_map(|line| line.strip_prefix("TCP:"))?.split_whitespace().collect();
    let value = |name: &str| {
        let place = fields.iter().position(|field| *field == name)?;
        fields.get(place + 1)?.parse::<u64>().ok()
    };
    Some(Sockets {
        in_use: value("inuse")?,
        time_wait: value("tw")?,
        kilobytes: value("mem")? * PAGE_KILOBYTES,
    })
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}
