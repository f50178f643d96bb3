//! dbench: the file operations of many clients of a file server.

use xenrt::prelude::*;

use super::{Batch, Figure, Said, not_understood};

/// File operations in a folder, as many clients of a file server would do them, with dbench.
#[derive(Debug, Clone)]
pub struct Dbench {
    folder: String,
    clients: u32,
    seconds: u32,
}

impl Dbench {
    /// In this folder, which must be there. Two clients for 10 s unless set.
    pub fn new(folder: impl Into<String>) -> Self {
        Self { folder: folder.into(), clients: 2, seconds: 10 }
    }

    /// Sets how many clients there are.
    #[must_use]
    pub fn clients(mut self, clients: u32) -> Self {
        self.clients = clients.max(1);
        self
    }

    /// Sets how long it runs.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }
}

impl Batch for Dbench {
    const NAME: &'static str = "dbench";
    const PROGRAMS: &'static [&'static str] = &["dbench"];

    fn command(&self) -> Command {
        Command::new("dbench")
            .args(["-D", &self.folder, "-t"])
            .args([self.seconds.to_string(), self.clients.to_string()])
            .deadline(Duration::from_secs(u64::from(self.seconds) * 2 + 300))
    }

    fn figures(&self, said: &Said) -> Result<Vec<Figure>> {
        if !said.status.success() {
            return Err(said.failed("dbench"));
        }
        let rate = said.number_after("Throughput ");
        let last = said.out.lines().rfind(|line| line.starts_with("Throughput "));
        let latency = last
            .and_then(|line| line.split_once("max_latency="))
            .and_then(|(_, latency)| super::batch::number(latency));
        match (rate, latency) {
            (Some(rate), Some(latency)) => Ok(vec![
                Figure::new("throughput", rate, "MB/s"),
                Figure::new("longest operation", latency, "ms"),
            ]),
            _ => Err(not_understood("dbench", "a line with Throughput and max_latency", &said.out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{recorded, told};
    use super::*;

    /// The end of what dbench 4.0 of Debian 12 prints.
    const RECORDED: &str = " WriteX          1172     1.099   252.149
 Flush             68    42.496   276.289

Throughput 25.6793 MB/sec  2 clients  2 procs  max_latency=276.301 ms
";

    #[test]
    fn recorded_output_is_read() {
        let own = Dbench::new("/tmp");
        let figures = own.figures(&recorded(RECORDED)).unwrap();
        assert_eq!(told(&figures), ["throughput: 25.6793 MB/s", "longest operation: 276.301 ms"]);
        assert!(own.figures(&recorded("Throughput much")).is_err());
    }
}
