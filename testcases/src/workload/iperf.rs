//! iperf 2: TCP throughput.

use std::net::IpAddr;

use xenrt::prelude::*;

use crate::support::listening;

use super::batch::carry_out;
use super::{Figure, Workload, not_understood};

/// The port that iperf 2 listens on unless told otherwise.
const PORT: u16 = 5001;

/// TCP throughput from where it runs to a server that it starts itself, or the other way, with iperf 2.
#[derive(Debug, Clone)]
pub struct Iperf {
    server: Arc<dyn Shell>,
    address: IpAddr,
    seconds: u32,
    connections: u32,
    reverse: bool,
}

impl Iperf {
    /// To a server behind this shell, which has this address. 5 s and one connection unless set.
    pub fn new(server: Arc<dyn Shell>, address: IpAddr) -> Self {
        Self { server, address, seconds: 5, connections: 1, reverse: false }
    }

    /// Sets how long it sends.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }

    /// Has the server send, to where it runs.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Sets over how many connections at once.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }
}

#[async_trait]
impl Workload for Iperf {
    fn name(&self) -> &'static str {
        "iperf"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["iperf"]
    }

    async fn run(&self, shell: &dyn Shell) -> Result<Vec<Figure>> {
        let life = Duration::from_secs(u64::from(self.seconds) + 120);
        let server = Command::new("iperf").args(["-s", "-p"]).arg(PORT.to_string()).deadline(life);
        let server = self.server.start(&server).await?;
        listening(self.server.as_ref(), PORT, "iperf").await?;
        let client = Command::new("iperf").args(["-c", &self.address.to_string(), "-y", "C", "-t"]);
        let client = client.args([self.seconds.to_string(), "-p".into(), PORT.to_string()]);
        let client = client.args(["-P".into(), self.connections.to_string()]).deadline(life);
        let client = if self.reverse { client.arg("-R") } else { client };
        let said = carry_out(shell, &client).await;
        server.stop().await?;
        let said = said?;
        let (transferred, rate) = totals(&said.out, self.connections).ok_or_else(|| {
            let found = format!("{} {} {}", said.status, said.out, said.err);
            not_understood("iperf -y C", "lines of nine fields with commas", &found)
        })?;
        if transferred == 0.0 {
            let way = if self.reverse { "came from" } else { "went to" };
            return Err(TestError::product(format!("nothing {way} {}", self.address)));
        }
        Ok(vec![
            Figure::new("throughput", rate / 1e6, "Mbit/s"),
            Figure::new("transferred", transferred / 1e6, "MB"),
        ])
    }
}

/// Bytes and bits per second of all connections together. With several, iperf prints a line for each;
/// some versions print one for the sum, too, whose id is -1 (iperf 2, `ReportCSV.c`):
/// `time,source,port,destination,port,id,interval,bytes,bits/s`.
fn totals(text: &str, connections: u32) -> Option<(f64, f64)> {
    let lines = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.trim().split(',').collect();
        let [_, _, _, _, _, id, _, bytes, rate, ..] = fields.as_slice() else { return None };
        let (bytes, rate): (f64, f64) = (bytes.parse().ok()?, rate.parse().ok()?);
        (bytes >= 0.0 && rate >= 0.0).then_some((*id == "-1", bytes, rate))
    });
    let lines: Vec<_> = lines.collect();
    if let Some((_, bytes, rate)) = lines.iter().rfind(|(sum, ..)| *sum) {
        return Some((*bytes, *rate));
    }
    if lines.len() != connections as usize {
        return None;
    }
    lines.iter().map(|(_, bytes, rate)| (*bytes, *rate)).reduce(|a, b| (a.0 + b.0, a.1 + b.1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// iperf 2.1.8 of Debian 12 over loopback, one connection and three: it prints no sum.
    const ONE: &str =
        "19700101000000,127.0.0.1,39010,127.0.0.1,5999,1,0.0-2.0,9531818044,37830172913\n";
    const THREE: &str = "\
        19700101000000,127.0.0.1,39050,127.0.0.1,5999,3,0.0-2.0,4102684732,16339775283\n\
        19700101000000,127.0.0.1,39026,127.0.0.1,5999,2,0.0-2.0,4952424508,19730529283\n\
        19700101000000,127.0.0.1,39028,127.0.0.1,5999,1,0.0-2.0,4625530940,18441001061\n";

    /// The same version, where the server sent (`-R`).
    const REVERSE: &str =
        "19700101000000,127.0.0.1,5999,127.0.0.1,33846,1,0.0-1.0,2541748224,20315336313\n";

    #[test]
    fn recorded_outputs_are_read() {
        assert_eq!(totals(ONE, 1), Some((9_531_818_044.0, 37_830_172_913.0)));
        assert_eq!(totals(REVERSE, 1), Some((2_541_748_224.0, 20_315_336_313.0)));
        let of_three = (13_680_640_180.0, 54_511_305_627.0);
        assert_eq!(totals(THREE, 3), Some(of_three));
        // Older versions add a line for the sum.
        let sum =
            format!("{THREE}1,127.0.0.1,0,127.0.0.1,5999,-1,0.0-2.0,13680640180,54511305627\n");
        assert_eq!(totals(&sum, 3), Some(of_three));
        // A connection that was not made has no line.
        assert_eq!(totals(ONE, 2), None);
        assert_eq!(totals("connect failed: Connection refused\n", 1), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String, connections in 0_u32..4) {
            let _ = totals(&text, connections);
        }
    }
}
