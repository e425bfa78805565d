//! What the system counts of this process. Reads files of the kernel: for a worker, not for the loop.

/// This process at one moment; what is not known is `None`.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Bytes that are resident.
    pub resident_bytes: Option<u64>,
    /// Seconds on a processor, in the program.
    pub user_seconds: Option<f64>,
    /// Seconds on a processor, in the kernel.
    pub system_seconds: Option<f64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Descriptors that are open.
    pub open_files: Option<u64>,
    /// Descriptors that may be open: what holds now.
    pub open_files_max: Option<u64>,
    /// What it could be raised to.
    pub open_files_hard_max: Option<u64>,
    /// Bytes of the control group, all of its processes together.
    pub group_bytes: Option<u64>,
    /// Bytes that the control group may have.
    pub group_bytes_max: Option<u64>,
}

impl Process {
    /// As it is now. Only Linux tells.
    #[cfg(not(target_os = "linux"))]
    pub fn read() -> Self {
        Process::default()
    }

    /// As it is now.
    #[cfg(target_os = "linux")]
    pub fn read() -> Self {
        let Ok(own) = procfs::process::Process::myself() else { return Process::default() };
        let stat = own.stat().ok();
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        let limit = own.limits().ok().map(|limits| limits.max_open_files);
        let (group_bytes, group_bytes_max) = group(&own);
        Process {
            resident_bytes: stat.as_ref().map(|stat| stat.rss * procfs::page_size()),
            user_seconds: stat.as_ref().map(|stat| seconds(stat.utime)),
            system_seconds: stat.as_ref().map(|stat| seconds(stat.stime)),
            threads: stat.as_ref().and_then(|stat| u64::try_from(stat.num_threads).ok()),
            open_files: own.fd_count().ok().map(|count| count as u64),
            open_files_max: limit.as_ref().and_then(|limit| finite(limit.soft_limit)),
            open_files_hard_max: limit.as_ref().and_then(|limit| finite(limit.hard_limit)),
            group_bytes,
            group_bytes_max,
        }
    }
}

#[cfg(target_os = "linux")]
fn finite(limit: procfs::process::LimitValue) -> Option<u64> {
    match limit {
        procfs::process::LimitValue::Unlimited => None,
        procfs::process::LimitValue::Value(value) => Some(value),
    }
}

/// Memory of the control group of version 2 that the process is in: what it has and what it may have.
#[cfg(target_os = "linux")]
fn group(own: &procfs::process::Process) -> (Option<u64>, Option<u64>) {
    let groups = own.cgroups().ok();
    let group = groups.into_iter().flatten().find(|group| group.hierarchy == 0);
    let Some(group) = group else { return (None, None) };
    let read = |file: &str| {
        let path = format!("/sys/fs/cgroup{}/{file}", group.pathname.trim_end_matches('/'));
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    (read("memory.current"), read("memory.max"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_memory_and_has_descriptors() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1_000_000), "{process:?}");
        assert!(process.open_files.is_some_and(|count| count >= 3), "{process:?}");
        assert!(process.threads.is_some_and(|count| count >= 1), "{process:?}");
        assert!(process.user_seconds.is_some() && process.system_seconds.is_some(), "{process:?}");
    }
}
