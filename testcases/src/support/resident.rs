//! How much memory the processes of dom0 hold.

use std::collections::BTreeMap;

use xenrt::prelude::*;

/// A process that ends while it is looked at is no error of the look.
const LOOK: &str = "grep -s -H -E '^(Name|VmRSS):' /proc/[0-9]*/status";

/// The resident memory of each process of dom0, by number and name, in KiB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resident(pub(crate) BTreeMap<(u32, String), u64>);

impl Resident {
    /// Looks once.
    pub(crate) async fn look(host: &dyn Host) -> Result<Self> {
        let look = Command::shell_line(LOOK).deadline(Duration::from_secs(60));
        let said = host.dom0().execute(&look).await?;
        let text = said.text();
        let seen = Self::parse(&text);
        if seen.0.is_empty() {
            return Err(TestError::infrastructure(format!(
                "dom0 of {} showed no process in /proc ({})",
                host.name(),
                said.status
            )));
        }
        Ok(seen)
    }

    /// Reads lines such as `/proc/812/status:VmRSS: 4200 kB` (proc_pid_status(5)). Kernel threads
    /// have no VmRSS and do not count.
    fn parse(text: &str) -> Self {
        let mut names: BTreeMap<u32, &str> = BTreeMap::new();
        let mut resident = BTreeMap::new();
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(path), Some(key), Some(value)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let Some(pid) = path.split('/').nth(2).and_then(|pid| pid.parse().ok()) else {
                continue;
            };
            match key {
                "Name" => {
                    names.insert(pid, value.trim());
                }
                "VmRSS" => {
                    let kib = value.trim().trim_end_matches("kB").trim().parse().ok();
                    if let (Some(kib), Some(name)) = (kib, names.get(&pid)) {
                        resident.insert((pid, (*name).to_owned()), kib);
                    }
                }
                _ => {}
            }
        }
        Self(resident)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_read_from_their_status_files() {
        let text = "/proc/1/status:Name:\tsystemd\n/proc/1/status:VmRSS:\t   12404 kB\n\
                    /proc/2/status:Name:\tkthreadd\n/proc/77/status:Name:\ta:b c\n\
                    /proc/77/status:VmRSS:\t 8 kB\nnoise\n";
        let seen = Resident::parse(text);
        let seen: Vec<_> = seen.0.iter().map(|((pid, name), kib)| (*pid, &**name, *kib)).collect();
        assert_eq!(seen, [(1, "systemd", 12404), (77, "a:b c", 8)]);
    }
}
