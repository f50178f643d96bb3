//! iperf 3: TCP and UDP throughput, with what was sent again or lost.

use std::net::IpAddr;

use serde::Deserialize;
use xenrt::prelude::*;

use crate::support::listening;

use super::batch::carry_out;
use super::{Figure, Workload, not_understood};

/// The port that iperf 3 listens on unless told otherwise.
const PORT: u16 = 5201;

/// Throughput from where it runs to a server that it starts itself, with iperf 3.
#[derive(Debug, Clone)]
pub struct Iperf3 {
    server: Arc<dyn Shell>,
    address: IpAddr,
    seconds: u32,
    connections: u32,
    udp: Option<u32>,
}

impl Iperf3 {
    /// TCP to a server behind this shell, which has this address. 5 s and one connection unless set.
    pub fn new(server: Arc<dyn Shell>, address: IpAddr) -> Self {
        Self { server, address, seconds: 5, connections: 1, udp: None }
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
        self.connections = connections.max(1);
        self
    }

    /// Sends so many Mbit/s by UDP instead of all that goes by TCP.
    #[must_use]
    pub fn udp(mut self, megabits: u32) -> Self {
        self.udp = Some(megabits.max(1));
        self
    }
}

#[async_trait]
impl Workload for Iperf3 {
    fn name(&self) -> &'static str {
        "iperf3"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["iperf3"]
    }

    async fn run(&self, shell: &dyn Shell) -> Result<Vec<Figure>> {
        super::has_program(self.server.as_ref(), "iperf3", "iperf3", "iperf3").await?;
        let life = Duration::from_secs(u64::from(self.seconds) + 120);
        let server = Command::new("iperf3").args(["-s", "-p"]).arg(PORT.to_string()).deadline(life);
        let server = self.server.start(&server).await?;
        listening(self.server.as_ref(), PORT, "iperf3").await?;
        let client = Command::new("iperf3").args(["-c", &self.address.to_string(), "-J", "-t"]);
        let client = client.args([self.seconds.to_string(), "-p".into(), PORT.to_string()]);
        let mut client = client.args(["-P".into(), self.connections.to_string()]);
        if let Some(megabits) = self.udp {
            client = client.args(["-u".into(), "-b".into(), format!("{megabits}M")]);
        }
        let said = carry_out(shell, &client.deadline(life)).await;
        server.stop().await?;
        figures(&said?.out)
    }
}

/// What is read of its JSON; it has much more.
#[derive(Deserialize)]
struct Report {
    error: Option<String>,
    end: End,
}

#[derive(Deserialize)]
struct End {
    sum_sent: Option<Sum>,
    sum_received: Option<Sum>,
    /// UDP.
    sum: Option<Sum>,
}

#[derive(Deserialize)]
struct Sum {
    bytes: f64,
    bits_per_second: f64,
    retransmits: Option<f64>,
    lost_percent: Option<f64>,
    jitter_ms: Option<f64>,
}

fn figures(text: &str) -> Result<Vec<Figure>> {
    let report: Report = serde_json::from_str(text)
        .map_err(|_| not_understood("iperf3 -J", "a JSON document with `end`", text))?;
    if let Some(error) = report.error {
        return Err(TestError::product(format!("iperf3 ended with {error:?}")));
    }
    let nothing = || TestError::product("iperf3 sent nothing");
    let End { sum_sent, sum_received, sum } = report.end;
    let mut figures = Vec::new();
    if let Some(udp) = sum.filter(|sum| sum.lost_percent.is_some()) {
        figures.push(Figure::new("throughput", udp.bits_per_second / 1e6, "Mbit/s"));
        figures.push(Figure::new("lost", udp.lost_percent.unwrap_or_default(), "%"));
        figures.push(Figure::new("jitter", udp.jitter_ms.unwrap_or_default(), "ms"));
        return if udp.bytes > 0.0 { Ok(figures) } else { Err(nothing()) };
    }
    let (Some(sent), Some(received)) = (sum_sent, sum_received) else {
        return Err(not_understood("iperf3 -J", "the sums of both sides", text));
    };
    if received.bytes <= 0.0 {
        return Err(nothing());
    }
    // What the receiver saw is what went through.
    figures.push(Figure::new("throughput", received.bits_per_second / 1e6, "Mbit/s"));
    figures.push(Figure::new("transferred", received.bytes / 1e6, "MB"));
    figures.extend(sent.retransmits.map(|count| Figure::new("sent again", count, "segments")));
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::batch::told;
    use super::*;

    /// The sums that iperf 3.12 of Debian 12 tells over loopback.
    const RECORDED: &str = r#"{"start":{"version":"iperf 3.12"},"intervals":[],"end":{"streams":[],
        "sum_sent":{"start":0,"end":2.002399,"seconds":2.002399,"bytes":2145517568,
          "bits_per_second":8571788411.800046,"retransmits":2,"sender":true},
        "sum_received":{"start":0,"end":2.012595,"seconds":2.012595,"bytes":2144206848,
          "bits_per_second":8523152837.008936,"sender":true}}}"#;
    /// What it tells where nobody listens.
    const REFUSED: &str = r#"{"start":{"connected":[],"version":"iperf 3.12"},"intervals":[],"end":{},
        "error":"unable to connect to server: Connection refused"}"#;

    #[test]
    fn recorded_outputs_are_read() {
        let told = told(&figures(RECORDED).unwrap());
        assert_eq!(told.len(), 3);
        assert!(told[0].starts_with("throughput: 8523.15"), "{told:?}");
        assert_eq!(told[1..], ["transferred: 2144.206848 MB", "sent again: 2 segments"]);
        let error = figures(REFUSED).unwrap_err();
        assert!(error.to_string().contains("Connection refused"), "{error}");
        let nothing = RECORDED.replace("\"bytes\":2144206848", "\"bytes\":0");
        assert!(figures(&nothing).unwrap_err().to_string().contains("sent nothing"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = figures(&text);
        }
    }
}
