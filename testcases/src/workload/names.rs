//! Workloads by their names.

use std::net::IpAddr;
use std::path::PathBuf;

use xenrt::prelude::*;

use super::{
    Dbench, Fio, Hackbench, Iperf, Iperf3, Medium, Memtester, Pgbench, Postmark, StressNg,
    Supplied, Sysbench, SysbenchTest, Web, Workload,
};

/// The names that [`named`] knows.
pub const NAMES: &[&str] = &[
    "burnintest",
    "dbench",
    "fio",
    "hackbench",
    "iometer",
    "iperf",
    "iperf3",
    "kernbench",
    "lmbench",
    "memtester",
    "pgbench",
    "postmark",
    "prime95",
    "stress-ng",
    "sysbench",
    "sysbench-memory",
    "unixbench",
    "web",
];

/// What a workload of this name is told beside.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long it runs, where that can be said.
    pub seconds: u32,
    /// A folder of the guest for its files.
    pub folder: String,
    /// Who serves it, for those of the network: a shell and its address, as the guest sees it.
    pub peer: (Arc<dyn Shell>, IpAddr),
    /// A folder of this machine with what is [supplied](Supplied).
    pub media: Option<PathBuf>,
}

/// The workload of this name, of [`NAMES`].
///
/// # Errors
/// The test's for another name, with those that there are.
pub fn named(name: &str, settings: &Settings) -> Result<Arc<dyn Workload>> {
    let Settings { seconds, folder, peer: (shell, address), media } = settings;
    let (seconds, shell, address) = (*seconds, Arc::clone(shell), *address);
    let supplied = |medium| Arc::new(Supplied::new(medium, media.clone()).seconds(seconds));
    let workload: Arc<dyn Workload> = match name {
        "burnintest" => supplied(Medium::BurnInTest),
        "dbench" => Arc::new(Dbench::new(folder).seconds(seconds)),
        "fio" => {
            Arc::new(Fio::on(format!("{folder}/xenrt-fio")).size(Memory::mib(32)).seconds(seconds))
        }
        "hackbench" => Arc::new(Hackbench::groups(2)),
        "iometer" => supplied(Medium::IoMeter),
        "iperf" => Arc::new(Iperf::new(shell, address).seconds(seconds)),
        "iperf3" => Arc::new(Iperf3::new(shell, address).seconds(seconds)),
        "kernbench" => supplied(Medium::Kernbench),
        "lmbench" => supplied(Medium::Lmbench),
        "memtester" => Arc::new(Memtester::new(Memory::mib(16))),
        "pgbench" => Arc::new(Pgbench::scale(1).seconds(seconds)),
        "postmark" => Arc::new(Postmark::new(folder)),
        "prime95" => supplied(Medium::Prime95),
        "stress-ng" => Arc::new(StressNg::cpus(0).memory(Memory::mib(16)).seconds(seconds)),
        "sysbench" => Arc::new(Sysbench::new(SysbenchTest::Cpu).seconds(seconds)),
        "sysbench-memory" => Arc::new(Sysbench::new(SysbenchTest::Memory).seconds(seconds)),
        "unixbench" => supplied(Medium::UnixBench),
        "web" => Arc::new(Web::new(shell, address).seconds(seconds)),
        other => {
            let known = NAMES.join(", ");
            return Err(TestError::test(format!(
                "there is no workload {other:?}; there are {known}"
            )));
        }
    };
    Ok(workload)
}

#[cfg(test)]
mod tests {
    use xenrt::remote::LocalShell;

    use super::*;

    #[test]
    fn every_name_is_a_workload_of_that_name() {
        let peer: Arc<dyn Shell> = Arc::new(LocalShell::new());
        let settings = Settings {
            seconds: 1,
            folder: "/tmp".to_owned(),
            peer: (peer, IpAddr::from([127, 0, 0, 1])),
            media: None,
        };
        for name in NAMES {
            let workload = named(name, &settings).unwrap();
            assert!(name.starts_with(workload.name()), "{name}: {}", workload.name());
        }
        let error = named("quake", &settings).unwrap_err().to_string();
        assert!(error.contains("hackbench"), "{error}");
    }
}
