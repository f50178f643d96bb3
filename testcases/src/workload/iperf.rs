//! iperf 2: TCP throughput.

use std::net::IpAddr;

use xenrt::prelude::*;

use super::{Figure, Workload, not_understood};

/// The port that iperf 2 listens on unless told otherwise.
const PORT: u16 = 5001;

/// TCP throughput from where it runs to a server that it starts itself, with iperf 2.
#[derive(Debug, Clone)]
pub struct Iperf {
    server: Arc<dyn Shell>,
    address: IpAddr,
    seconds: u32,
    connections: u32,
}

impl Iperf {
    /// To a server behind this shell, which has this address. 5 s and one connection unless set.
    pub fn new(server: Arc<dyn Shell>, address: IpAddr) -> Self {
        Self { server, address, seconds: 5, connections: 1 }
    }

    /// Sets how long it sends.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
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
        let look = Command::new("ss").args(["-H", "-l", "-t", "-n"]);
        let look = look.arg(format!("sport = :{PORT}"));
        wait_until("iperf to listen", || async {
            let sockets = self.server.text(&look).await?;
            Ok(Wait::on(!sockets.is_empty(), "no socket on its port"))
        })
        .within(Duration::from_secs(30))
        .await?;
        let client = Command::new("iperf").args(["-c", &self.address.to_string(), "-y", "C", "-t"]);
        let client = client.args([self.seconds.to_string(), "-p".into(), PORT.to_string()]);
        let client = client.args(["-P".into(), self.connections.to_string()]).deadline(life);
        let said = shell.execute(&client).await;
        server.stop().await?;
        let said = said?;
        let (transferred, rate) = totals(&said.text(), self.connections).ok_or_else(|| {
            let found = format!("{} {} {}", said.status, said.text(), said.error_text());
            not_understood("iperf -y C", "lines of nine fields with commas", &found)
        })?;
        if transferred == 0.0 {
            return Err(TestError::product(format!("nothing went to {}", self.address)));
        }
        Ok(vec![
            Figure::new("throughput", rate / 1e6, "Mbit/s"),
            Figure::new("transferred", transferred / 1e6, "MB"),
        ])
    }
}

/// Bytes and bits per second of all connections together. With several, iperf prints a line for each
/// and one for the sum, whose id is -1 (iperf 2, `ReportCSV.c`):
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

    /// iperf 2.1.8 of Debian 12, one connection and three.
    const ONE: &str =
        "20240212104512,10.0.0.5,51514,10.0.0.1,5001,1,0.0-2.0,2506227712,10020831872\n";
    const THREE: &str = "\
        20240212104601,10.0.0.5,51520,10.0.0.1,5001,1,0.0-2.0,100000000,400000000\n\
        20240212104601,10.0.0.5,51522,10.0.0.1,5001,2,0.0-2.0,110000000,440000000\n\
        20240212104601,10.0.0.5,51524,10.0.0.1,5001,3,0.0-2.0,90000000,360000000\n\
        20240212104601,10.0.0.5,0,10.0.0.1,5001,-1,0.0-2.0,300000000,1200000000\n";

    #[test]
    fn recorded_outputs_are_read() {
        assert_eq!(totals(ONE, 1), Some((2_506_227_712.0, 10_020_831_872.0)));
        assert_eq!(totals(THREE, 3), Some((300_000_000.0, 1_200_000_000.0)));
        let without_sum: String = THREE.lines().take(3).map(|line| format!("{line}\n")).collect();
        assert_eq!(totals(&without_sum, 3), Some((300_000_000.0, 1_200_000_000.0)));
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
