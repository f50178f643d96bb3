//! nginx and wrk: requests of a web server.

use std::net::{IpAddr, SocketAddr};

use xenrt::prelude::*;

use crate::support::listening;

use super::batch::{Said, carry_out, number};
use super::{Figure, Workload, not_understood};

/// The port that its server listens on.
const PORT: u16 = 8088;

/// Requests from where it runs, with wrk, to an nginx that it starts itself.
#[derive(Debug, Clone)]
pub struct Web {
    server: Arc<dyn Shell>,
    address: IpAddr,
    seconds: u32,
    connections: u32,
    size: Memory,
}

impl Web {
    /// To a server behind this shell, which has this address. 10 s, 8 connections and a page of 4 KiB
    /// unless set.
    pub fn new(server: Arc<dyn Shell>, address: IpAddr) -> Self {
        Self { server, address, seconds: 10, connections: 8, size: Memory::kib(4) }
    }

    /// Sets how long it asks.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds.max(1);
        self
    }

    /// Sets over how many connections at once.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Sets how large the page is.
    #[must_use]
    pub fn size(mut self, size: Memory) -> Self {
        self.size = size;
        self
    }

    /// Settings of nginx that touch nothing of the system's (nginx.org, "Core functionality").
    fn settings(&self, folder: &str) -> String {
        format!(
            "daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;\n\
             events {{}}\nhttp {{ access_log off; client_body_temp_path {folder}/body;\n\
             server {{ listen {}; root {folder}; }} }}\n",
            SocketAddr::new(self.address, PORT)
        )
    }
}

#[async_trait]
impl Workload for Web {
    fn name(&self) -> &'static str {
        "web"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["wrk"]
    }

    async fn run(&self, shell: &dyn Shell) -> Result<Vec<Figure>> {
        super::has_program(self.server.as_ref(), "nginx", "nginx-light", "web").await?;
        let make = Command::new("mktemp").args(["-d", "/tmp/xenrt-web.XXXXXX"]);
        let folder = self.server.text(&make).await?;
        let served = self.serve(shell, &folder).await;
        let remove = Command::new("rm").args(["-rf", "--", &folder]);
        self.server.run(&remove.deadline(Duration::from_secs(60))).await?;
        served
    }
}

impl Web {
    async fn serve(&self, shell: &dyn Shell, folder: &str) -> Result<Vec<Figure>> {
        let life = Duration::from_secs(u64::from(self.seconds) + 120);
        let page = vec![b'x'; self.size.as_bytes() as usize];
        // The worker of nginx is another user, who must be let in.
        let open = Command::new("chmod").args(["755", folder]);
        self.server.run(&open.deadline(Duration::from_secs(60))).await?;
        self.server.write_file(&format!("{folder}/page"), &page, 0o644).await?;
        let settings = format!("{folder}/nginx.conf");
        self.server.write_file(&settings, self.settings(folder).as_bytes(), 0o644).await?;
        let server = Command::new("nginx").args(["-e", "stderr", "-c", &settings]).deadline(life);
        let server = self.server.start(&server).await?;
        listening(self.server.as_ref(), PORT, "nginx").await?;
        let client = Command::new("wrk")
            .args(["-t1".to_owned(), format!("-c{}", self.connections)])
            .args([format!("-d{}s", self.seconds), "--latency".into()])
            .arg(format!("http://{}/page", SocketAddr::new(self.address, PORT)))
            .deadline(life);
        let said = carry_out(shell, &client).await;
        server.stop().await?;
        figures(&said?)
    }
}

/// A time of wrk: `9.58ms`, `1.02s`, `312.00us`, in milliseconds.
fn milliseconds(text: &str) -> Option<f64> {
    let value = number(text)?;
    let unit = text.trim().trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    Some(match unit {
        "us" => value / 1e3,
        "ms" => value,
        "s" => value * 1e3,
        "m" => value * 6e4,
        _ => return None,
    })
}

fn figures(said: &Said) -> Result<Vec<Figure>> {
    let wrong = ["Socket errors:", "Non-2xx or 3xx responses:", "unable to connect"];
    let all = said.out.lines().chain(said.err.lines());
    if let Some(line) = all.clone().find(|line| wrong.iter().any(|words| line.contains(words))) {
        return Err(TestError::product(format!("wrk found {:?}", line.trim())));
    }
    if !said.status.success() {
        return Err(said.failed("wrk"));
    }
    let slowest = said.out.lines().find_map(|line| line.trim().strip_prefix("99%"));
    match (said.number_after("Requests/sec:"), slowest.and_then(milliseconds)) {
        (Some(rate), Some(slowest)) => Ok(vec![
            Figure::new("requests", rate, "/s"),
            Figure::new("latency, 99 %", slowest, "ms"),
        ]),
        _ => Err(not_understood("wrk", "its rate and latency", &said.out)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{recorded, told};
    use super::*;

    /// wrk 4.1.0 of Debian 12, with nginx 1.22.
    const RECORDED: &str = "\
Running 2s test @ http://127.0.0.1:5997/index.html
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     7.45ms    9.58ms  59.88ms   87.98%
    Req/Sec   798.58    306.49     1.41k    78.95%
  Latency Distribution
     50%    4.17ms
     75%    9.85ms
     90%   19.59ms
     99%   44.77ms
  1652 requests in 2.08s, 387.19KB read
Requests/sec:    794.10
Transfer/sec:    186.12KB
";

    #[test]
    fn recorded_outputs_are_read() {
        let figures = |text: &str| super::figures(&recorded(text));
        let told = told(&figures(RECORDED).unwrap());
        assert_eq!(told, ["requests: 794.1 /s", "latency, 99 %: 44.77 ms"]);
        let missing = format!("{RECORDED}  Non-2xx or 3xx responses: 752\n");
        assert!(figures(&missing).unwrap_err().to_string().contains("752"));
        let refused = "unable to connect to 127.0.0.1:5997 Connection refused\n";
        assert_eq!(figures(refused).unwrap_err().blame(), Some(xenrt::Blame::Product));
        assert!(figures("").is_err());
    }

    #[test]
    fn times_have_units() {
        let told = ["312.00us", "9.58ms", "1.02s", "1.5m", "5 apples"].map(milliseconds);
        assert_eq!(told, [Some(0.312), Some(9.58), Some(1020.0), Some(90_000.0), None]);
    }
}
