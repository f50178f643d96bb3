//! How much goes through a guest's network and disk.

use std::net::IpAddr;

use xenrt::prelude::*;

use super::series::{Series, runs};
use crate::measure::Better;
use crate::network::frontend::dom0_address_towards;
use crate::support::{Subject, count, in_round};
use crate::workload::{Iperf, Workload};

/// What is measured, in this order.
const KINDS: [&str; 4] = ["network out", "network in", "disk write", "disk read"];

/// What a guest sends to dom0 and gets from it over TCP, and what it writes to a disk and reads from it, is
/// measured, one after the other in each run, so that what the host does besides falls on all of them alike.
/// The rates are kept as `rates.json` and `rates.csv` in the evidence. With `baseline`, the `rates.json` of an
/// earlier run, each is held against it: the test fails where one is surely lower, and says by how much, how
/// sure that is, and what the host's own noise is.
///
/// Reads and writes go past the memory of the guest, not past that of dom0.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `what`: some of the four, with commas (network
/// out,network in,disk write,disk read), `runs` (10), `seconds` for each of them in a run (1), `amount` written
/// and read at a time, in MiB (4), `baseline`: a file on the machine that runs the tests (none).
#[testcase(
    id = "performance.throughput",
    timeout = "6h",
    requires(disk_hotplug),
    claims(host = "exclusive", guest = "exclusive"),
    tags("performance", "network", "storage")
)]
struct Throughput {
    subject: Subject,
    what: Vec<&'static str>,
    iperf: Iperf,
    runs: u32,
    seconds: u32,
    amount: u32,
    baseline: Option<Series>,
}

/// The kinds that a list names.
fn kinds(list: &str) -> Result<Vec<&'static str>> {
    let one = |name: &str| {
        KINDS.into_iter().find(|kind| *kind == name.trim()).ok_or_else(|| {
            TestError::test(format!("`what` has {name:?}; there are {}", KINDS.join(", ")))
        })
    };
    list.split(',').map(one).collect()
}

#[async_trait]
impl TestCase for Throughput {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (runs, baseline) = (runs(cx, 10)?, Series::baseline(cx)?);
        let (seconds, amount) = (count(cx, "seconds", 1)?, count(cx, "amount", 4)?);
        let what = kinds(&cx.args().get_or("what", KINDS.join(","))?)?;
        let subject = Subject::take(cx).await?;
        let guest = subject.guest.as_ref();
        let host = guest.host();
        let server: IpAddr = dom0_address_towards(host.as_ref(), guest).await?;
        let iperf = Iperf::new(host.dom0(), server).seconds(seconds);
        if what.iter().any(|kind| kind.starts_with("network")) {
            iperf.install(guest.shell().await?.as_ref()).await?;
        }
        Ok(Self { subject, what, iperf, runs, seconds, amount, baseline })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let disk = guest.attach_disk(DiskSpec::new(Memory::mib(u64::from(self.amount)))).await?;
        let shell = guest.shell().await?;
        let mut rates = Series::default();
        for run in 1..=self.runs {
            cx.step(format!("Run {run} of {}", self.runs));
            for kind in &self.what {
                let rate = self.measure(kind, shell.as_ref(), &disk.device).await;
                rates.note(kind, rate.map_err(in_round(run, self.runs))?);
            }
        }
        guest.detach_disk(&disk.device).await?;
        for kind in &self.what {
            let unit = if kind.starts_with("network") { "Mbit/s" } else { "MB/s" };
            cx.value(format!("{kind}, median"), rates.median(kind), unit);
        }
        rates.judge(cx, "rates", self.baseline.as_ref(), Better::Higher)
    }
}

impl Throughput {
    /// One of the kinds, once: Mbit/s or MB/s.
    async fn measure(&self, kind: &str, shell: &dyn Shell, device: &str) -> Result<f64> {
        let figures = match kind {
            "network out" => self.iperf.run(shell).await?,
            "network in" => self.iperf.clone().reverse().run(shell).await?,
            "disk write" => {
                let words = format!("if=/dev/zero of=/dev/{device} oflag=direct conv=fsync");
                return self.copy(shell, &words).await;
            }
            _ => {
                let words = format!("if=/dev/{device} of=/dev/null iflag=direct");
                return self.copy(shell, &words).await;
            }
        };
        let rate = figures.iter().find(|figure| figure.name == "throughput");
        Ok(rate.ok_or_else(|| TestError::product("iperf told of no throughput"))?.value)
    }

    /// Copies so much with dd, over and over for as long as is measured, and returns how much went through in
    /// MB/s.
    async fn copy(&self, shell: &dyn Shell, words: &str) -> Result<f64> {
        let dd = format!("dd {words} bs=1048576 count={} 2>/dev/null", self.amount);
        // In hundredths of a second (proc_uptime(5)): every guest has it, and `dd` of some tells no time.
        let line = format!(
            "up() {{ read up rest </proc/uptime; echo ${{up%.*}}${{up#*.}}; }}; \
             from=$(up); now=$from; n=0; while [ $((now-from)) -lt {} ]; \
             do {dd} || exit 1; n=$((n+1)); now=$(up); done; echo $n $((now-from))",
            self.seconds * 100
        );
        let copy = Command::shell_line(&line).deadline(Duration::from_secs(900));
        let said = shell.text(&copy).await?;
        let megabytes = f64::from(self.amount) * 1.048_576;
        Ok(rate(&said, megabytes).ok_or_else(|| xenrt::Error::UnexpectedOutput {
            what: dd,
            expected: "a count and hundredths of a second".to_owned(),
            found: said.chars().take(300).collect(),
        })?)
    }
}

/// So many copies of so much in so many hundredths of a second, as a rate in a second.
fn rate(said: &str, each: f64) -> Option<f64> {
    let (copies, hundredths) = said.trim().split_once(' ')?;
    let (copies, hundredths): (u32, u32) = (copies.parse().ok()?, hundredths.parse().ok()?);
    (copies > 0 && hundredths > 0).then(|| f64::from(copies) * each * 100.0 / f64::from(hundredths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_named() {
        assert_eq!(kinds(&KINDS.join(",")).unwrap(), KINDS);
        assert_eq!(kinds("disk read, network in").unwrap(), ["disk read", "network in"]);
        let error = kinds("disk").unwrap_err().to_string();
        assert!(error.contains("there are network out, network in, disk write"), "{error}");
    }

    #[test]
    fn a_rate_follows_from_what_the_guest_counts() {
        assert_eq!(rate("10 200\n", 4.0), Some(20.0));
        for nothing in ["0 100\n", "10 0\n", "", "10", "ten 100", "10 100 1"] {
            assert_eq!(rate(nothing, 4.0), None, "{nothing:?}");
        }
    }
}
