//! pgbench: transactions of a real `PostgreSQL`.

use xenrt::prelude::*;

use super::{Batch, Figure, Said, not_understood};

/// Transactions of a `PostgreSQL` server that is made for it and removed again, with pgbench.
///
/// `pg_virtualenv` (of Debian's postgresql-common) makes the server.
#[derive(Debug, Clone)]
pub struct Pgbench {
    scale: u32,
    clients: u32,
    seconds: u32,
}

impl Pgbench {
    /// With 100,000 accounts for each one of `scale`, which are 16 MB. Two clients for 10 s unless set.
    pub fn scale(scale: u32) -> Self {
        Self { scale: scale.max(1), clients: 2, seconds: 10 }
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
        self.seconds = seconds.max(1);
        self
    }
}

impl Batch for Pgbench {
    const NAME: &'static str = "pgbench";
    const PROGRAMS: &'static [&'static str] = &["pg_virtualenv", "pgbench"];
    const PACKAGES: &'static [(&'static str, &'static str)] =
        &[("pg_virtualenv", "postgresql"), ("pgbench", "postgresql")];

    fn command(&self) -> Command {
        let line = format!(
            "pgbench -i -q -s {} >&2 && pgbench -c {} -T {}",
            self.scale, self.clients, self.seconds
        );
        // In a folder that the user of the server may enter.
        let inside = Command::new("pg_virtualenv").args(["sh", "-c", &line]).to_shell_line();
        let patience = 300 + u64::from(self.scale) * 30 + u64::from(self.seconds) * 2;
        Command::shell_line(format!("cd / && {inside}")).deadline(Duration::from_secs(patience))
    }

    fn figures(&self, said: &Said) -> Result<Vec<Figure>> {
        if !said.status.success() {
            return Err(said.failed("pgbench"));
        }
        // pgbench(1): transactions that ended with an error of serialisation; others end it.
        let failed = said.number_after("number of failed transactions:").unwrap_or_default();
        if failed > 0.0 {
            return Err(TestError::product(format!("{failed} transactions of pgbench failed")));
        }
        match (said.number_after("tps = "), said.number_after("latency average = ")) {
            (Some(rate), Some(latency)) => Ok(vec![
                Figure::new("transactions", rate, "/s"),
                Figure::new("latency, mean", latency, "ms"),
            ]),
            _ => Err(not_understood("pgbench", "lines with tps and latency", &said.out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{recorded, told};
    use super::*;

    /// pgbench 15 of Debian 12.
    const RECORDED: &str = "\
transaction type: <builtin: TPC-B (sort of)>
scaling factor: 1
query mode: simple
number of clients: 2
number of threads: 1
maximum number of tries: 1
duration: 2 s
number of transactions actually processed: 561
number of failed transactions: 0 (0.000%)
latency average = 6.728 ms
initial connection time = 122.477 ms
tps = 297.270359 (without initial connection time)
";

    #[test]
    fn recorded_output_is_read() {
        let own = Pgbench::scale(1);
        assert_eq!(
            told(&own.figures(&recorded(RECORDED)).unwrap()),
            ["transactions: 297.270359 /s", "latency, mean: 6.728 ms"]
        );
        let failed = RECORDED.replace("failed transactions: 0", "failed transactions: 7");
        let error = own.figures(&recorded(&failed)).unwrap_err();
        assert!(error.to_string().contains("7 transactions"), "{error}");
        assert!(own.figures(&recorded("")).is_err());
    }
}
