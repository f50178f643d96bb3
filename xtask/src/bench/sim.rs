//! Simulated hosts: a life of each guest, at one size and at ten times that, and what an idle guest
//! and host hold.

use std::sync::Arc;

use futures::StreamExt as _;
use xenrt_core::model::{Guest, GuestSpec, Host, ShutdownMode, VifSpec};
use xenrt_core::sim::SimLab;

use super::{Error, Row, median};

const GUESTS: usize = 10;
/// Hosts of the three sizes.
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// Hosts that are worked on at the same time.
const AT_ONCE: usize = 64;

/// Measures `rounds` times each, in turns; the largest size in as few rounds as give a median.
pub(super) fn run(rounds: usize) -> Result<Vec<Row>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Memory first, while nothing was freed that could be used again.
    let (host_bytes, guest_bytes) = runtime.block_on(footprint(SIZES[1]))?;
    runtime.block_on(rate(SIZES[0]))?;
    let mut rates: [Vec<f64>; 3] = Default::default();
    for round in 0..rounds {
        for at in 0..SIZES.len() {
            // Who comes first changes from round to round.
            let at = if round % 2 == 0 { at } else { SIZES.len() - 1 - at };
            if at < 2 || round < 3 {
                rates[at].push(runtime.block_on(rate(SIZES[at]))?);
            }
        }
    }
    let [small, middle, large] = rates;
    let pair = |name: &str, ours: &[f64], peers: &[f64], peer: usize| Row {
        name: name.to_owned(),
        unit: "guest lives/CPU s".to_owned(),
        ours: median(ours.to_vec()),
        peer: format!("{peer} hosts"),
        peer_value: Some(median(peers.to_vec())),
        ratio: Some(median(ours.iter().zip(peers).map(|(ours, peer)| ours / peer).collect())),
        note: "each life 11 verbs and a check; a ratio of 1 is linear growth".to_owned(),
    };
    let memory = |name: &str, bytes: f64, note: &str| Row {
        name: name.to_owned(),
        unit: "bytes".to_owned(),
        ours: bytes,
        peer: "-".to_owned(),
        peer_value: None,
        ratio: None,
        note: format!("{note}; less is better"),
    };
    Ok(vec![
        pair("sim", &middle, &small, SIZES[0]),
        pair("sim-10000", &large, &middle, SIZES[1]),
        memory("sim-host", host_bytes, "resident memory of an empty host"),
        memory("sim-guest", guest_bytes, "resident memory of a guest that is up, and its handle"),
    ])
}

fn lab(hosts: usize) -> SimLab {
    SimLab::builder().hosts(hosts).seed(1).build()
}

/// Lives of guests a second: 10 on each of `hosts` hosts.
async fn rate(hosts: usize) -> Result<f64, Error> {
    let lab = lab(hosts);
    let all = lab.hosts();
    let started = processor_seconds()?;
    let lives = all.iter().enumerate().map(|(number, host)| {
        let next = &all[(number + 1) % all.len()];
        async move {
            for guest in 0..GUESTS {
                life(host, next, &format!("g{number}-{guest}")).await?;
            }
            Ok::<(), xenrt_core::Error>(())
        }
    });
    let mut lives = futures::stream::iter(lives).buffer_unordered(AT_ONCE);
    while let Some(done) = lives.next().await {
        done?;
    }
    let seconds = processor_seconds()? - started;
    let left = lab.everything().await.objects;
    if !left.is_empty() {
        return Err(format!("{} objects were left, such as {}", left.len(), left[0]).into());
    }
    Ok((hosts * GUESTS) as f64 / seconds)
}

async fn up(host: &Arc<dyn Host>, name: &str) -> xenrt_core::Result<Arc<dyn Guest>> {
    let spec = GuestSpec::new(name).image("tiny").vif(VifSpec::on_default());
    let guest = host.define_guest(&spec).await?;
    guest.start().await?;
    guest.wait_until_reachable().await?;
    Ok(guest)
}

async fn life(host: &Arc<dyn Host>, next: &Arc<dyn Host>, name: &str) -> xenrt_core::Result<()> {
    let guest = up(host, name).await?;
    guest.pause().await?;
    guest.unpause().await?;
    guest.suspend().await?;
    guest.resume().await?;
    guest.reboot(ShutdownMode::Clean).await?;
    let vif = guest.attach_vif(VifSpec::on_default()).await?;
    guest.detach_vif(vif.mac).await?;
    guest.migrate(next).await?;
    guest.check().await?;
    guest.shutdown(ShutdownMode::Clean).await?;
    guest.delete().await
}

/// What an empty host and a guest that is up hold, in bytes of resident memory.
async fn footprint(hosts: usize) -> Result<(f64, f64), Error> {
    let nothing = resident()?;
    let lab = lab(hosts);
    let all = lab.hosts();
    let empty = resident()?;
    let mut guests = Vec::with_capacity(hosts * GUESTS);
    for (number, host) in all.iter().enumerate() {
        for guest in 0..GUESTS {
            guests.push(up(host, &format!("g{number}-{guest}")).await?);
        }
    }
    let full = resident()?;
    let host = (empty.saturating_sub(nothing)) as f64 / hosts as f64;
    Ok((host, (full.saturating_sub(empty)) as f64 / guests.len() as f64))
}

/// Processor time of this thread, which does all the work (schedstat, proc(5)): who else uses the
/// machine does not matter.
fn processor_seconds() -> Result<f64, Error> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(nanoseconds.parse::<f64>()? / 1e9)
}

/// Resident memory of this process (`VmRSS`, proc(5)), in bytes.
fn resident() -> Result<u64, Error> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}
